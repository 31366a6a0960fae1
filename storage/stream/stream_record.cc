#include "storage/stream/stream_record.h"

#include <cstring>

#include "base/check.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kBlockMagic = 0x57e4b10c;
constexpr uint32_t kTrailerMagic = 0x57e4f007;
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMarked = 1;

// Where the fields of a record's header stand.
constexpr size_t kPlace = 8;
constexpr size_t kPrevious = 16;
constexpr size_t kSequence = 24;
constexpr size_t kIndex = 32;
constexpr size_t kTerm = 40;
constexpr size_t kTime = 48;
constexpr size_t kStream = 56;
constexpr size_t kMessages = 60;
constexpr size_t kLength = 64;
constexpr size_t kFlags = 68;

uint64_t ToInteger(Place place) { return uint64_t{place.block} << 32 | place.offset; }

Place ToPlace(uint64_t value) {
  return {static_cast<uint32_t>(value >> 32), static_cast<uint32_t>(value)};
}

}  // namespace

uint64_t StreamTag(GroupId group) {
  std::string bytes = "cairn stream block";
  AppendLittleEndian(&bytes, cairn::ToInteger(group));
  return Checksum(bytes);
}

void StoreStreamRecord(const StreamRecord& record, absl::string_view payload, uint64_t tag,
                       char* to) {
  CAIRN_CHECK_LE(payload.size(), kMaxStreamPayloadBytes);
  StoreLittleEndian(to + kPlace, ToInteger(record.place));
  StoreLittleEndian(to + kPrevious, ToInteger(record.previous));
  StoreLittleEndian(to + kSequence, record.first_sequence);
  StoreLittleEndian(to + kIndex, record.at.index);
  StoreLittleEndian(to + kTerm, record.at.term);
  StoreLittleEndian(to + kTime, static_cast<uint64_t>(record.time.nanoseconds));
  StoreLittleEndian(to + kStream, record.stream);
  StoreLittleEndian(to + kMessages, record.messages);
  StoreLittleEndian(to + kLength, static_cast<uint32_t>(payload.size()));
  StoreLittleEndian(to + kFlags, record.marked ? kMarked : uint32_t{0});
  std::memcpy(to + kStreamRecordHeaderBytes, payload.data(), payload.size());
  const absl::string_view covered(to + kPlace, kStreamRecordHeaderBytes - kPlace + payload.size());
  StoreLittleEndian(to, Checksum(covered) ^ tag);
}

std::optional<size_t> StreamRecordLength(absl::string_view header) {
  CAIRN_CHECK_GE(header.size(), kStreamRecordHeaderBytes);
  const auto length = LoadLittleEndian<uint32_t>(header.data() + kLength);
  if (length > kMaxStreamPayloadBytes) return std::nullopt;
  return kStreamRecordHeaderBytes + length;
}

absl::StatusOr<StreamRecord> LoadStreamRecord(absl::string_view bytes, Place place, uint64_t tag) {
  if ((Checksum(bytes.substr(kPlace)) ^ tag) != LoadLittleEndian<uint64_t>(bytes.data())) {
    return absl::DataLossError("its checksum does not match");
  }
  const char* from = bytes.data();
  StreamRecord record;
  record.place = ToPlace(LoadLittleEndian<uint64_t>(from + kPlace));
  record.previous = ToPlace(LoadLittleEndian<uint64_t>(from + kPrevious));
  record.first_sequence = LoadLittleEndian<uint64_t>(from + kSequence);
  record.at.index = LoadLittleEndian<uint64_t>(from + kIndex);
  record.at.term = LoadLittleEndian<uint64_t>(from + kTerm);
  record.time = {static_cast<int64_t>(LoadLittleEndian<uint64_t>(from + kTime))};
  record.stream = LoadLittleEndian<uint32_t>(from + kStream);
  record.messages = LoadLittleEndian<uint32_t>(from + kMessages);
  const auto flags = LoadLittleEndian<uint32_t>(from + kFlags);
  record.marked = (flags & kMarked) != 0;
  if (record.place != place) return absl::DataLossError("it belongs to another place");
  if (record.previous >= place || record.stream == 0 || record.messages == 0 ||
      record.first_sequence == 0 || (flags & ~kMarked) != 0) {
    return absl::DataLossError("its fields contradict each other");
  }
  return record;
}

