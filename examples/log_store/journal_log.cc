#include "examples/log_store/journal_log.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr uint32_t kMagic = 0x10a11e57;
constexpr uint32_t kVersion = 1;
constexpr size_t kPageBytes = 4096;
constexpr size_t kReadBytes = size_t{1} << 20;

enum class Kind : uint8_t { kAppend = 1, kDropPrefix = 2, kReset = 3, kDropGroup = 4 };

uint64_t WholeSectors(uint64_t bytes) {
  return (bytes + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
}

// The sector before a frame's content.
struct FrameHead {
  uint32_t version = kVersion;
  uint64_t number = 0;
  uint64_t place = 0;
  uint64_t length = 0;
  uint64_t checksum = 0;

  std::string Encode() const {
    std::string bytes;
    AppendLittleEndian(&bytes, kMagic);
    AppendLittleEndian(&bytes, version);
    for (uint64_t each : {number, place, length, checksum}) AppendLittleEndian(&bytes, each);
    AppendLittleEndian(&bytes, Checksum(bytes));
    bytes.resize(kSectorBytes);
    return bytes;
  }

  // Nothing if it is none, or not one that was written at `at`.
  static std::optional<FrameHead> Decode(absl::string_view sector, uint64_t at) {
    Decoder decoder(sector);
    if (decoder.Read<uint32_t>() != kMagic) return std::nullopt;
    FrameHead head;
    head.version = decoder.Read<uint32_t>();
    for (uint64_t* each : {&head.number, &head.place, &head.length, &head.checksum}) {
      *each = decoder.Read<uint64_t>();
    }
    // All of the sector counts, so that no flipped bit goes unnoticed.
    if (!decoder.ok() || head.Encode() != sector || head.place != at) return std::nullopt;
    return head;
  }
};

// What the disk holds, past the page cache: after a failed sync that may show what is not there.
absl::StatusOr<std::string> ReadFromDisk(const File& file) {
  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  const std::unique_ptr<char, Free> buffer(
      static_cast<char*>(std::aligned_alloc(kPageBytes, kReadBytes)));
  CAIRN_CHECK(buffer != nullptr) << "no memory";
  std::string bytes;
  while (true) {
    absl::StatusOr<size_t> read = file.ReadDirect(bytes.size(), kReadBytes, buffer.get());
    if (!read.ok()) return read.status();
    bytes.append(buffer.get(), *read);
    if (*read < kReadBytes) return bytes;
  }
}

std::string Change(Kind kind, GroupId group) {
  std::string bytes(1, static_cast<char>(kind));
  AppendLittleEndian(&bytes, ToInteger(group));
  return bytes;
}

std::string EncodeAppend(GroupId group, const LogAppend& append) {
  std::string bytes = Change(Kind::kAppend, group);
  AppendLittleEndian(&bytes, uint8_t{append.hard_state.has_value()});
  const HardState hard_state = append.hard_state.value_or(HardState());
  AppendLittleEndian(&bytes, hard_state.term);
  AppendLittleEndian(&bytes, ToInteger(hard_state.vote));
  AppendLittleEndian(&bytes, uint8_t{append.truncate_from.has_value()});
  AppendLittleEndian(&bytes, append.truncate_from.value_or(0));
  AppendLittleEndian(&bytes, append.commit);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(append.runs.size()));
  for (const RecordRun& run : append.runs) AppendLengthPrefixed(&bytes, run.bytes().view());
  return bytes;
}

absl::StatusOr<LogAppend> DecodeAppend(GroupId group, Decoder& decoder) {
  LogAppend append;
  const bool has_hard_state = decoder.Read<uint8_t>() != 0;
  HardState hard_state;
  hard_state.term = decoder.Read<uint64_t>();
  hard_state.vote = NodeId{decoder.Read<uint64_t>()};
  if (has_hard_state) append.hard_state = hard_state;
  const bool truncates = decoder.Read<uint8_t>() != 0;
  const Index from = decoder.Read<uint64_t>();
  if (truncates) append.truncate_from = from;
  append.commit = decoder.Read<uint64_t>();
  for (uint32_t runs = decoder.Read<uint32_t>(); runs > 0 && decoder.ok(); --runs) {
    const absl::string_view bytes = decoder.ReadLengthPrefixed();
    if (bytes.empty()) continue;
    // Verifies every record.
    absl::StatusOr<RecordRun> run = RecordRun::Parse(group, Bytes::Copy(bytes));
    if (!run.ok()) return run.status();
    append.runs.push_back(*std::move(run));
  }
  return append;
}

}  // namespace

// One group's view of the journal.
class JournalLog::Store final : public LogStore {
 public:
  Store(JournalLog& disk, GroupId group) : disk_(disk), group_(group) {}

  absl::Status Append(const LogAppend& append) override { return disk_.Append(group_, append); }

