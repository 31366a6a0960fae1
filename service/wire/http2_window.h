// How far HTTP/2 lets a sender run ahead of its receiver. For files that bring gRPC's headers.

#ifndef SERVICE_WIRE_HTTP2_WINDOW_H_
#define SERVICE_WIRE_HTTP2_WINDOW_H_

#include <grpcpp/server_builder.h>
#include <grpcpp/support/channel_arguments.h>

namespace cairn {

// Bytes of one stream that may be under way, and so wait unread, in each direction.
//
// gRPC's own windows begin at 64 KiB and follow its estimates of the connection's capacity and of
// the memory there is. Now and then they came to stand so that one frame of a snapshot filled the
// window, and the word that there was room again waited for whatever was written next on that
// connection: the transfer went on by one window per heartbeat, at 3 MiB a second. So the estimates
// are off, and a stream's window has room for many frames; it is opened again when half of it is
// used. The connection's own window stays at 64 KiB, and is opened again in the same way.
inline constexpr int kHttp2WindowBytes = 1 << 20;

// On both ends of every connection.
void SetHttp2Window(grpc::ChannelArguments& arguments);
void SetHttp2Window(grpc::ServerBuilder& builder);

}  // namespace cairn

#endif  // SERVICE_WIRE_HTTP2_WINDOW_H_
