#include "client/stream_call.h"

namespace cairn {

template class StreamCall<v1::AppendStreamRequest, v1::AppendStreamResponse>;
template class StreamCall<v1::ReadStreamRequest, v1::ReadStreamResponse>;

}  // namespace cairn
