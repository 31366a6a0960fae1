// The Reader of the gRPC client. For the sources of this folder only.

#ifndef CLIENT_READER_H_
#define CLIENT_READER_H_

#include <memory>

#include "client/channels.h"
#include "client/client.h"

namespace cairn {

// `channels` must outlive the reader.
std::unique_ptr<Reader> MakeReader(Channels& channels, const ClientOptions& client_options,
                                   const ReaderOptions& options);

}  // namespace cairn

#endif  // CLIENT_READER_H_
