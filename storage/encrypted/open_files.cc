#include "storage/encrypted/open_files.h"

#include <algorithm>
#include <utility>

#include "absl/strings/strip.h"
#include "base/check.h"

namespace cairn {
namespace {

bool IsAtOrBelow(absl::string_view path, absl::string_view above) {
  return absl::ConsumePrefix(&path, above) && (path.empty() || path[0] == '/');
}

}  // namespace

std::shared_ptr<EncryptedFileState> OpenFiles::StateOf(const FileId& id, Cipher cipher,
                                                       const SecretKey& key, RandomBytes& random) {
  MutexLock lock(mutex_);
  std::weak_ptr<EncryptedFileState>& known = states_[id];
  if (std::shared_ptr<EncryptedFileState> state = known.lock()) return state;
  auto state = std::make_shared<EncryptedFileState>(cipher, key, random);
  known = state;
  // Those that are closed go when another one is opened.
  std::erase_if(states_, [](const auto& each) { return each.second.expired(); });
  return state;
}

std::shared_ptr<void> OpenFiles::HoldForWriting(const std::string& path) {
  auto held = std::make_unique<Held>(Held{path});
  Held* key = held.get();
  MutexLock lock(mutex_);
  while (TakesThePlaceOf(path)) ended_.Wait(mutex_);
  Disturb(path);
  held_[key] = std::move(held);
  return std::shared_ptr<void>(key, [self = shared_from_this(), key](void*) { self->LetGo(key); });
}

void OpenFiles::LetGo(const Held* held) {
  MutexLock lock(mutex_);
  held_.erase(held);
}

// What is below it, too, if it is a directory.
void OpenFiles::Disturb(const std::string& path) {
  for (auto& [anew, state] : anew_) {
    if (state == Anew::kSame && IsAtOrBelow(anew, path)) state = Anew::kDisturbed;
  }
}

bool OpenFiles::TakesThePlaceOf(const std::string& path) const {
  return std::any_of(anew_.begin(), anew_.end(), [&path](const auto& each) {
    return each.second == Anew::kTakesItsPlace && IsAtOrBelow(each.first, path);
  });
}

// A large file takes its time to go, and nobody else waits for that.
absl::Status OpenFiles::Remove(const std::string& path, absl::FunctionRef<absl::Status()> change) {
  {
    MutexLock lock(mutex_);
    while (TakesThePlaceOf(path)) ended_.Wait(mutex_);
    Disturb(path);
    leaving_.insert(path);
  }
  absl::Status status = change();
  MutexLock lock(mutex_);
  leaving_.erase(leaving_.find(path));
  return status;
}

absl::Status OpenFiles::Rename(const std::string& from, const std::string& to,
                               absl::FunctionRef<absl::Status()> change) {
  MutexLock lock(mutex_);
  while (TakesThePlaceOf(from) || TakesThePlaceOf(to)) ended_.Wait(mutex_);
  Disturb(from);
  Disturb(to);
  const absl::Status status = change();
  if (!status.ok()) return status;
  for (auto& [key, held] : held_) {
    if (IsAtOrBelow(held->path, from)) held->path.replace(0, from.size(), to);
  }
  return status;
}

bool OpenFiles::BeginAnew(const std::string& path) {
  MutexLock lock(mutex_);
  const bool written = std::any_of(held_.begin(), held_.end(),
                                   [&path](const auto& each) { return each.second->path == path; });
  const bool leaves = std::any_of(leaving_.begin(), leaving_.end(),
                                  [&path](const auto& each) { return IsAtOrBelow(path, each); });
  return !written && !leaves && anew_.emplace(path, Anew::kSame).second;
}

bool OpenFiles::MayTakeItsPlace(const std::string& path) {
  MutexLock lock(mutex_);
  const auto found = anew_.find(path);
  CAIRN_CHECK(found != anew_.end()) << path;
  if (found->second != Anew::kSame) return false;
  found->second = Anew::kTakesItsPlace;
  return true;
}

void OpenFiles::EndAnew(const std::string& path) {
  MutexLock lock(mutex_);
  anew_.erase(path);
  ended_.NotifyAll();
}

}  // namespace cairn
