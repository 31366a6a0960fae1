#include "storage/record.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

// Offsets of the fields of a record's header. No byte of the magic is zero, so zeros at the end of
// a payload never run on into the next header.
constexpr uint32_t kRecordMagic = 0xc3a1e5b7;
constexpr size_t kMagicAt = 0;
constexpr size_t kVersionAt = 4;
constexpr size_t kTypeAt = 5;
constexpr size_t kCodecAt = 6;
constexpr size_t kFlagsAt = 7;
constexpr size_t kGroupAt = 8;
constexpr size_t kIndexAt = 16;
constexpr size_t kTermAt = 24;
constexpr size_t kTimestampAt = 32;
constexpr size_t kSessionAt = 40;
constexpr size_t kNumberAt = 48;
constexpr size_t kMaskAt = 56;
constexpr size_t kPayloadChecksumAt = 64;
constexpr size_t kPreviousHashAt = 72;
constexpr size_t kApplyVersionAt = 88;
constexpr size_t kReservedAt = 90;
constexpr size_t kPayloadLengthAt = 92;
constexpr size_t kReservedWordAt = 96;
constexpr size_t kHeaderChecksumAt = 104;
static_assert(kHeaderChecksumAt + sizeof(uint64_t) == kRecordHeaderBytes);

constexpr uint8_t kInOrderFlag = 1;  // SessionCall::in_order
constexpr uint8_t kKnownFlags = kInOrderFlag;

// A masked payload has no run of this many zeros. A header, which starts with its magic, adds fewer
// than kRecordHeaderBytes zeros in front of a payload: together they stay below a sector.
constexpr size_t kPayloadZeroRunLimit = 384;
static_assert(kRecordHeaderBytes - sizeof(kRecordMagic) + kPayloadZeroRunLimit - 1 <= kMaxZeroRun);

// Every run of kPayloadZeroRunLimit bytes contains a whole word whose offset is a multiple of this.
constexpr size_t kProbeStride = kPayloadZeroRunLimit - sizeof(uint64_t);
static_assert(kProbeStride % sizeof(uint64_t) == 0);

template <typename T>
T Load(absl::string_view bytes, size_t at) {
  return LoadLittleEndian<T>(bytes.data() + at);
}

bool IsKnownType(uint8_t type) {
  return type >= static_cast<uint8_t>(EntryType::kNoop) &&
         type <= static_cast<uint8_t>(EntryType::kClock);
}

// True if `payload` holds kPayloadZeroRunLimit zeros in a row. Looks closer only around probed
// words that are zero, so it costs next to nothing.
bool HasLongZeroRun(absl::string_view payload) {
  if (payload.size() < kPayloadZeroRunLimit) return false;
  for (size_t at = 0; at + sizeof(uint64_t) <= payload.size(); at += kProbeStride) {
    if (Load<uint64_t>(payload, at) != 0) continue;
    size_t first = at;
    while (first > 0 && at - first < kPayloadZeroRunLimit && payload[first - 1] == 0) --first;
    size_t end = at + sizeof(uint64_t);
    while (end < payload.size() && end - first < kPayloadZeroRunLimit && payload[end] == 0) ++end;
    if (end - first >= kPayloadZeroRunLimit) return true;
  }
  return false;
}

// A mask under which `payload` has no long run of zeros. Such a run would cover a probed word, and
// that word would equal the mask; so any value that no probed word has will do.
uint64_t PickMask(absl::string_view payload) {
  std::vector<uint64_t> taken;
  for (size_t at = 0; at + sizeof(uint64_t) <= payload.size(); at += kProbeStride) {
    taken.push_back(Load<uint64_t>(payload, at));
  }
  std::sort(taken.begin(), taken.end());
  uint64_t mask = 0;
  do {
    mask += 0x9e3779b97f4a7c15;  // odd, so the candidates repeat after 2^64 steps only
  } while (mask == 0 || std::binary_search(taken.begin(), taken.end(), mask));
  return mask;
}

// XORs the repeated mask over `bytes`, whose first byte meets the mask's lowest.
void ApplyMask(uint64_t mask, std::string* bytes) {
  size_t at = 0;
  for (; at + sizeof(mask) <= bytes->size(); at += sizeof(mask)) {
    StoreLittleEndian(bytes->data() + at, Load<uint64_t>(*bytes, at) ^ mask);
  }
  for (; at < bytes->size(); ++at, mask >>= 8) {
    (*bytes)[at] = static_cast<char>((*bytes)[at] ^ static_cast<char>(mask & 0xff));
  }
}

uint8_t FlagsOf(const SessionCall& call) { return call.in_order ? kInOrderFlag : uint8_t{0}; }

EntryHash HashOfHeader(absl::string_view record) {
  return Hash128(record.substr(0, kHeaderChecksumAt));
}

