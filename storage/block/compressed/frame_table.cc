#include "storage/block/compressed/frame_table.h"

#include "absl/status/status.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kTableMagic = 0xf4a3e7ab;

}  // namespace

void FrameTable::Add(absl::string_view frame) {
  frames.push_back({.begin = frames_bytes(),
                    .bytes = static_cast<uint32_t>(frame.size()),
                    .checksum = Checksum(frame)});
}

std::string FrameTable::Encode() const {
  std::string bytes;
  AppendLittleEndian(&bytes, kTableMagic);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(frames.size()));
  AppendLittleEndian(&bytes, seal.tag);
  bytes += seal.Encode(CompressedLayout::kSealBytes);
  for (const Frame& frame : frames) {
    AppendLittleEndian(&bytes, frame.bytes);
    AppendLittleEndian(&bytes, frame.checksum);
  }
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

absl::StatusOr<FrameTable> FrameTable::Decode(absl::string_view bytes,
                                              const CompressedLayout& layout, uint64_t tag) {
  if (bytes.size() != layout.table_bytes()) return absl::DataLossError("no frame table");
  const absl::string_view checked = bytes.substr(0, bytes.size() - sizeof(uint64_t));
  if (LoadLittleEndian<uint64_t>(bytes.data() + checked.size()) != Checksum(checked)) {
    return absl::DataLossError("frame table checksum");
  }
  Decoder decoder(checked);
  const bool is_table = decoder.Read<uint32_t>() == kTableMagic &&
                        decoder.Read<uint32_t>() == layout.frames() &&
                        decoder.Read<uint64_t>() == tag;
  if (!is_table) return absl::DataLossError("no frame table of this block");
  FrameTable table;
  absl::StatusOr<BlockSeal> seal =
      BlockSeal::Decode(decoder.ReadBytes(CompressedLayout::kSealBytes), tag);
  if (!seal.ok()) return seal.status();
  table.seal = *seal;
  for (uint64_t i = 0; i < layout.frames(); ++i) {
    Frame frame = {.begin = table.frames_bytes()};
    frame.bytes = decoder.Read<uint32_t>();
    frame.checksum = decoder.Read<uint64_t>();
    if (frame.bytes == 0 || frame.bytes > layout.FrameEnd(i) - layout.FrameBegin(i)) {
      return absl::DataLossError("frame table: length of a frame");
    }
    table.frames.push_back(frame);
  }
  if (!decoder.Done() || table.frames_bytes() != layout.compression().frames_bytes) {
    return absl::DataLossError("frame table: length of the frames");
  }
  return table;
}

}  // namespace cairn
