#include "storage/rocksdb/log_keys.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint8_t kVersion = 1;
// Of the head of a group that is unsure, and of nothing else: who does not know that fact must not
// take the log for another one.
constexpr uint8_t kUnsureVersion = 2;
constexpr char kIdentityKind = 'i';
constexpr char kGroupKind = 'l';
constexpr char kHead = 'h';
constexpr char kTerms = 't';
constexpr char kMark = 'v';
constexpr char kEntry = 'z';  // behind head and terms
constexpr char kBehind = '\x7f';

constexpr size_t kGroupKeyBytes = 1 + sizeof(uint64_t) + 1;  // KeyOf

// Sorts as the number does.
void AppendBigEndian(std::string* to, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) to->push_back(static_cast<char>(value >> shift));
}

std::string KeyOf(GroupId group, char kind) {
  std::string key(1, kGroupKind);
  AppendBigEndian(&key, ToInteger(group));
  key.push_back(kind);
  return key;
}

// A value is: version:u8 body checksum:u64, the checksum being of key, version and body.
std::string Begin(uint8_t version = kVersion) { return std::string(1, static_cast<char>(version)); }

uint64_t ChecksumOf(absl::string_view key, absl::string_view value) {
  return Checksum(absl::StrCat(key, value));
}

std::string Finish(absl::string_view key, std::string value) {
  AppendLittleEndian(&value, ChecksumOf(key, value));
  return value;
}

// The body.
absl::StatusOr<absl::string_view> Open(absl::string_view key, absl::string_view value,
                                       absl::string_view what, uint8_t newest = kVersion) {
  if (value.size() < 1 + sizeof(uint64_t)) {
    return absl::DataLossError(absl::StrCat("the ", what, " is too short"));
  }
  const absl::string_view checked = value.substr(0, value.size() - sizeof(uint64_t));
  if (ChecksumOf(key, checked) != LoadLittleEndian<uint64_t>(value.data() + checked.size())) {
    return absl::DataLossError(absl::StrCat("the checksum of the ", what, " is wrong"));
  }
  if (static_cast<uint8_t>(value[0]) < kVersion || static_cast<uint8_t>(value[0]) > newest) {
    return absl::FailedPreconditionError(absl::StrCat("the ", what, " is of format ",
                                                      static_cast<uint8_t>(value[0]),
                                                      ", this program knows ", newest));
  }
  return checked.substr(1);
}

void AppendPosition(std::string* to, LogPosition position, EntryHash hash) {
  AppendLittleEndian(to, position.index);
  AppendLittleEndian(to, position.term);
  AppendLittleEndian(to, hash.low);
  AppendLittleEndian(to, hash.high);
}

void ReadPosition(Decoder& decoder, LogPosition* position, EntryHash* hash) {
  position->index = decoder.Read<uint64_t>();
  position->term = decoder.Read<uint64_t>();
  hash->low = decoder.Read<uint64_t>();
  hash->high = decoder.Read<uint64_t>();
}

bool IsPossible(const LogHead& head) {
  return head.base.index <= head.last.index && head.last.index <= kMaxIndex &&
         head.base.term <= head.last.term && head.last.term <= kMaxTerm &&
         head.hard_state.term <= kMaxTerm &&
         (head.torn_from == 0 ||
          (head.torn_from > head.base.index && head.torn_from <= head.last.index));
}

}  // namespace

std::string IdentityKey() { return std::string(1, kIdentityKind); }
std::string HeadKey(GroupId group) { return KeyOf(group, kHead); }
std::string TermsKey(GroupId group) { return KeyOf(group, kTerms); }
std::string MarkKey(GroupId group) { return KeyOf(group, kMark); }

std::string EntryKey(GroupId group, Index index) {
  std::string key = KeyOf(group, kEntry);
  AppendBigEndian(&key, index);
  return key;
}

std::string GroupBegin(GroupId group) { return KeyOf(group, '\0'); }
std::string GroupEnd(GroupId group) { return KeyOf(group, kBehind); }

std::optional<GroupId> GroupOfKey(absl::string_view key) {
  if (key.size() < 1 + sizeof(uint64_t) || key[0] != kGroupKind) return std::nullopt;
  uint64_t group = 0;
  for (size_t i = 1; i <= sizeof(uint64_t); ++i) {
    group = group << 8 | static_cast<unsigned char>(key[i]);
  }
  return GroupId{group};
}

bool IsEntryKey(absl::string_view key) {
  return key.size() == kGroupKeyBytes + sizeof(Index) && key[0] == kGroupKind &&
         key[kGroupKeyBytes - 1] == kEntry;
}

Index IndexOfKey(absl::string_view key) {
  Index index = 0;
  for (const char byte : key.substr(kGroupKeyBytes)) {
    index = index << 8 | static_cast<unsigned char>(byte);
  }
  return index;
}

