#include "storage/block/id_record.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kIdMagic = 0x1d4ec04d;
constexpr uint16_t kIdVersion = 1;
constexpr size_t kLengthAt = 56;
constexpr size_t kFixedBytes = 88;
constexpr size_t kChecksumBytes = sizeof(uint64_t);

constexpr uint16_t kCheckpointFlag = 1;
constexpr uint16_t kAlwaysFlag = 0x8000;  // keeps the word from being zero

constexpr size_t kSectionBytes = 48;
constexpr uint16_t kBoundsFlag = 1;
constexpr uint16_t kTruncationFlag = 2;
constexpr uint16_t kAppendedFlag = 4;
constexpr uint16_t kBaseFlag = 8;
constexpr uint16_t kDroppedFlag = 16;
constexpr uint16_t kLostFlag = 32;
constexpr uint16_t kKnownFlags = kBoundsFlag | kTruncationFlag | kAppendedFlag | kBaseFlag |
                                 kDroppedFlag | kLostFlag | kAlwaysFlag;
constexpr size_t kBoundsBytes = 2 * 32 + 8;
constexpr size_t kTruncationBytes = 24;
constexpr size_t kBaseBytes = 32;
constexpr size_t kEntriesBytes = 60;

constexpr size_t kTermRunBytes = 16;
constexpr size_t kEntryIdBytes = 8;

void AppendHash(std::string* to, EntryHash hash) {
  AppendLittleEndian(to, hash.low);
  AppendLittleEndian(to, hash.high);
}

EntryHash ReadHash(Decoder& from) {
  uint64_t low = from.Read<uint64_t>();
  return {.high = from.Read<uint64_t>(), .low = low};
}

void AppendPosition(std::string* to, LogPosition position) {
  AppendLittleEndian(to, position.index);
  AppendLittleEndian(to, position.term);
}

LogPosition ReadPosition(Decoder& from) {
  Index index = from.Read<uint64_t>();
  return {index, from.Read<uint64_t>()};
}

size_t EntriesBytes(const EntryIds& ids) {
  return kEntriesBytes + ids.term_runs.size() * kTermRunBytes +
         ids.configurations.size() * sizeof(Index) + ids.entries.size() * kEntryIdBytes;
}

void AppendEntries(std::string* to, const EntryIds& ids) {
  AppendLittleEndian(to, ids.first);
  AppendHash(to, ids.previous_hash);
  AppendHash(to, ids.last_hash);
  AppendLittleEndian(to, ids.offset);
  AppendLittleEndian(to, static_cast<uint32_t>(ids.term_runs.size()));
  AppendLittleEndian(to, static_cast<uint32_t>(ids.configurations.size()));
  AppendLittleEndian(to, static_cast<uint32_t>(ids.entries.size()));
  for (const TermRun& run : ids.term_runs) {
    AppendLittleEndian(to, run.term);
    AppendLittleEndian(to, run.last_index);
  }
  for (Index index : ids.configurations) AppendLittleEndian(to, index);
  for (const RecordId& entry : ids.entries) {
    AppendLittleEndian(to, entry.length);
    AppendLittleEndian(to, entry.hash);
  }
}

bool IsPossible(LogPosition position) {
  return position.index <= kMaxIndex && position.term <= kMaxTerm;
}

// False if what was read makes no sense; that there was enough of it the decoder knows.
bool ReadEntries(Decoder& from, EntryIds* ids) {
  ids->first = from.Read<uint64_t>();
  ids->previous_hash = ReadHash(from);
  ids->last_hash = ReadHash(from);
  ids->offset = from.Read<uint64_t>();
  size_t runs = from.Read<uint32_t>();
  size_t configurations = from.Read<uint32_t>();
  size_t entries = from.Read<uint32_t>();
  // Before anything is allocated for them.
  if (from.remaining() <
      runs * kTermRunBytes + configurations * sizeof(Index) + entries * kEntryIdBytes) {
    return false;
  }
  if (entries == 0 || ids->first == 0 || ids->first > kMaxIndex) return false;
  ids->term_runs.reserve(runs);
  for (size_t i = 0; i < runs; ++i) {
    Term term = from.Read<uint64_t>();
    ids->term_runs.push_back({term, from.Read<uint64_t>()});
  }
  ids->configurations.reserve(configurations);
  for (size_t i = 0; i < configurations; ++i) {
    ids->configurations.push_back(from.Read<uint64_t>());
  }
  ids->entries.reserve(entries);
  for (size_t i = 0; i < entries; ++i) {
    uint32_t length = from.Read<uint32_t>();
    ids->entries.push_back({length, from.Read<uint32_t>()});
  }
  return from.ok() && ids->last() <= kMaxIndex &&
         ArePossible(ids->first, ids->last(), ids->term_runs, ids->configurations);
}

