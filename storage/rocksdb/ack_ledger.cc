#include "storage/rocksdb/ack_ledger.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/checksum.h"
#include "storage/no_room.h"

namespace cairn {
namespace {

constexpr uint32_t kMagic = 0x4b434143;  // "CACK"
constexpr uint8_t kVersion = 1;
// A record is written in units of its own: no write touches one that holds acknowledged facts.
constexpr size_t kUnit = 4096;
constexpr uint64_t kFileBytes = uint64_t{4} << 20;
constexpr char kPrefix[] = "acks.";
constexpr size_t kFixedBytes = 2 * sizeof(uint32_t) + sizeof(uint8_t);

struct LedgerRecord {
  uint64_t number = 0;
  size_t units = 0;
  LedgerGroups groups;
};

// The record at the front of `bytes`, if there is an intact one.
std::optional<LedgerRecord> Decode(absl::string_view bytes) {
  Decoder decoder(bytes);
  if (decoder.Read<uint32_t>() != kMagic || decoder.Read<uint8_t>() != kVersion) return {};
  const size_t length = decoder.Read<uint32_t>();
  const absl::string_view body = decoder.ReadBytes(length);
  const uint64_t checksum = decoder.Read<uint64_t>();
  if (!decoder.ok() || checksum != Checksum(body)) return {};
  LedgerRecord record;
  record.units = (kFixedBytes + length + sizeof(uint64_t) + kUnit - 1) / kUnit;
  Decoder fields(body);
  record.number = fields.Read<uint64_t>();
  const uint64_t boot = fields.Read<uint64_t>();
  while (fields.remaining() > 0) {
    const GroupId group{fields.Read<uint64_t>()};
    LedgerGroup found;
    found.boot = boot;
    found.dropped = fields.Read<uint8_t>() != 0;
    found.durable_change = fields.Read<uint64_t>();
    const auto head = DecodeHead(group, fields.ReadLengthPrefixed());
    auto starts = DecodeTerms(group, fields.ReadLengthPrefixed());
    if (!fields.ok() || !head.ok() || !starts.ok()) return {};
    found.head = *head;
    found.starts = *std::move(starts);
    record.groups[group] = std::move(found);
  }
  return record;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AckLedger>> AckLedger::Open(FileSystem& file_system,
                                                           std::string directory,
                                                           DiskReserve* reserve) {
  std::unique_ptr<AckLedger> ledger(new AckLedger(file_system, std::move(directory), reserve));
  const absl::StatusOr<std::string> boot = file_system.BootId();
  if (!boot.ok()) return boot.status();
  ledger->boot_ = Checksum(*boot);
  if (absl::Status status = ledger->ReadFiles(); !status.ok()) return status;
  return ledger;
}

std::string AckLedger::PathOf(uint64_t number) const {
  const std::string digits = absl::StrCat(number);
  return absl::StrCat(directory_, "/", kPrefix,
                      std::string(20 - std::min<size_t>(20, digits.size()), '0'), digits);
}

absl::Status AckLedger::ReadFiles() {
  const auto names = file_system_.List(directory_);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {  // in order, as the numbers have leading zeros
    uint64_t number = 0;
    if (!absl::StartsWith(name, kPrefix) ||
        !absl::SimpleAtoi(absl::string_view(name).substr(sizeof(kPrefix) - 1), &number)) {
      continue;
    }
    last_file_ = std::max(last_file_, number);
    old_files_.push_back(absl::StrCat(directory_, "/", name));
    if (absl::Status status = ReadOne(old_files_.back()); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status AckLedger::ReadOne(const std::string& path) {
  const absl::StatusOr<std::string> bytes = ReadWholeFile(file_system_, path);
  if (!bytes.ok()) {
    notes_.push_back(absl::StrCat(path, " cannot be read: ", bytes.status().message()));
    return absl::OkStatus();
  }
  size_t unread = 0;  // units in a row; only those before an intact record are of interest
  for (size_t at = 0; at < bytes->size();) {
    std::optional<LedgerRecord> record = Decode(absl::string_view(*bytes).substr(at));
    if (!record || record->number <= last_record_) {
      ++unread;
      at += kUnit;
      continue;
    }
    if (unread > 0) {
      notes_.push_back(absl::StrCat(path, ": what stands before offset ", at, " is damaged"));
    }
    unread = 0;
    was_there_ = true;
    last_record_ = record->number;
    at += record->units * kUnit;
    for (auto& [group, found] : record->groups) {
      const auto before = groups_.find(group);
      found.began_anew = before != groups_.end() && before->second.dropped &&
                         before->second.head.change == found.durable_change;
      groups_[group] = std::move(found);
    }
  }
  return absl::OkStatus();
}

std::string AckLedger::Encode(const LedgerGroups& groups) {
  std::string body;
  AppendLittleEndian(&body, ++last_record_);
  AppendLittleEndian(&body, boot_);
  for (const auto& [group, entry] : groups) {
    AppendLittleEndian(&body, ToInteger(group));
    AppendLittleEndian(&body, static_cast<uint8_t>(entry.dropped ? 1 : 0));
    AppendLittleEndian(&body, entry.durable_change);
    AppendLengthPrefixed(&body, EncodeHead(group, entry.head));
    AppendLengthPrefixed(&body, EncodeTerms(group, entry.starts));
  }
  std::string bytes;
  AppendLittleEndian(&bytes, kMagic);
  AppendLittleEndian(&bytes, kVersion);
  AppendLittleEndian(&bytes, static_cast<uint32_t>(body.size()));
  bytes += body;
  AppendLittleEndian(&bytes, Checksum(body));
  bytes.resize((bytes.size() + kUnit - 1) / kUnit * kUnit, '\0');
  return bytes;
}

absl::Status AckLedger::WriteTo(File& file, uint64_t offset, const std::string& bytes,
                                DiskReserve::Claim claim) {
  absl::Status status =
      reserve_->WithRoom(claim, bytes.size(), [&] { return file.Write(offset, bytes); });
  return absl::IsResourceExhausted(status) ? NoRoomError(status.message()) : status;
}

absl::Status AckLedger::StartFile(const LedgerGroups& groups, DiskReserve::Claim claim) {
  const std::string path = PathOf(++last_file_);
  absl::StatusOr<std::unique_ptr<File>> file;
  absl::Status status = reserve_->WithRoom(claim, kUnit, [&] {
    file = file_system_.Open(path, {.mode = FileSystem::OpenMode::kCreate});
    return file.status();
  });
  if (absl::IsResourceExhausted(status)) return NoRoomError(status.message());
  if (!status.ok()) return status;
  // Twice: it may be all that there is, and a log whose ledger cannot be read is refused.
  std::string bytes = Encode(groups);
  bytes += Encode(groups);
  status = WriteTo(**file, 0, bytes, claim);
  if (IsNoRoom(status)) {
    // Half a file says nothing that those before it do not say.
    if (absl::Status removed = file_system_.Remove(path); !removed.ok()) return removed;
    return status;
  }
  if (status.ok()) status = file_system_.SyncNow(**file);
  if (status.ok()) status = file_system_.SyncDirectory(directory_);
  if (!status.ok()) return status;
  file_ = *std::move(file);
  end_ = bytes.size();
  SetWritten(path, end_);
  for (const std::string& old : old_files_) {
    if (absl::Status removed = file_system_.Remove(old); !removed.ok()) return removed;
  }
  old_files_ = {path};
  return absl::OkStatus();
}

absl::Status AckLedger::Begin(LedgerGroups groups) {
  groups_ = std::move(groups);
  return StartFile(groups_, DiskReserve::Claim::kDatabase);
}

absl::Status AckLedger::Write(const LedgerGroups& changed) {
  CAIRN_CHECK(file_ != nullptr) << "Begin comes first";
  for (const auto& [group, entry] : changed) groups_[group] = entry;
  if (const bool is_bad = is_bad_.exchange(false); is_bad || end_ >= kFileBytes) {
    // What was dropped by an earlier sync is gone from the database for good.
    for (auto entry = groups_.begin(); entry != groups_.end();) {
      const bool gone = entry->second.dropped && !changed.contains(entry->first);
      entry = gone ? groups_.erase(entry) : std::next(entry);
    }
    absl::Status status = StartFile(groups_, DiskReserve::Claim::kRecords);
    if (is_bad && !status.ok()) is_bad_ = true;
    return status;
  }
  const std::string bytes = Encode(changed);
  absl::Status status = WriteTo(*file_, end_, bytes, DiskReserve::Claim::kRecords);
  if (!status.ok()) return status;
  file_->StartWriteback(end_, bytes.size());
  end_ += bytes.size();
  SetWritten(file_->path(), end_);
  return absl::OkStatus();
}

absl::Status AckLedger::Sync() { return file_system_.SyncNow(*file_); }

void AckLedger::SetWritten(const std::string& path, uint64_t end) {
  MutexLock lock(mutex_);
  written_ = {path, end};
}

absl::StatusOr<std::string> AckLedger::ReadWritten(const std::string& path, uint64_t end) const {
  const auto file = file_system_.Open(path, {.mode = FileSystem::OpenMode::kRead});
  if (!file.ok()) return file.status();
  const std::unique_ptr<char, decltype(&std::free)> bytes(
      static_cast<char*>(std::aligned_alloc(kUnit, end)), &std::free);
  const absl::StatusOr<size_t> read = (*file)->ReadDirect(0, end, bytes.get());
  if (!read.ok()) return read.status();
  return std::string(bytes.get(), *read);
}

AckLedger::Checked AckLedger::Check() {
  Written written;
  {
    MutexLock lock(mutex_);
    written = written_;
  }
  const absl::StatusOr<std::string> bytes = ReadWritten(written.path, written.end);
  if (absl::IsNotFound(bytes.status())) return {};  // another one was begun
  Checked checked;
  checked.bytes = written.end;
  if (!bytes.ok()) {
    checked.status = absl::DataLossError(bytes.status().message());
  } else {
    for (size_t at = 0; at < written.end && checked.status.ok();) {
      const std::optional<LedgerRecord> record =
          at < bytes->size() ? Decode(absl::string_view(*bytes).substr(at)) : std::nullopt;
      if (!record) {
        checked.status = absl::DataLossError(
            absl::StrCat(written.path, ": the record at offset ", at, " was bad"));
      } else {
        at += record->units * kUnit;
      }
    }
  }
  if (!checked.status.ok()) is_bad_ = true;
  return checked;
}

}  // namespace cairn