std::string EncodeStreamBlockHeader(GroupId group, uint32_t block) {
  std::string bytes;
  AppendLittleEndian(&bytes, kBlockMagic);
  AppendLittleEndian(&bytes, kVersion);
  AppendLittleEndian(&bytes, cairn::ToInteger(group));
  AppendLittleEndian(&bytes, uint64_t{block});
  AppendLittleEndian(&bytes, Checksum(bytes));
  CAIRN_CHECK_EQ(bytes.size(), kStreamBlockHeaderBytes);
  return bytes;
}

absl::Status CheckStreamBlockHeader(absl::string_view bytes, GroupId group, uint32_t block) {
  if (bytes == EncodeStreamBlockHeader(group, block)) return absl::OkStatus();
  return absl::DataLossError("its header is not that of this block");
}

std::string EncodeStreamFooter(const StreamFooter& footer, uint64_t tag) {
  std::string bytes;
  bytes.reserve(footer.marks.size() * kStreamMarkBytes + kStreamTrailerBytes);
  for (const StreamMark& mark : footer.marks) {
    AppendLittleEndian(&bytes, mark.stream);
    AppendLittleEndian(&bytes, mark.offset);
    AppendLittleEndian(&bytes, mark.first_sequence);
  }
  AppendLittleEndian(&bytes, kTrailerMagic);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(footer.marks.size()));
  AppendLittleEndian(&bytes, footer.block);
  AppendLittleEndian(&bytes, footer.data_end);
  AppendLittleEndian(&bytes, Checksum(bytes) ^ tag);
  return bytes;
}

std::optional<size_t> StreamFooterLength(absl::string_view trailer) {
  CAIRN_CHECK_EQ(trailer.size(), kStreamTrailerBytes);
  Decoder decoder(trailer);
  const auto magic = decoder.Read<uint32_t>();
  const auto marks = decoder.Read<uint32_t>();
  if (magic != kTrailerMagic) return std::nullopt;
  return size_t{marks} * kStreamMarkBytes + kStreamTrailerBytes;
}

absl::StatusOr<StreamFooter> DecodeStreamFooter(absl::string_view bytes, uint32_t block,
                                                uint64_t file_length, uint64_t tag) {
  const absl::Status damaged = absl::DataLossError("its footer is damaged");
  if (bytes.size() < kStreamTrailerBytes) return damaged;
  const size_t covered = bytes.size() - sizeof(uint64_t);
  if ((Checksum(bytes.substr(0, covered)) ^ tag) !=
      LoadLittleEndian<uint64_t>(bytes.data() + covered)) {
    return damaged;
  }
  StreamFooter footer;
  Decoder decoder(bytes);
  footer.marks.resize((bytes.size() - kStreamTrailerBytes) / kStreamMarkBytes);
  for (StreamMark& mark : footer.marks) {
    mark.stream = decoder.Read<uint32_t>();
    mark.offset = decoder.Read<uint32_t>();
    mark.first_sequence = decoder.Read<uint64_t>();
  }
  const auto magic = decoder.Read<uint32_t>();
  const auto marks = decoder.Read<uint32_t>();
  footer.block = decoder.Read<uint32_t>();
  footer.data_end = decoder.Read<uint32_t>();
  if (magic != kTrailerMagic || marks != footer.marks.size() || footer.block != block ||
      footer.data_end + bytes.size() != file_length) {
    return damaged;
  }
  return footer;
}

}  // namespace cairn