size_t SectionBytes(const GroupSection& section) {
  size_t bytes = kSectionBytes;
  if (section.bounds) bytes += kBoundsBytes;
  for (const EntryIds& ids : section.copied) bytes += EntriesBytes(ids);
  if (section.truncation) bytes += kTruncationBytes;
  if (section.appended) bytes += EntriesBytes(*section.appended);
  if (section.base) bytes += kBaseBytes;
  return bytes;
}

void AppendSection(std::string* to, const GroupSection& section) {
  uint16_t flags = kAlwaysFlag;
  if (section.bounds) flags |= kBoundsFlag;
  if (section.truncation) flags |= kTruncationFlag;
  if (section.appended) flags |= kAppendedFlag;
  if (section.base) flags |= kBaseFlag;
  if (section.dropped) flags |= kDroppedFlag;
  if (section.hard_state_lost) flags |= kLostFlag;
  AppendLittleEndian(to, ToInteger(section.group));
  AppendLittleEndian(to, flags);
  AppendLittleEndian(to, uint16_t{0});
  AppendLittleEndian(to, static_cast<uint32_t>(section.copied.size()));
  AppendLittleEndian(to, section.hard_state.term);
  AppendLittleEndian(to, ToInteger(section.hard_state.vote));
  AppendLittleEndian(to, section.durable);
  AppendLittleEndian(to, section.commit);
  if (section.bounds) {
    AppendPosition(to, section.bounds->base);
    AppendHash(to, section.bounds->base_hash);
    AppendPosition(to, section.bounds->last);
    AppendHash(to, section.bounds->last_hash);
    AppendLittleEndian(to, section.bounds->torn_from.value_or(0));
  }
  for (const EntryIds& ids : section.copied) AppendEntries(to, ids);
  if (section.truncation) {
    AppendLittleEndian(to, section.truncation->from);
    AppendHash(to, section.truncation->hash_before);
  }
  if (section.appended) AppendEntries(to, *section.appended);
  if (section.base) {
    AppendPosition(to, section.base->base);
    AppendHash(to, section.base->hash);
  }
}

bool ReadSection(Decoder& from, GroupSection* section) {
  section->group = static_cast<GroupId>(from.Read<uint64_t>());
  uint16_t flags = from.Read<uint16_t>();
  uint16_t reserved = from.Read<uint16_t>();
  uint32_t copied = from.Read<uint32_t>();
  section->hard_state.term = from.Read<uint64_t>();
  section->hard_state.vote = static_cast<NodeId>(from.Read<uint64_t>());
  section->durable = from.Read<uint64_t>();
  section->commit = from.Read<uint64_t>();
  if (!from.ok() || section->group == GroupId::kNone) return false;
  if (!IsPossible({section->durable, section->hard_state.term})) return false;
  if (section->commit > kMaxIndex) return false;
  if ((flags & ~kKnownFlags) != 0 || reserved != 0) return false;
  section->dropped = (flags & kDroppedFlag) != 0;
  section->hard_state_lost = (flags & kLostFlag) != 0;
  if (flags & kBoundsFlag) {
    LogBounds& bounds = section->bounds.emplace();
    bounds.base = ReadPosition(from);
    bounds.base_hash = ReadHash(from);
    bounds.last = ReadPosition(from);
    bounds.last_hash = ReadHash(from);
    Index torn_from = from.Read<uint64_t>();
    if (torn_from != 0) bounds.torn_from = torn_from;
    if (!IsPossible(bounds.base) || !IsPossible(bounds.last) || torn_from > kMaxIndex) return false;
  }
  for (uint32_t i = 0; i < copied; ++i) {
    if (!ReadEntries(from, &section->copied.emplace_back())) return false;
  }
  if (flags & kTruncationFlag) {
    Truncation& truncation = section->truncation.emplace();
    truncation.from = from.Read<uint64_t>();
    truncation.hash_before = ReadHash(from);
    if (truncation.from == 0 || truncation.from > kMaxIndex) return false;
  }
  if (flags & kAppendedFlag) {
    if (!ReadEntries(from, &section->appended.emplace())) return false;
  }
  if (flags & kBaseFlag) {
    BaseMove& base = section->base.emplace();
    base.base = ReadPosition(from);
    base.hash = ReadHash(from);
    if (!IsPossible(base.base)) return false;
  }
  return from.ok();
}

}  // namespace

bool ArePossible(Index first, Index last, const std::vector<TermRun>& runs,
                 const std::vector<Index>& configurations) {
  LogPosition before = {first - 1, 0};
  for (const TermRun& run : runs) {
    if (run.term < before.term || run.last_index <= before.index) return false;
    before = {run.last_index, run.term};
    if (!IsPossible(before)) return false;
  }
  if (before.index != last) return false;
  Index at = first - 1;
  for (const Index configuration : configurations) {
    if (configuration <= at || configuration > last) return false;
    at = configuration;
  }
  return true;
}

