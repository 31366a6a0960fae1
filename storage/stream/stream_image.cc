#include "storage/stream/stream_image.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kMagic = 0x57e41a6e;
constexpr uint32_t kVersion = 1;
// The least a row takes, so that a count that is a lie makes no large table.
constexpr size_t kLeastRowBytes = 56;

// A place in a block is a number of 32 bits.
constexpr uint64_t kLongestBlock = UINT32_MAX;

void AppendRow(std::string* to, const StreamRow& row) {
  AppendLengthPrefixed(to, *row.definition);
  AppendLittleEndian(to, row.last_sequence);
  AppendLittleEndian(to, row.bytes);
  AppendLittleEndian(to, static_cast<uint64_t>(row.create_time.nanoseconds));
  AppendLittleEndian(to, static_cast<uint64_t>(row.last_time.nanoseconds));
  AppendLittleEndian(to, row.last.block);
  AppendLittleEndian(to, row.last.offset);
  AppendLittleEndian(to, row.bytes_since_mark);
  AppendLittleEndian(to, row.records_since_mark);
}

StreamRow ReadRow(Decoder& decoder) {
  StreamRow row;
  row.definition = std::make_shared<const std::string>(decoder.ReadLengthPrefixed());
  row.last_sequence = decoder.Read<uint64_t>();
  row.bytes = decoder.Read<uint64_t>();
  row.create_time = {static_cast<int64_t>(decoder.Read<uint64_t>())};
  row.last_time = {static_cast<int64_t>(decoder.Read<uint64_t>())};
  row.last.block = decoder.Read<uint32_t>();
  row.last.offset = decoder.Read<uint32_t>();
  row.bytes_since_mark = decoder.Read<uint64_t>();
  row.records_since_mark = decoder.Read<uint32_t>();
  return row;
}

absl::Status Damaged() { return absl::DataLossError("the state of the streams is damaged"); }

}  // namespace

std::string EncodeStreamImage(const StreamImage& image) {
  std::string bytes;
  AppendLittleEndian(&bytes, kMagic);
  AppendLittleEndian(&bytes, kVersion);
  AppendLittleEndian(&bytes, ToInteger(image.group));
  AppendLittleEndian(&bytes, image.applied.index);
  AppendLittleEndian(&bytes, image.applied.term);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(image.lengths.size()));
  for (uint64_t length : image.lengths) AppendLittleEndian(&bytes, length);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(image.table.size()));
  for (StreamId id = 1; id <= image.table.size(); ++id) AppendRow(&bytes, image.table[id]);
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

absl::StatusOr<StreamImage> DecodeStreamImage(absl::string_view bytes, GroupId group) {
  if (bytes.size() < sizeof(uint64_t)) return Damaged();
  const size_t covered = bytes.size() - sizeof(uint64_t);
  if (Checksum(bytes.substr(0, covered)) != LoadLittleEndian<uint64_t>(bytes.data() + covered)) {
    return Damaged();
  }
  Decoder decoder(bytes.substr(0, covered));
  const auto magic = decoder.Read<uint32_t>();
  const auto version = decoder.Read<uint32_t>();
  StreamImage image;
  image.group = GroupId{decoder.Read<uint64_t>()};
  image.applied.index = decoder.Read<uint64_t>();
  image.applied.term = decoder.Read<uint64_t>();
  if (!decoder.ok() || magic != kMagic || version != kVersion || image.group != group) {
    return Damaged();
  }
  const auto blocks = decoder.Read<uint32_t>();
  if (blocks > decoder.remaining() / sizeof(uint64_t)) return Damaged();
  image.lengths.reserve(blocks);
  for (uint32_t i = 0; i < blocks; ++i) {
    image.lengths.push_back(decoder.Read<uint64_t>());
    if (image.lengths.back() > kLongestBlock) return Damaged();
  }
  const auto streams = decoder.Read<uint32_t>();
  if (streams > decoder.remaining() / kLeastRowBytes) return Damaged();
  for (uint32_t i = 0; i < streams; ++i) image.table.Add(ReadRow(decoder));
  if (!decoder.Done()) return Damaged();
  return image;
}

}  // namespace cairn
