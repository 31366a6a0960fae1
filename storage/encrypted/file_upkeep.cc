#include "storage/encrypted/file_upkeep.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "storage/crypto/missing_key.h"

namespace cairn {
namespace {

constexpr Duration kBetweenLooks = Seconds(60);
constexpr Duration kBetweenTurns = Seconds(1);
constexpr Duration kShortestRest = Milliseconds(1);

}  // namespace

FileUpkeep::FileUpkeep(Parts parts) : parts_(std::move(parts)) {
  Look();
  parts_.executor->Post([this] { Turn(); });
}

FileUpkeep::~FileUpkeep() {
  ends_ = true;
  parts_.file_system->StopRenewing();
  End(parts_.executor);
}

FileUpkeepStatus FileUpkeep::status() const {
  FileUpkeepStatus status = {.files = files_, .to_rewrite = to_rewrite_, .to_rewrap = to_rewrap_};
  if (parts_.keys->version() != keys_version_) status.to_rewrap = status.files;
  return status;
}

void FileUpkeep::Turn() {
  if (ends_) return;
  const Instant now = parts_.clock->Now();
  const bool other_keys = parts_.keys->version() != keys_version_;
  if (other_keys || (waiting_.empty() && now >= next_look_)) Look();
  if (!waiting_.empty()) RenewOne();
  const Instant end = parts_.clock->Now();
  const Duration rest = waiting_.empty() ? kBetweenTurns : std::max(kShortestRest, end - now);
  parts_.executor->PostAt(end + rest, [this] { Turn(); });
}

void FileUpkeep::Look() {
  const uint64_t version = parts_.keys->version();
  next_look_ = parts_.clock->Now() + kBetweenLooks;
  complained_ = false;
  FileUpkeepStatus found;
  waiting_.clear();
  absl::StatusOr<std::vector<std::string>> files = parts_.file_system->Files();
  if (!files.ok()) return Complain(files.status());
  for (std::string& path : *files) {
    const auto standing = parts_.file_system->StandingOf(path);
    if (absl::IsNotFound(standing.status())) continue;
    ++found.files;
    if (standing.ok() && *standing == EncryptedFileSystem::Standing::kRight) continue;
    // What cannot be read now may be anything.
    const bool rewrite = !standing.ok() || *standing == EncryptedFileSystem::Standing::kToRewrite;
    ++(rewrite ? found.to_rewrite : found.to_rewrap);
    waiting_.push_back({std::move(path), rewrite});
  }
  files_ = found.files;
  to_rewrite_ = found.to_rewrite;
  to_rewrap_ = found.to_rewrap;
  keys_version_ = version;
}

void FileUpkeep::RenewOne() {
  const Waiting next = std::move(waiting_.front());
  waiting_.pop_front();
  const absl::Status status = parts_.file_system->Renew(next.path);
  if (status.ok()) {
    --(next.rewrite ? to_rewrite_ : to_rewrap_);
    return;
  }
  if (absl::IsNotFound(status) || absl::IsAborted(status)) {
    // It may have another name now.
    next_look_ = std::min(next_look_, parts_.clock->Now() + kBetweenTurns);
    return;
  }
  // Whoever writes to a file leaves it for a later look.
  if (absl::IsFailedPrecondition(status) && !IsMissingKey(status)) return;
  Complain(status);
}

void FileUpkeep::Complain(const absl::Status& status) {
  if (std::exchange(complained_, true)) return;
  parts_.log->Log(LogLevel::kWarning,
                  absl::StrCat("a file keeps its key or its cipher: ", status.message()));
}

}  // namespace cairn