// What is wrong with the header at the front of `bytes`, or null. `hash` becomes the entry's.
const char* HeaderFault(absl::string_view bytes, EntryHash* hash) {
  if (bytes.size() < kRecordHeaderBytes) return "the header is cut short";
  if (Load<uint32_t>(bytes, kMagicAt) != kRecordMagic) return "no record starts here";
  *hash = HashOfHeader(bytes);
  if (Load<uint64_t>(bytes, kHeaderChecksumAt) != hash->low) return "header checksum";
  if (Load<uint8_t>(bytes, kVersionAt) != kRecordVersion) return "unknown record version";
  if (!IsKnownType(Load<uint8_t>(bytes, kTypeAt))) return "unknown entry type";
  if (Load<uint8_t>(bytes, kCodecAt) != 0) return "unknown codec";
  if ((Load<uint8_t>(bytes, kFlagsAt) & ~kKnownFlags) != 0) return "unknown flags";
  if (Load<uint16_t>(bytes, kReservedAt) != 0 || Load<uint64_t>(bytes, kReservedWordAt) != 0) {
    return "a reserved field is used";
  }
  if (Load<uint32_t>(bytes, kPayloadLengthAt) > kMaxPayloadBytes) return "payload length";
  Index index = Load<uint64_t>(bytes, kIndexAt);
  if (index == 0 || index > kMaxIndex) return "index out of range";
  Term term = Load<uint64_t>(bytes, kTermAt);
  if (term == 0 || term > kMaxTerm) return "term out of range";
  return nullptr;
}

// What is wrong with the payload behind a good header, or null. `bytes` ends anywhere.
const char* PayloadFault(absl::string_view bytes) {
  size_t length = Load<uint32_t>(bytes, kPayloadLengthAt);
  if (bytes.size() - kRecordHeaderBytes < length) return "the payload is cut short";
  absl::string_view payload = bytes.substr(kRecordHeaderBytes, length);
  if (Checksum(payload) != Load<uint64_t>(bytes, kPayloadChecksumAt)) return "payload checksum";
  if (HasLongZeroRun(payload)) return "zeros in a row";
  return nullptr;
}

}  // namespace

PreparedEntry PreparedEntry::Make(EntryType type, std::string payload, SessionCall call,
                                  uint16_t apply_version) {
  CAIRN_CHECK_LE(payload.size(), kMaxPayloadBytes);
  PreparedEntry entry;
  entry.type_ = type;
  entry.apply_version_ = apply_version;
  entry.call_ = call;
  if (HasLongZeroRun(payload)) {
    entry.mask_ = PickMask(payload);
    ApplyMask(entry.mask_, &payload);
  }
  entry.payload_checksum_ = Checksum(payload);
  entry.masked_payload_ = std::move(payload);
  return entry;
}

size_t PreparedEntry::record_bytes() const { return kRecordHeaderBytes + masked_payload_.size(); }

std::string PreparedEntry::Encode() const {
  std::string bytes;
  bytes.reserve(41 + masked_payload_.size());
  AppendLittleEndian(&bytes, kRecordVersion);
  AppendLittleEndian(&bytes, static_cast<uint8_t>(type_));
  AppendLittleEndian(&bytes, apply_version_);
  AppendLittleEndian(&bytes, call_.session);
  AppendLittleEndian(&bytes, call_.number);
  AppendLittleEndian(&bytes, FlagsOf(call_));
  AppendLittleEndian(&bytes, mask_);
  AppendLittleEndian(&bytes, payload_checksum_);
  AppendLengthPrefixed(&bytes, masked_payload_);
  return bytes;
}

absl::StatusOr<PreparedEntry> PreparedEntry::Decode(absl::string_view bytes) {
  Decoder decoder(bytes);
  uint8_t version = decoder.Read<uint8_t>();
  uint8_t type = decoder.Read<uint8_t>();
  PreparedEntry entry;
  entry.type_ = static_cast<EntryType>(type);
  entry.apply_version_ = decoder.Read<uint16_t>();
  entry.call_.session = decoder.Read<uint64_t>();
  entry.call_.number = decoder.Read<uint64_t>();
  uint8_t flags = decoder.Read<uint8_t>();
  entry.call_.in_order = (flags & kInOrderFlag) != 0;
  entry.mask_ = decoder.Read<uint64_t>();
  entry.payload_checksum_ = decoder.Read<uint64_t>();
  absl::string_view payload = decoder.ReadLengthPrefixed();
  if (!decoder.Done()) return absl::InvalidArgumentError("prepared entry: wrong length");
  if (version != kRecordVersion) {
    return absl::InvalidArgumentError(absl::StrCat("prepared entry: version ", version));
  }
  if (!IsKnownType(type)) {
    return absl::InvalidArgumentError(absl::StrCat("prepared entry: type ", type));
  }
  if ((flags & ~kKnownFlags) != 0) {
    return absl::InvalidArgumentError("prepared entry: unknown flags");
  }
  if (payload.size() > kMaxPayloadBytes) {
    return absl::InvalidArgumentError("prepared entry: payload too long");
  }
  if (Checksum(payload) != entry.payload_checksum_) {
    return absl::InvalidArgumentError("prepared entry: payload checksum");
  }
  if (HasLongZeroRun(payload)) {
    return absl::InvalidArgumentError("prepared entry: zeros in a row");
  }
  entry.masked_payload_ = std::string(payload);
  return entry;
}

