#include "storage/block/block_set.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/block/block_key.h"
#include "storage/no_room.h"

namespace cairn {

BlockSet::BlockSet(FileSystem& file_system, Options options, std::vector<uint64_t> spares)
    : file_system_(file_system), options_(std::move(options)), spares_(std::move(spares)) {
  if (!spares_.empty()) next_spare_ = *std::max_element(spares_.begin(), spares_.end()) + 1;
  std::erase_if(spares_, [this](uint64_t spare) {
    const std::string path = PathOf(SpareFileName(spare));
    const absl::StatusOr<bool> is_spare = IsSpare(path);
    // One that stays takes room until the next start, and is not used.
    if (is_spare.ok() && !*is_spare) file_system_.Remove(path).IgnoreError();
    return !is_spare.ok() || !*is_spare;
  });
  if (options_.keys == nullptr) return;
  key_user_ = std::make_unique<KeyRing::User>(*options_.keys, [this] { return KeysInUse(); });
}

// With those of a block that is being made or wrapped anew: it may have been begun with a key that
// was the newest then.
std::set<uint64_t> BlockSet::KeysInUse() {
  MutexLock lock(mutex_);
  while (preparing_ || wrapping_) done_.Wait(mutex_);
  std::set<uint64_t> keys;
  for (const auto& [id, block] : blocks_) keys.insert(block->header().key);
  keys.erase(0);
  return keys;
}

void BlockSet::Add(std::shared_ptr<BlockFile> block) {
  MutexLock lock(mutex_);
  blocks_[block->block()] = std::move(block);
}

std::shared_ptr<BlockFile> BlockSet::Find(uint64_t id) const {
  MutexLock lock(mutex_);
  auto found = blocks_.find(id);
  return found == blocks_.end() ? nullptr : found->second;
}

std::vector<uint64_t> BlockSet::Ids() const {
  MutexLock lock(mutex_);
  std::vector<uint64_t> ids;
  for (const auto& [id, block] : blocks_) ids.push_back(id);
  return ids;
}

std::string BlockSet::PathOf(const std::string& name) const {
  return JoinPath(options_.directory, name);
}

bool BlockSet::IsCurrent(const BlockFile& block) const {
  if (!HasCurrentCipher(block)) return false;
  const std::optional<MasterKey> master =
      options_.keys == nullptr ? std::nullopt : options_.keys->current();
  return block.header().key == (master ? master->id : 0);
}

bool BlockSet::HasCurrentCipher(const BlockFile& block) const {
  const Cipher wanted = options_.keys == nullptr ? Cipher::kNone : options_.keys->cipher();
  return block.header().encryption.cipher == wanted;
}

void BlockSet::RewrapBefore(uint64_t end) {
  if (options_.keys == nullptr) return;
  for (uint64_t id : Ids()) {
    if (id >= end) break;
    std::shared_ptr<BlockFile> block;
    {
      MutexLock lock(mutex_);
      while (wrapping_) done_.Wait(mutex_);
      if (closed_) return;
      if (auto found = blocks_.find(id); found != blocks_.end()) block = found->second;
      wrapping_ = true;
    }
    // A block whose header cannot be written is readable with the key it has; the next process
    // tries again.
    if (block != nullptr) block->Rewrap(*options_.keys).IgnoreError();
    MutexLock lock(mutex_);
    wrapping_ = false;
    done_.NotifyAll();
  }
}

absl::Status BlockSet::Prepare(uint64_t id, uint64_t min_bytes, Reserve reserve) {
  return Make(id, min_bytes, Purpose::kAhead, reserve);
}

absl::StatusOr<std::shared_ptr<BlockFile>> BlockSet::Begin(uint64_t id, uint64_t min_bytes,
                                                           Reserve reserve) {
  absl::Status status = Make(id, min_bytes, Purpose::kBegin, reserve);
  if (!status.ok()) return status;
  return Find(id);
}

void BlockSet::FillWith(Zeroes zeroes) {
  MutexLock lock(mutex_);
  zeroes_ = zeroes;
}

void BlockSet::Continue(uint64_t id) {
  MutexLock lock(mutex_);
  CAIRN_CHECK(blocks_.contains(id));
  begun_ = std::max(begun_, id);
}

void BlockSet::Close() {
  MutexLock lock(mutex_);
  closed_ = true;
  while (preparing_ || wrapping_) done_.Wait(mutex_);
}

absl::Status BlockSet::Make(uint64_t id, uint64_t min_bytes, Purpose purpose, Reserve reserve) {
  if (options_.keys != nullptr && options_.keys->cipher() != Cipher::kNone) {
    // What the units add; LogEnd::BlockBytesFor is generous enough for what is rounded otherwise.
    const uint64_t unit = options_.geometry.unit_bytes;
    const uint64_t plain = unit - UnitCipher::kOverhead;
    min_bytes = (min_bytes + plain - 1) / plain * unit;
  }
  const uint64_t bytes =
      std::max(options_.geometry.block_bytes,
               (min_bytes + kBlockAlignment - 1) / kBlockAlignment * kBlockAlignment);
  uint64_t before = 0;
  {
    MutexLock lock(mutex_);
    while (preparing_) done_.Wait(mutex_);
    before = begun_;
    if (purpose == Purpose::kBegin) {
      CAIRN_CHECK_GT(id, begun_);
      // From here on those who prepare ahead leave it alone, so it is what was made here.
      begun_ = id;
    } else if (closed_ || id <= begun_) {
      return absl::OkStatus();
    }
    auto found = blocks_.find(id);
    if (found != blocks_.end() && found->second->header().geometry.block_bytes >= bytes &&
        IsCurrent(*found->second)) {
      return absl::OkStatus();
    }
    // Its file is replaced, also where the new one cannot be used yet: nobody may write to the old.
    if (found != blocks_.end()) blocks_.erase(found);
    preparing_ = true;
  }
  absl::Status status = Format(id, bytes, reserve);
  MutexLock lock(mutex_);
  // Nobody writes to it, so it may be prepared ahead again.
  if (!status.ok() && purpose == Purpose::kBegin) begun_ = before;
  preparing_ = false;
  done_.NotifyAll();
  return status;
}

// Takes the place of a file of that name, in which nothing stands.
absl::Status BlockSet::Format(uint64_t id, uint64_t bytes, Reserve reserve) {
  bool names_wait = false;
  {
    MutexLock lock(mutex_);
    names_wait = !unsynced_.empty();
  }
  absl::Status status = names_wait ? SyncNames() : absl::OkStatus();
  if (absl::IsUnavailable(status)) return NoRoomError(status.message());
  if (!status.ok()) return status;
  status = FormatIn(TakeSpare(options_.reserve), id, bytes);
  if (!IsNoRoom(status)) return status;
  {
    MutexLock lock(mutex_);
    short_ = true;
  }
  if (reserve == Reserve::kKeep || bytes != options_.geometry.block_bytes) return status;
  const std::optional<uint64_t> kept = TakeSpare(0);
  return kept ? FormatIn(kept, id, bytes) : status;
}

// The first spare, if there are more than `keep`.
std::optional<uint64_t> BlockSet::TakeSpare(size_t keep) {
  MutexLock lock(mutex_);
  if (spares_.size() <= keep) return std::nullopt;
  const uint64_t spare = spares_.front();
  spares_.erase(spares_.begin());
  return spare;
}

// In a new file, if there is no spare.
absl::Status BlockSet::FormatIn(std::optional<uint64_t> spare, uint64_t id, uint64_t bytes) {
  const bool create = !spare;
  Zeroes zeroes;
  {
    MutexLock lock(mutex_);
    if (create) spare = next_spare_++;
    zeroes = bytes == options_.geometry.block_bytes ? zeroes_ : Zeroes::kReserved;
  }
  BlockHeader header = {.identity = options_.identity, .block = id, .geometry = options_.geometry};
  header.geometry.block_bytes = bytes;
  std::optional<SecretKey> data_key;
  if (options_.keys != nullptr) {
    if (const std::optional<MasterKey> master = options_.keys->current()) {
      data_key = MakeBlockKey(header, options_.keys->cipher(), *master, options_.keys->random());
    }
  }
  const std::string spare_path = PathOf(SpareFileName(*spare));
  absl::Status status = FormatBlock(file_system_, spare_path, create, header, zeroes);
  const std::string path = PathOf(BlockFileName(id));
  if (IsNoRoom(status)) {  // the file could not be opened
    MutexLock lock(mutex_);
    if (!create) spares_.push_back(*spare);
    return status;
  }
  if (status.ok()) status = file_system_.Rename(spare_path, path);
  if (absl::IsResourceExhausted(status)) {
    // What there is of it takes what others may need.
    file_system_.Remove(spare_path).IgnoreError();
    return NoRoomError(absl::StrCat("no room for ", path, ": ", status.message()));
  }
  if (!status.ok()) return status;
  status = SyncNames();
  if (absl::IsUnavailable(status) && file_system_.Rename(path, spare_path).ok()) {
    MutexLock lock(mutex_);
    unsynced_.push_back(*spare);
    return NoRoomError(status.message());
  }
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_.Open(path, {.mode = FileSystem::OpenMode::kReadWrite});
  // It is there, and nothing stands in it: the next attempt makes another one in its place.
  if (absl::IsUnavailable(file.status())) return NoRoomError(file.status().message());
  if (!file.ok()) return file.status();
  Add(std::make_shared<BlockFile>(file_system_, *std::move(file), header, std::move(data_key),
                                  options_.keys == nullptr ? nullptr : &options_.keys->random()));
  return absl::OkStatus();
}

// What was a block is a spare from then on.
absl::Status BlockSet::SyncNames() {
  std::vector<uint64_t> names;
  {
    MutexLock lock(mutex_);
    names.swap(unsynced_);
  }
  const absl::Status status = file_system_.SyncDirectory(options_.directory);
  MutexLock lock(mutex_);
  std::vector<uint64_t>& to = status.ok() ? spares_ : unsynced_;
  to.insert(to.end(), names.begin(), names.end());
  return status;
}

// The reserve -------------------------------------------------------------------------------------

absl::Status BlockSet::FillReserve() {
  for (;;) {
    uint64_t number = 0;
    {
      MutexLock lock(mutex_);
      while (preparing_) done_.Wait(mutex_);
      if (closed_) return absl::OkStatus();
      if (spares_.size() >= options_.reserve) {
        short_ = false;
        return absl::OkStatus();
      }
      number = next_spare_++;
      preparing_ = true;
    }
    const std::string path = PathOf(SpareFileName(number));
    absl::Status status = MakeSpare(path);
    if (!status.ok()) file_system_.Remove(path).IgnoreError();
    MutexLock lock(mutex_);
    preparing_ = false;
    done_.NotifyAll();
    if (absl::IsResourceExhausted(status)) {
      short_ = true;
      return NoRoomError(absl::StrCat("no room for ", path, ": ", status.message()));
    }
    if (!status.ok()) return status;
    spares_.push_back(number);
  }
}

absl::Status BlockSet::MakeSpare(const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_.Open(path, {.mode = FileSystem::OpenMode::kCreate});
  if (!file.ok()) return file.status();
  absl::Status status = file_system_.Preallocate(**file, options_.geometry.block_bytes);
  return status.ok() ? file_system_.SyncNow(**file) : status;
}

// Of the usual length; and what was never encrypted does not stay where all is meant to be: the
// file was a block that was encrypted, or none at all.
absl::StatusOr<bool> BlockSet::IsSpare(const std::string& path) const {
  absl::StatusOr<std::unique_ptr<File>> file =
      file_system_.Open(path, {.mode = FileSystem::OpenMode::kRead});
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  if (*size != options_.geometry.block_bytes) return false;
  if (options_.keys == nullptr || options_.keys->cipher() == Cipher::kNone) return true;
  std::string first(kSectorBytes, 0);
  const absl::StatusOr<size_t> read = (*file)->Read(0, first.size(), first.data());
  if (!read.ok()) return read.status();
  if (first.find_first_not_of('\0') == std::string::npos) return true;
  const absl::StatusOr<BlockHeader> header = BlockHeader::Decode(first);
  return header.ok() && header->is_encrypted();
}

bool BlockSet::HasReserve() const {
  MutexLock lock(mutex_);
  return !short_ || spares_.size() >= options_.reserve;
}

absl::StatusOr<bool> BlockSet::Replace(const std::shared_ptr<BlockFile>& block, Finish finish) {
  {
    MutexLock lock(mutex_);
    while (wrapping_) done_.Wait(mutex_);
    auto found = blocks_.find(block->block());
    if (closed_ || found == blocks_.end() || found->second != block) return false;
    wrapping_ = true;
  }
  absl::StatusOr<std::shared_ptr<BlockFile>> written = finish();
  MutexLock lock(mutex_);
  wrapping_ = false;
  done_.NotifyAll();
  if (!written.ok()) return written.status();
  blocks_.at(block->block()) = *std::move(written);
  return true;
}

absl::Status BlockSet::Release(uint64_t id) {
  std::optional<uint64_t> spare;
  {
    MutexLock lock(mutex_);
    auto found = blocks_.find(id);
    CAIRN_CHECK(found != blocks_.end());
    // Readers take their reference under the lock, so nobody can come once there is none.
    if (found->second.use_count() > 1) return absl::OkStatus();
    const BlockHeader header = found->second->header();
    const bool trusted = found->second->trusted();
    // What was never encrypted does not stay where all is meant to be.
    const bool may_stay = options_.keys == nullptr || options_.keys->cipher() == Cipher::kNone ||
                          header.is_encrypted();
    const bool usual =
        !header.is_compressed() && header.geometry.block_bytes == options_.geometry.block_bytes;
    blocks_.erase(found);
    begun_ = std::max(begun_, id);
    const size_t enough = options_.max_spares + options_.reserve;
    const size_t spares = spares_.size() + unsynced_.size();
    if (usual && may_stay && trusted && spares < enough) spare = next_spare_++;
  }
  const std::string path = PathOf(BlockFileName(id));
  absl::Status status =
      spare ? file_system_.Rename(path, PathOf(SpareFileName(*spare))) : file_system_.Remove(path);
  if (!status.ok()) return status;
  if (spare) {
    MutexLock lock(mutex_);
    unsynced_.push_back(*spare);
  }
  status = SyncNames();
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

}  // namespace cairn