  absl::Status DropPrefix(Index up_to) override {
    std::string change = Change(Kind::kDropPrefix, group_);
    AppendLittleEndian(&change, up_to);
    return disk_.Write(change);
  }

  absl::Status Reset(LogPosition base, EntryHash hash) override {
    std::string change = Change(Kind::kReset, group_);
    for (uint64_t each : {base.index, base.term, hash.low, hash.high}) {
      AppendLittleEndian(&change, each);
    }
    return disk_.Write(change);
  }

  absl::StatusOr<std::vector<RecordRun>> Read(Index first, Index last,
                                              size_t max_bytes) const override {
    MutexLock lock(disk_.mutex_);
    return disk_.LogOf(group_).Read(first, last, max_bytes);
  }
  absl::StatusOr<EntryHash> HashAt(Index index) const override {
    MutexLock lock(disk_.mutex_);
    return disk_.LogOf(group_).HashAt(index);
  }
  LogPosition base() const override {
    MutexLock lock(disk_.mutex_);
    return disk_.LogOf(group_).base();
  }
  LogPosition last() const override {
    MutexLock lock(disk_.mutex_);
    return disk_.LogOf(group_).last();
  }

 private:
  JournalLog& disk_;
  const GroupId group_;
};

absl::StatusOr<std::unique_ptr<JournalLog>> JournalLog::Open(FileSystem& file_system,
                                                             const std::string& directory,
                                                             const std::string& owner) {
  absl::StatusOr<std::unique_ptr<FileLock>> lock = file_system.Lock(directory + "/LOCK");
  if (!lock.ok()) return lock.status();
  std::unique_ptr<JournalLog> log(new JournalLog(file_system, *std::move(lock)));
  if (absl::Status status = log->Recover(directory + "/journal", owner); !status.ok()) {
    return status;
  }
  return log;
}

JournalLog::~JournalLog() = default;

absl::Status JournalLog::Recover(const std::string& path, const std::string& owner) {
  absl::StatusOr<bool> there = file_system_.Exists(path);
  if (!there.ok()) return there.status();
  if (!*there) {
    const FrameHead head = {
        .number = 1, .place = 0, .length = owner.size(), .checksum = Checksum(owner)};
    std::string frame = head.Encode() + owner;
    frame.resize(WholeSectors(frame.size()));
    // From here on the file is there with all of its first frame, or not at all.
    if (absl::Status made = WriteFileAtomically(file_system_, path, frame); !made.ok()) return made;
  }
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
  if (!file.ok()) return file.status();
  file_ = *std::move(file);
  absl::StatusOr<std::string> read = ReadFromDisk(*file_);
  if (!read.ok()) return read.status();
  const absl::string_view bytes = *read;
  while (end_ < bytes.size()) {
    const std::optional<FrameHead> head = FrameHead::Decode(bytes.substr(end_, kSectorBytes), end_);
    if (!head) break;
    const std::string where = absl::StrCat(path, " at ", end_);
    if (head->version != kVersion) {
      return absl::FailedPreconditionError(
          absl::StrCat(where, ": version ", head->version, ", this program knows ", kVersion));
    }
    const uint64_t begin = end_ + kSectorBytes;
    if (head->number != number_ + 1 || head->length > bytes.size() - begin ||
        Checksum(bytes.substr(begin, head->length)) != head->checksum) {
      return absl::DataLossError(
          absl::StrCat(where, ": frame ", head->number, " was synced and cannot be read"));
    }
    const absl::string_view content = bytes.substr(begin, head->length);
    if (head->number == 1 && content != owner) {
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": is the log of ", content, ", not of ", owner));
    }
    if (head->number > 1) {
      if (absl::Status status = Replay(content); !status.ok()) {
        return absl::DataLossError(absl::StrCat(where, ": ", status.message()));
      }
    }
    number_ = head->number;
    end_ = begin + WholeSectors(head->length);
  }
  return CutTail(bytes);
}

absl::Status JournalLog::CutTail(absl::string_view bytes) {
  auto damage = [this](uint64_t at, absl::string_view what) {
    return absl::DataLossError(absl::StrCat(file_->path(), " at ", at, ": ", what));
  };
  if (number_ == 0) return damage(0, "the first frame is gone");
  if (end_ < bytes.size()) {
    // A sector is written whole or not at all: zeros never came, anything else is rot.
    const absl::string_view sector = bytes.substr(end_, kSectorBytes);
    if (sector.find_first_not_of('\0') != absl::string_view::npos) {
      return damage(end_, "neither a frame nor the end of the log");
    }
    // A frame behind it would prove that this one had been synced.
    for (uint64_t at = end_; at < bytes.size(); at += kSectorBytes) {
      if (FrameHead::Decode(bytes.substr(at, kSectorBytes), at)) {
        return damage(end_, "a frame is gone");
      }
    }
    notes_.push_back(absl::StrCat(bytes.size() - end_, " bytes that were never synced are cut"));
    if (absl::Status cut = file_->Resize(end_); !cut.ok()) return cut;
  }
  // What the last process wrote and did not sync counts from now on, so it is synced.
  return file_system_.SyncNow(*file_);
}

