// The Appender of the gRPC client. For the sources of this folder only.

#ifndef CLIENT_APPENDER_H_
#define CLIENT_APPENDER_H_

#include <memory>
#include <string>

#include "client/channels.h"
#include "client/client.h"

namespace cairn {

// `channels` must outlive the appender.
std::unique_ptr<Appender> MakeAppender(Channels& channels, const std::string& stream,
                                       const ClientOptions& client_options,
                                       const AppenderOptions& options);

}  // namespace cairn

#endif  // CLIENT_APPENDER_H_
