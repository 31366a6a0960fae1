// NoRoom: the error of a log disk that is not final.

#ifndef STORAGE_NO_ROOM_H_
#define STORAGE_NO_ROOM_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cairn {

// The disk is full, and this was noticed before the first write: nothing of what was to be written
// is on the disk, and nothing that is there has suffered. RESOURCE_EXHAUSTED with a mark, for a
// write that the system refuses half-way has the same code, and is final.
absl::Status NoRoomError(absl::string_view message);
bool IsNoRoom(const absl::Status& status);

}  // namespace cairn

#endif  // STORAGE_NO_ROOM_H_
