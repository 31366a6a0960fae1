// StreamRecord: what a stream block holds of one append, and what stands around the records in a
// block. Byte layout: FORMAT.md.

#ifndef STORAGE_STREAM_STREAM_RECORD_H_
#define STORAGE_STREAM_STREAM_RECORD_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/time.h"
#include "base/types.h"

namespace cairn {

// Of a stream within its group, from 1 in the order they were created; 0: none.
using StreamId = uint32_t;

// Where a record begins: the number of its block (from 1; 0: nowhere) and the byte in the file.
struct Place {
  uint32_t block = 0;
  uint32_t offset = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

struct StreamRecord {
  Place place;
  Place previous;  // the stream's record before this one
  uint64_t first_sequence = 0;
  LogPosition at;
  WallTime time;
  StreamId stream = 0;
  uint32_t messages = 0;
  bool marked = false;  // the index has a mark of it
  friend auto operator<=>(const StreamRecord&, const StreamRecord&) = default;
};

inline constexpr size_t kStreamBlockHeaderBytes = 32;
inline constexpr size_t kStreamRecordHeaderBytes = 72;
inline constexpr size_t kStreamMarkBytes = 16;
inline constexpr size_t kStreamTrailerBytes = 24;
inline constexpr size_t kMaxStreamPayloadBytes = size_t{16} << 20;

// Goes into every checksum, so that bytes of another group's blocks are noticed.
uint64_t StreamTag(GroupId group);

// Writes record and payload to the kStreamRecordHeaderBytes + payload.size() bytes at `to`.
void StoreStreamRecord(const StreamRecord& record, absl::string_view payload, uint64_t tag,
                       char* to);

// Length of the record, header included, that `header` (kStreamRecordHeaderBytes or more) says it
// has. Nothing of it is verified but the limit of the payload: nullopt beyond that.
std::optional<size_t> StreamRecordLength(absl::string_view header);

// `bytes`: a whole record, as StreamRecordLength says. DATA_LOSS, saying why, if it is not what was
// stored at `place`.
absl::StatusOr<StreamRecord> LoadStreamRecord(absl::string_view bytes, Place place, uint64_t tag);

std::string EncodeStreamBlockHeader(GroupId group, uint32_t block);
// DATA_LOSS if it is another one.
absl::Status CheckStreamBlockHeader(absl::string_view bytes, GroupId group, uint32_t block);

struct StreamMark {
  StreamId stream = 0;
  uint32_t offset = 0;          // of the marked record
  uint64_t first_sequence = 0;  // of it
  friend auto operator<=>(const StreamMark&, const StreamMark&) = default;
};

// What ends a block that is full: its marks, then the trailer, the last bytes of the file.
struct StreamFooter {
  uint32_t block = 0;
  uint32_t data_end = 0;  // behind the last record; here the footer begins
  std::vector<StreamMark> marks;
};
std::string EncodeStreamFooter(const StreamFooter& footer, uint64_t tag);
// Length of the whole footer by its trailer, of which nothing is verified; nullopt if it has no
// magic number.
std::optional<size_t> StreamFooterLength(absl::string_view trailer);
// `bytes`: the whole footer, which ends the `file_length` bytes of block `block`. DATA_LOSS
// otherwise.
absl::StatusOr<StreamFooter> DecodeStreamFooter(absl::string_view bytes, uint32_t block,
                                                uint64_t file_length, uint64_t tag);

}  // namespace cairn

#endif  // STORAGE_STREAM_STREAM_RECORD_H_