absl::Status JournalLog::Replay(absl::string_view content) {
  MutexLock lock(mutex_);
  Decoder decoder(content);
  while (decoder.ok() && !decoder.Done()) {
    const absl::string_view change = decoder.ReadLengthPrefixed();
    if (!decoder.ok()) break;
    if (absl::Status status = Apply(change); !status.ok()) return status;
  }
  return decoder.ok() ? absl::OkStatus() : absl::DataLossError("a change is cut off");
}

MemoryLog& JournalLog::LogOf(GroupId group) {
  return logs_.try_emplace(group, group).first->second;
}

absl::Status JournalLog::Apply(absl::string_view change) {
  Decoder decoder(change);
  const auto kind = static_cast<Kind>(decoder.Read<uint8_t>());
  const auto group = GroupId{decoder.Read<uint64_t>()};
  switch (kind) {
    case Kind::kAppend: {
      absl::StatusOr<LogAppend> append = DecodeAppend(group, decoder);
      if (!append.ok()) return append.status();
      if (!decoder.Done()) break;
      return LogOf(group).Append(*append);
    }
    case Kind::kDropPrefix: {
      const Index up_to = decoder.Read<uint64_t>();
      if (!decoder.Done()) break;
      return LogOf(group).DropPrefix(up_to);
    }
    case Kind::kReset: {
      LogPosition base;
      EntryHash hash;
      for (uint64_t* each : {&base.index, &base.term, &hash.low, &hash.high}) {
        *each = decoder.Read<uint64_t>();
      }
      if (!decoder.Done()) break;
      return LogOf(group).Reset(base, hash);
    }
    case Kind::kDropGroup:
      if (!decoder.Done()) break;
      logs_.erase(group);
      return absl::OkStatus();
  }
  return absl::DataLossError("a change of an unknown kind");
}

absl::Status JournalLog::Append(GroupId group, const LogAppend& append) {
  MutexLock lock(mutex_);
  if (!failed_.ok()) return failed_;
  absl::Status status = LogOf(group).Append(append);
  if (status.ok()) AppendLengthPrefixed(&pending_, EncodeAppend(group, append));
  if (!status.ok()) failed_ = status;  // whoever appends what does not fit knows another log
  return status;
}

absl::Status JournalLog::Write(absl::string_view change) {
  MutexLock lock(mutex_);
  if (!failed_.ok()) return failed_;
  absl::Status status = Apply(change);
  if (status.ok()) AppendLengthPrefixed(&pending_, change);
  return status;
}

absl::Status JournalLog::WriteFrame(absl::string_view content) {
  const FrameHead head = {.number = number_ + 1,
                          .place = end_,
                          .length = content.size(),
                          .checksum = Checksum(content)};
  std::string padded(content);
  padded.resize(WholeSectors(padded.size()));
  absl::Status status = file_->Write(end_ + kSectorBytes, padded);
  if (status.ok()) status = file_system_.SyncNow(*file_);
  if (status.ok()) status = file_->Write(end_, head.Encode());
  if (status.ok()) status = file_system_.SyncNow(*file_);
  if (!status.ok()) return status;
  number_ = head.number;
  end_ += kSectorBytes + padded.size();
  return absl::OkStatus();
}

absl::StatusOr<OpenedLog> JournalLog::OpenGroup(GroupId group) {
  MutexLock lock(mutex_);
  std::unique_ptr<LogStore>& store = stores_[group];
  CAIRN_CHECK(store == nullptr) << "group " << ToInteger(group) << " is open";
  store = std::make_unique<Store>(*this, group);
  RecoveredLog recovered = LogOf(group).Recovered();
  recovered.report.notes = notes_;
  return OpenedLog{store.get(), std::move(recovered)};
}

void JournalLog::CloseGroup(GroupId group) {
  MutexLock lock(mutex_);
  stores_.erase(group);
}

absl::Status JournalLog::DropGroup(GroupId group) { return Write(Change(Kind::kDropGroup, group)); }

std::vector<GroupId> JournalLog::Groups() const {
  MutexLock lock(mutex_);
  std::vector<GroupId> groups;
  for (const auto& [group, log] : logs_) {
    if (!log.empty()) groups.push_back(group);
  }
  return groups;
}

void JournalLog::Sync(absl::AnyInvocable<void(absl::Status)> done) {
  std::string content;
  absl::Status status;
  {
    MutexLock lock(mutex_);
    status = failed_;
    if (status.ok()) content = std::exchange(pending_, std::string());
  }
  if (status.ok() && !content.empty()) {
    status = WriteFrame(content);
    MutexLock lock(mutex_);
    if (failed_.ok()) failed_ = status;  // an error is final
  }
  done(std::move(status));
}

}  // namespace cairn
