// WireMessages: Raft's own messages as parcels of peer.proto, and back.

#ifndef SERVICE_WIRE_WIRE_MESSAGES_H_
#define SERVICE_WIRE_WIRE_MESSAGES_H_

#include <optional>

#include "base/types.h"
#include "cairn/v1/peer.pb.h"
#include "raft/core/messages.h"

namespace cairn {

void WritePosition(LogPosition from, v1::LogPosition* to);
LogPosition ReadPosition(const v1::LogPosition& from);

// Sets the parcel's body. The entries of AppendEntries are not part of the message.
void WriteMessage(const MessageBody& from, v1::Parcel* parcel);
// Nothing if the parcel carries none of Raft's messages. What it carries is not checked.
std::optional<MessageBody> ReadMessage(const v1::Parcel& parcel);

}  // namespace cairn

#endif  // SERVICE_WIRE_WIRE_MESSAGES_H_
