#include "storage/rocksdb/ack_ledger.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/checksum.h"
#include "storage/no_room.h"

namespace cairn {
namespace {

constexpr size_t kUnit = LedgerRecord::kUnit;
constexpr uint64_t kFileBytes = uint64_t{4} << 20;
constexpr char kPrefix[] = "acks.";

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

absl::StatusOr<bool> AckLedger::IsThere(FileSystem& file_system, const std::string& directory) {
  const auto names = file_system.List(directory);
  if (!names.ok()) return names.status();
  return std::any_of(names->begin(), names->end(),
                     [](const std::string& name) { return absl::StartsWith(name, kPrefix); });
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

// A unit that cannot be read is as one that has rotted; a file that cannot be opened is not.
absl::StatusOr<std::string> AckLedger::ReadWhatCanBeRead(const std::string& path,
                                                         bool& notices_rot) {
  const auto file = file_system_.Open(path, {.mode = FileSystem::OpenMode::kRead});
  if (!file.ok()) return file.status();
  notices_rot = (*file)->NoticesRot();
  absl::StatusOr<std::string> whole = ReadWholeFile(file_system_, path);
  if (whole.ok()) return whole;
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  std::string bytes(*size, kUnreadLedgerByte);
  for (size_t at = 0; at < bytes.size(); at += kUnit) {
    std::string unit(std::min(kUnit, bytes.size() - at), '\0');
    const absl::StatusOr<size_t> read = (*file)->Read(at, unit.size(), unit.data());
    if (read.ok()) {
      bytes.replace(at, unit.size(), unit);
    } else {
      notes_.push_back(absl::StrCat(read.status().message(), ", at offset ", at));
    }
  }
  return bytes;
}

absl::Status AckLedger::ReadOne(const std::string& path) {
  bool notices_rot = false;
  const absl::StatusOr<std::string> bytes = ReadWhatCanBeRead(path, notices_rot);
  if (!bytes.ok()) return bytes.status();
  end_rotted_ = false;
  size_t unread = 0;   // units in a row
  size_t copy_at = 0;  // of the first record, if that is intact
  for (size_t at = 0; at < bytes->size();) {
    const absl::string_view here = absl::string_view(*bytes).substr(at);
    absl::StatusOr<DecodedLedgerRecord> found = DecodeLedgerRecord(here);
    if (absl::IsFailedPrecondition(found.status())) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": ", found.status().message()));
    }
    if (!found.ok() || found->record.number <= last_record_) {
      // What follows in a record that rotted says nothing of its own.
      const bool is_copy = at == copy_at && at > 0;
      if (unread == 0 && !is_copy && !found.ok() && LedgerRecordRotted(here, notices_rot)) {
        complete_ = false;
        end_rotted_ = true;
      }
      ++unread;
      at += kUnit;
      continue;
    }
    if (unread > 0) {
      notes_.push_back(absl::StrCat(path, ": what stands before offset ", at, " is damaged"));
    }
    unread = 0;
    end_rotted_ = false;
    if (at == 0) {
      found->record.of_all = true;
      copy_at = found->size;
    }
    at += found->size;
    if (absl::Status taken = Take(std::move(found->record), path); !taken.ok()) return taken;
  }
  return absl::OkStatus();
}

absl::Status AckLedger::Take(LedgerRecord record, const std::string& path) {
  if (record.identity && identity_) {
    absl::Status same = CheckLogIdentity(*record.identity, *identity_, path);
    if (!same.ok()) return same;
  }
  if (record.identity) identity_ = record.identity;
  was_there_ = true;
  if (record.of_all) complete_ = true;  // whatever was before
  last_record_ = record.number;
  for (auto& [group, found] : record.groups) {
    const auto before = groups_.find(group);
    found.began_anew = before != groups_.end() && before->second.dropped &&
                       before->second.head.change == found.durable_change;
    groups_[group] = std::move(found);
  }
  return absl::OkStatus();
}

std::string AckLedger::Encode(const LedgerGroups& groups, bool of_all) {
  return EncodeLedgerRecord({.number = ++last_record_,
                             .boot = boot_,
                             .of_all = of_all,
                             .identity = identity_,
                             .groups = groups});
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
  std::string bytes = Encode(groups, /*of_all=*/true);
  bytes += Encode(groups, /*of_all=*/true);
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

absl::Status AckLedger::Begin(const LogIdentity& identity, LedgerGroups groups) {
  identity_ = identity;
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
  const std::string bytes = Encode(changed, /*of_all=*/false);
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
      const absl::StatusOr<DecodedLedgerRecord> record =
          DecodeLedgerRecord(absl::string_view(*bytes).substr(std::min(at, bytes->size())));
      if (!record.ok()) {
        checked.status = absl::DataLossError(
            absl::StrCat(written.path, ": the record at offset ", at, " was bad"));
      } else {
        at += record->size;
      }
    }
  }
  if (!checked.status.ok()) is_bad_ = true;
  return checked;
}

}  // namespace cairn