std::string EncodeHead(GroupId group, const LogHead& head) {
  std::string value = Begin(head.unsure ? kUnsureVersion : kVersion);
  AppendLittleEndian(&value, head.change);
  AppendLittleEndian(&value, head.hard_state.term);
  AppendLittleEndian(&value, ToInteger(head.hard_state.vote));
  AppendPosition(&value, head.base, head.base_hash);
  AppendPosition(&value, head.last, head.last_hash);
  AppendLittleEndian(&value, head.known_commit);
  AppendLittleEndian(&value, head.torn_from);
  return Finish(HeadKey(group), std::move(value));
}

absl::StatusOr<LogHead> DecodeHead(GroupId group, absl::string_view bytes) {
  const absl::StatusOr<absl::string_view> body =
      Open(HeadKey(group), bytes, "head of the log", kUnsureVersion);
  if (!body.ok()) return body.status();
  Decoder decoder(*body);
  LogHead head;
  head.change = decoder.Read<uint64_t>();
  head.hard_state.term = decoder.Read<uint64_t>();
  head.hard_state.vote = NodeId{decoder.Read<uint64_t>()};
  ReadPosition(decoder, &head.base, &head.base_hash);
  ReadPosition(decoder, &head.last, &head.last_hash);
  head.known_commit = decoder.Read<uint64_t>();
  head.torn_from = decoder.Read<uint64_t>();
  head.unsure = static_cast<uint8_t>(bytes[0]) == kUnsureVersion;
  if (!decoder.Done() || !IsPossible(head)) {
    return absl::DataLossError("the head of the log makes no sense");
  }
  return head;
}

bool CoverLog(const std::vector<TermStart>& starts, const LogHead& head) {
  if (head.last.index == head.base.index) return true;
  return !starts.empty() && starts.front().first <= head.base.index + 1;
}

std::string EncodeTerms(GroupId group, const std::vector<TermStart>& starts) {
  std::string value = Begin();
  for (const TermStart& start : starts) {
    AppendLittleEndian(&value, start.first);
    AppendLittleEndian(&value, start.term);
  }
  return Finish(TermsKey(group), std::move(value));
}

absl::StatusOr<std::vector<TermStart>> DecodeTerms(GroupId group, absl::string_view bytes) {
  const absl::StatusOr<absl::string_view> body = Open(TermsKey(group), bytes, "list of terms");
  if (!body.ok()) return body.status();
  Decoder decoder(*body);
  std::vector<TermStart> starts;
  while (decoder.remaining() > 0) {
    TermStart start;
    start.first = decoder.Read<uint64_t>();
    start.term = decoder.Read<uint64_t>();
    const bool grows =
        starts.empty() || (start.first > starts.back().first && start.term > starts.back().term);
    const bool possible = start.first <= kMaxIndex && start.term <= kMaxTerm;
    if (!decoder.ok() || !grows || !possible)
      return absl::DataLossError("the list of terms makes no sense");
    starts.push_back(start);
  }
  return starts;
}

std::string EncodeMark(GroupId group, const VerifiedMark& mark) {
  std::string value = Begin();
  AppendLittleEndian(&value, mark.change);
  AppendPosition(&value, mark.at, mark.hash);
  for (const Index index : mark.configurations) AppendLittleEndian(&value, index);
  return Finish(MarkKey(group), std::move(value));
}

absl::StatusOr<VerifiedMark> DecodeMark(GroupId group, absl::string_view bytes) {
  const absl::StatusOr<absl::string_view> body = Open(MarkKey(group), bytes, "mark of the log");
  if (!body.ok()) return body.status();
  Decoder decoder(*body);
  VerifiedMark mark;
  mark.change = decoder.Read<uint64_t>();
  ReadPosition(decoder, &mark.at, &mark.hash);
  Index before = 0;
  while (decoder.remaining() > 0) {
    const Index index = decoder.Read<uint64_t>();
    if (!decoder.ok() || index <= before || index > mark.at.index) {
      return absl::DataLossError("the mark of the log makes no sense");
    }
    mark.configurations.push_back(index);
    before = index;
  }
  if (!decoder.Done()) return absl::DataLossError("the mark of the log makes no sense");
  return mark;
}

std::string EncodeLogIdentity(const LogIdentity& identity) {
  std::string value = Begin();
  value.append(identity.cluster.bytes.begin(), identity.cluster.bytes.end());
  AppendLittleEndian(&value, ToInteger(identity.node));
  AppendLittleEndian(&value, ToInteger(identity.incarnation));
  return Finish(IdentityKey(), std::move(value));
}

absl::StatusOr<LogIdentity> DecodeLogIdentity(absl::string_view bytes) {
  const absl::StatusOr<absl::string_view> body = Open(IdentityKey(), bytes, "identity of the log");
  if (!body.ok()) return body.status();
  Decoder decoder(*body);
  LogIdentity identity;
  const absl::string_view cluster = decoder.ReadBytes(identity.cluster.bytes.size());
  if (decoder.ok()) std::memcpy(identity.cluster.bytes.data(), cluster.data(), cluster.size());
  identity.node = NodeId{decoder.Read<uint64_t>()};
  identity.incarnation = Incarnation{decoder.Read<uint64_t>()};
  if (!decoder.Done()) return absl::DataLossError("the identity of the log makes no sense");
  return identity;
}

}  // namespace cairn