uint64_t EntryIds::record_bytes() const {
  uint64_t bytes = 0;
  for (const RecordId& entry : entries) bytes += entry.length;
  return bytes;
}

uint64_t EncodedBytes(const IdRecord& record) {
  size_t bytes = kFixedBytes + record.live_blocks.size() * sizeof(uint64_t) + kChecksumBytes;
  for (const GroupSection& section : record.sections) bytes += SectionBytes(section);
  return bytes;
}

std::string EncodeIdRecord(const IdRecord& record) {
  const uint64_t length = EncodedBytes(record);
  std::string bytes;
  bytes.reserve(length);
  AppendLittleEndian(&bytes, kIdMagic);
  AppendLittleEndian(&bytes, kIdVersion);
  AppendLittleEndian(
      &bytes, static_cast<uint16_t>(kAlwaysFlag | (record.is_checkpoint ? kCheckpointFlag : 0)));
  AppendLittleEndian(&bytes, record.batch);
  AppendLittleEndian(&bytes, record.block_tag);
  AppendLittleEndian(&bytes, record.boot);
  AppendLittleEndian(&bytes, record.data_begin);
  AppendLittleEndian(&bytes, record.data_bytes);
  AppendLittleEndian(&bytes, record.id_begin);
  AppendLittleEndian(&bytes, length);
  AppendHash(&bytes, record.previous);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(record.sections.size()));
  AppendLittleEndian(&bytes, static_cast<uint32_t>(record.live_blocks.size()));
  CAIRN_CHECK_EQ(bytes.size(), kFixedBytes);
  for (uint64_t block : record.live_blocks) AppendLittleEndian(&bytes, block);
  for (const GroupSection& section : record.sections) AppendSection(&bytes, section);
  AppendLittleEndian(&bytes, Checksum(bytes));
  CAIRN_CHECK_EQ(bytes.size(), length);
  return bytes;
}

uint64_t ClaimedIdRecordBytes(absl::string_view bytes) {
  if (bytes.size() < kFixedBytes || LoadLittleEndian<uint32_t>(bytes.data()) != kIdMagic) return 0;
  return LoadLittleEndian<uint64_t>(bytes.data() + kLengthAt);
}

absl::StatusOr<IdRecord> DecodeIdRecord(absl::string_view bytes) {
  const uint64_t length = ClaimedIdRecordBytes(bytes);
  if (length == 0) return absl::DataLossError("no id record");
  if (length < kFixedBytes + kChecksumBytes || length > bytes.size()) {
    return absl::DataLossError("id record: length");
  }
  absl::string_view body = bytes.substr(0, length - kChecksumBytes);
  if (LoadLittleEndian<uint64_t>(bytes.data() + body.size()) != Checksum(body)) {
    return absl::DataLossError("id record: checksum");
  }
  Decoder decoder(body);
  decoder.Read<uint32_t>();  // magic
  if (uint16_t version = decoder.Read<uint16_t>(); version != kIdVersion) {
    return absl::DataLossError(absl::StrCat("id record: version ", version));
  }
  IdRecord record;
  uint16_t flags = decoder.Read<uint16_t>();
  if ((flags & ~kCheckpointFlag) != kAlwaysFlag) return absl::DataLossError("id record: flags");
  record.is_checkpoint = (flags & kCheckpointFlag) != 0;
  record.batch = decoder.Read<uint64_t>();
  record.block_tag = decoder.Read<uint64_t>();
  record.boot = decoder.Read<uint64_t>();
  record.data_begin = decoder.Read<uint64_t>();
  record.data_bytes = decoder.Read<uint64_t>();
  record.id_begin = decoder.Read<uint64_t>();
  decoder.Read<uint64_t>();  // length
  record.previous = ReadHash(decoder);
  uint32_t sections = decoder.Read<uint32_t>();
  uint32_t live_blocks = decoder.Read<uint32_t>();
  if (decoder.remaining() / sizeof(uint64_t) < live_blocks) {
    return absl::DataLossError("id record: blocks");
  }
  for (uint32_t i = 0; i < live_blocks; ++i) {
    record.live_blocks.push_back(decoder.Read<uint64_t>());
  }
  for (uint32_t i = 0; i < sections; ++i) {
    if (!ReadSection(decoder, &record.sections.emplace_back())) {
      return absl::DataLossError("id record: group section");
    }
  }
  if (!decoder.Done()) return absl::DataLossError("id record: something is left over");
  return record;
}

}  // namespace cairn
