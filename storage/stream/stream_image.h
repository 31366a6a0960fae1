// StreamImage: the state of a group's streams without their records, and its bytes. Layout:
// FORMAT.md.

#ifndef STORAGE_STREAM_STREAM_IMAGE_H_
#define STORAGE_STREAM_STREAM_IMAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/types.h"
#include "storage/stream/stream_table.h"

namespace cairn {

struct StreamImage {
  GroupId group = GroupId::kNone;
  LogPosition applied;            // as of which all of it is
  std::vector<uint64_t> lengths;  // of the blocks, from number 1 on
  StreamTable table;
};

// Equal states give equal bytes, on every member.
std::string EncodeStreamImage(const StreamImage& image);
// DATA_LOSS for bytes that EncodeStreamImage does not give for this group.
absl::StatusOr<StreamImage> DecodeStreamImage(absl::string_view bytes, GroupId group);

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_IMAGE_H_
