// Wire: the only place that turns envelopes into protobuf and back.

#ifndef SERVICE_WIRE_WIRE_H_
#define SERVICE_WIRE_WIRE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "raft/envelope.h"
#include "raft/peers/introduction.h"

namespace cairn {

namespace v1 {
class Frame;
class Parcel;
enum FrameLane : int;
}  // namespace v1

v1::FrameLane WireLane(Lane lane);

// Who speaks to whom, in which versions: all of an envelope but its group, body and entries. A
// frame carries it once for all its parcels.
void WriteIdentity(const Envelope& envelope, v1::Frame* frame);
bool SameIdentity(const Envelope& a, const Envelope& b);

// What the sender says of itself in a call's first frame; of what nobody could read or believe, and
// of more than kMaxIntroductions, nothing.
void WriteIntroductions(const std::vector<Introduction>& introductions, v1::Frame* frame);
// INVALID_ARGUMENT for what that does not write.
absl::StatusOr<std::vector<Introduction>> ReadIntroductions(const v1::Frame& frame);

// Group, body and entries. The records' bytes are copied as they are.
void WriteParcel(const Envelope& envelope, v1::Parcel* parcel);

// An envelope with the identity of `frame` and nothing else. INVALID_ARGUMENT if the identity is no
// possible one (length of the cluster id, lane, node ids, versions).
absl::StatusOr<Envelope> ReadIdentity(const v1::Frame& frame);

// The envelope of `identity` with what `parcel` holds; takes the bytes out of `parcel`.
// INVALID_ARGUMENT for anything that WriteParcel does not make of a valid envelope: missing parts,
// unknown enumerators, records that do not verify, and everything that Validate refuses (its
// message begins with TERM_RANGE where it is that). What passes may be given to a Host.
absl::StatusOr<Envelope> ReadParcel(const Envelope& identity, v1::Parcel&& parcel);

}  // namespace cairn

#endif  // SERVICE_WIRE_WIRE_H_