EntryType RecordView::type() const {
  return static_cast<EntryType>(Load<uint8_t>(bytes_, kTypeAt));
}

GroupId RecordView::group() const { return static_cast<GroupId>(Load<uint64_t>(bytes_, kGroupAt)); }

LogPosition RecordView::position() const {
  return {Load<uint64_t>(bytes_, kIndexAt), Load<uint64_t>(bytes_, kTermAt)};
}

uint16_t RecordView::apply_version() const { return Load<uint16_t>(bytes_, kApplyVersionAt); }

WallTime RecordView::timestamp() const {
  return {static_cast<int64_t>(Load<uint64_t>(bytes_, kTimestampAt))};
}

SessionCall RecordView::call() const {
  return {Load<uint64_t>(bytes_, kSessionAt), Load<uint64_t>(bytes_, kNumberAt),
          (Load<uint8_t>(bytes_, kFlagsAt) & kInOrderFlag) != 0};
}

EntryHash RecordView::previous_hash() const {
  return {Load<uint64_t>(bytes_, kPreviousHashAt + 8), Load<uint64_t>(bytes_, kPreviousHashAt)};
}

EntryHash RecordView::hash() const { return HashOfHeader(bytes_); }

uint64_t RecordView::header_checksum() const { return Load<uint64_t>(bytes_, kHeaderChecksumAt); }

uint64_t RecordView::payload_checksum() const { return Load<uint64_t>(bytes_, kPayloadChecksumAt); }

size_t RecordView::payload_size() const { return bytes_.size() - kRecordHeaderBytes; }

Bytes RecordView::Payload(const Bytes& owner) const {
  absl::string_view payload = bytes_.substr(kRecordHeaderBytes);
  uint64_t mask = Load<uint64_t>(bytes_, kMaskAt);
  if (mask != 0) {
    std::string unmasked(payload);
    ApplyMask(mask, &unmasked);
    return Bytes::Take(std::move(unmasked));
  }
  CAIRN_CHECK(payload.data() >= owner.data() &&
              payload.data() + payload.size() <= owner.data() + owner.size())
      << "the record is not in the bytes given as its owner";
  return owner.Slice(static_cast<size_t>(payload.data() - owner.data()), payload.size());
}

absl::StatusOr<RecordRun> RecordRun::Parse(GroupId group, Bytes bytes) {
  RecordRun run;
  absl::string_view view = bytes.view();
  LogPosition last;
  size_t at = 0;
  auto fault = [&](absl::string_view what) {
    return absl::DataLossError(
        absl::StrCat("record at offset ", at,
                     last.index == 0 ? "" : absl::StrCat(", index ", last.index + 1), ": ", what));
  };
  if (view.size() > std::numeric_limits<uint32_t>::max()) return fault("the run is too long");
  while (at < view.size()) {
    absl::string_view rest = view.substr(at);
    EntryHash hash;
    if (const char* what = HeaderFault(rest, &hash)) return fault(what);
    if (Load<uint64_t>(rest, kGroupAt) != ToInteger(group)) return fault("another group's");
    RecordView record(rest);
    LogPosition position = record.position();
    if (at != 0) {
      if (position.index != last.index + 1) return fault("the index does not follow");
      if (position.term < last.term) return fault("the term falls");
      if (record.previous_hash() != run.last_hash_) return fault("hash of the entry before");
    }
    if (const char* what = PayloadFault(rest)) return fault(what);
    size_t length = kRecordHeaderBytes + Load<uint32_t>(rest, kPayloadLengthAt);
    if (at == 0) run.offsets_.reserve(view.size() / length);
    run.offsets_.push_back(static_cast<uint32_t>(at));
    run.last_hash_ = hash;
    last = position;
    at += length;
  }
  run.bytes_ = std::move(bytes);
  return run;
}

LogPosition RecordRun::first() const { return (*this)[0].position(); }

LogPosition RecordRun::last() const { return (*this)[size() - 1].position(); }

