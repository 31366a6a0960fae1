#include "storage/no_room.h"

#include "absl/strings/cord.h"

namespace cairn {
namespace {

constexpr absl::string_view kMark = "cairn.dev/no-room";

}  // namespace

absl::Status NoRoomError(absl::string_view message) {
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload(kMark, absl::Cord());
  return status;
}

bool IsNoRoom(const absl::Status& status) { return status.GetPayload(kMark).has_value(); }

}  // namespace cairn