EntryHash RecordRun::previous_hash() const { return (*this)[0].previous_hash(); }

RecordView RecordRun::operator[](size_t i) const {
  CAIRN_CHECK_LT(i, offsets_.size());
  size_t end = i + 1 < offsets_.size() ? offsets_[i + 1] : bytes_.size();
  return RecordView(bytes_.view().substr(offsets_[i], end - offsets_[i]));
}

RecordView RecordRun::At(Index index) const {
  Index first_index = first().index;
  CAIRN_CHECK_GE(index, first_index);
  return (*this)[index - first_index];
}

RecordRun RecordRun::Slice(Index first, Index last) const {
  if (last < first) return RecordRun();
  Index own_first = this->first().index;
  CAIRN_CHECK_GE(first, own_first);
  CAIRN_CHECK_LT(last - own_first, size());
  size_t from = first - own_first;
  size_t to = last - own_first + 1;
  size_t end = to < offsets_.size() ? offsets_[to] : bytes_.size();
  RecordRun part;
  part.bytes_ = bytes_.Slice(offsets_[from], end - offsets_[from]);
  part.offsets_.reserve(to - from);
  for (size_t i = from; i < to; ++i) part.offsets_.push_back(offsets_[i] - offsets_[from]);
  part.last_hash_ = to == size() ? last_hash_ : (*this)[to - 1].hash();
  return part;
}

std::vector<TermRun> RecordRun::TermRuns() const {
  std::vector<TermRun> runs;
  for (size_t i = 0; i < size(); ++i) {
    LogPosition position = (*this)[i].position();
    if (runs.empty() || runs.back().term != position.term) runs.push_back({position.term, 0});
    runs.back().last_index = position.index;
  }
  return runs;
}

RecordRunBuilder::RecordRunBuilder(GroupId group, LogPosition previous, EntryHash previous_hash)
    : group_(group), last_(previous), last_hash_(previous_hash) {}

void RecordRunBuilder::Add(const PreparedEntry& entry, Term term, WallTime timestamp) {
  CAIRN_CHECK_GE(term, std::max<Term>(last_.term, 1));
  CAIRN_CHECK_LE(term, kMaxTerm);
  CAIRN_CHECK_LT(last_.index, kMaxIndex);
  CAIRN_CHECK_LE(bytes_.size() + entry.record_bytes(), std::numeric_limits<uint32_t>::max());
  last_ = {last_.index + 1, term};

  char header[kRecordHeaderBytes] = {};
  StoreLittleEndian(header + kMagicAt, kRecordMagic);
  StoreLittleEndian(header + kVersionAt, kRecordVersion);
  StoreLittleEndian(header + kTypeAt, static_cast<uint8_t>(entry.type_));
  StoreLittleEndian(header + kFlagsAt, FlagsOf(entry.call_));
  StoreLittleEndian(header + kGroupAt, ToInteger(group_));
  StoreLittleEndian(header + kIndexAt, last_.index);
  StoreLittleEndian(header + kTermAt, last_.term);
  StoreLittleEndian(header + kTimestampAt, static_cast<uint64_t>(timestamp.nanoseconds));
  StoreLittleEndian(header + kSessionAt, entry.call_.session);
  StoreLittleEndian(header + kNumberAt, entry.call_.number);
  StoreLittleEndian(header + kMaskAt, entry.mask_);
  StoreLittleEndian(header + kPayloadChecksumAt, entry.payload_checksum_);
  StoreLittleEndian(header + kPreviousHashAt, last_hash_.low);
  StoreLittleEndian(header + kPreviousHashAt + 8, last_hash_.high);
  StoreLittleEndian(header + kApplyVersionAt, entry.apply_version_);
  StoreLittleEndian(header + kPayloadLengthAt, static_cast<uint32_t>(entry.masked_payload_.size()));
  last_hash_ = HashOfHeader(absl::string_view(header, kRecordHeaderBytes));
  StoreLittleEndian(header + kHeaderChecksumAt, last_hash_.low);

  offsets_.push_back(static_cast<uint32_t>(bytes_.size()));
  bytes_.append(header, kRecordHeaderBytes);
  bytes_.append(entry.masked_payload_);
}

RecordRun RecordRunBuilder::Build() && {
  RecordRun run;
  run.bytes_ = Bytes::Take(std::move(bytes_));
  run.offsets_ = std::move(offsets_);
  run.last_hash_ = last_hash_;
  return run;
}

absl::StatusOr<size_t> RecordLength(absl::string_view header) {
  EntryHash hash;
  if (const char* what = HeaderFault(header, &hash)) {
    return absl::DataLossError(absl::StrCat("record: ", what));
  }
  return kRecordHeaderBytes + Load<uint32_t>(header, kPayloadLengthAt);
}

}  // namespace cairn
