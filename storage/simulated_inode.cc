#include "storage/simulated_inode.h"

#include <algorithm>
#include <array>
#include <utility>

#include "storage/file_system.h"

namespace cairn::internal {
namespace {

constexpr std::array<char, kSectorBytes> kZeroSector = {};

absl::string_view View(const std::array<char, kSectorBytes>& sector) {
  return {sector.data(), sector.size()};
}

// The sectors that `length` bytes at `offset` touch: [first, end).
struct SectorRange {
  SectorRange(uint64_t offset, uint64_t length)
      : first(offset / kSectorBytes),
        end(length == 0 ? first : (offset + length - 1) / kSectorBytes + 1) {}
  uint64_t first;
  uint64_t end;
};

}  // namespace

SimulatedInode::SimulatedInode(SectorImage content, std::set<uint64_t> unreadable)
    : directory_(false),
      cached_(content),
      durable_(std::move(content)),
      unreadable_(std::move(unreadable)) {}

SectorImage SimulatedInode::OnDisk() const {
  SectorImage image = durable_;
  for (const Operation& operation : pending_) Apply(operation, image);
  image.SetLength(image.length());
  return image;
}

void SimulatedInode::Write(uint64_t offset, absl::string_view data, OperationCounter& counter) {
  const uint64_t old_length = cached_.length();
  if (data.empty()) return;
  cached_.Write(offset, data);
  const SectorRange range(offset, data.size());
  const uint64_t start = range.first * kSectorBytes;
  // What stands around `data` in its first and its last sector.
  std::string sectors;
  sectors.reserve((range.end - range.first) * kSectorBytes);
  sectors.resize(offset - start, '\0');
  cached_.Read(start, sectors.size(), sectors.data());
  sectors.append(data.data(), data.size());
  const size_t filled = sectors.size();
  sectors.resize((range.end - range.first) * kSectorBytes, '\0');
  cached_.Read(start + filled, sectors.size() - filled, sectors.data() + filled);
  const Bytes content = Bytes::Take(std::move(sectors));
  for (uint64_t sector = range.first; sector < range.end; ++sector) {
    unreadable_.erase(sector);
    Bytes bytes = content.Slice((sector - range.first) * kSectorBytes, kSectorBytes);
    if (IsOnDisk(sector, bytes.view())) continue;
    pending_.push_back({counter.next++, counter.call, false, sector, std::move(bytes)});
    ++pending_of_sector_[sector];
  }
  if (cached_.length() != old_length) AddLength(counter);
}

void SimulatedInode::WriteLost(uint64_t offset, absl::string_view data) {
  cached_.Write(offset, data);
}

void SimulatedInode::Resize(uint64_t length, OperationCounter& counter) {
  if (length == cached_.length()) return;
  cached_.SetLength(length);
  AddLength(counter);
}

void SimulatedInode::MakeDurable(OperationId end) {
  for (const Operation& operation : pending_) {
    if (operation.id < end) Apply(operation, durable_);
  }
  durable_.SetLength(durable_.length());
  Forget(end, /*keep_lengths=*/false);
}

void SimulatedInode::LoseSectors(OperationId end, const std::function<bool()>& keep) {
  for (const Operation& operation : pending_) {
    if (operation.id < end && !operation.is_length && keep()) Apply(operation, durable_);
  }
  Forget(end, /*keep_lengths=*/true);
}

void SimulatedInode::AppendPending(std::vector<PendingOperation>& to) const {
  for (const Operation& operation : pending_) {
    PendingOperation listed;
    listed.id = operation.id;
    listed.kind =
        operation.is_length ? PendingOperation::Kind::kLength : PendingOperation::Kind::kSector;
    listed.call = operation.call;
    listed.path = path;
    listed.offset = operation.is_length ? operation.value : operation.value * kSectorBytes;
    to.push_back(std::move(listed));
  }
}

std::shared_ptr<SimulatedInode> SimulatedInode::AfterCrash(
    const std::set<OperationId>& kept) const {
  SectorImage image = durable_;
  bool length_lost = false;
  for (const Operation& operation : pending_) {
    const bool keep = kept.count(operation.id) != 0 && !(operation.is_length && length_lost);
    if (keep) Apply(operation, image);
    if (operation.is_length && !keep) length_lost = true;
  }
  image.SetLength(image.length());
  auto inode = std::make_shared<SimulatedInode>(std::move(image), unreadable_);
  inode->path = path;
  return inode;
}

void SimulatedInode::Damage(uint64_t offset, size_t length, const Change& change) {
  const SectorRange range(offset, length);
  const auto damage_sector = [&](uint64_t sector, char* bytes) {
    for (size_t i = 0; i < kSectorBytes; ++i) {
      const uint64_t at = sector * kSectorBytes + i;
      if (at >= offset && at < offset + length) {
        bytes[i] = change(static_cast<size_t>(at - offset), bytes[i]);
      }
    }
  };
  for (SectorImage* image : {&cached_, &durable_}) {
    for (uint64_t sector = range.first; sector < range.end; ++sector) {
      std::array<char, kSectorBytes> bytes = image->ReadSector(sector);
      damage_sector(sector, bytes.data());
      image->WriteSector(sector, View(bytes));
    }
    image->SetLength(image->length());
  }
  for (Operation& operation : pending_) {
    if (operation.is_length || operation.value < range.first || operation.value >= range.end) {
      continue;
    }
    std::string bytes(operation.content.view());
    damage_sector(operation.value, bytes.data());
    operation.content = Bytes::Take(std::move(bytes));
  }
}

void SimulatedInode::FailReads(uint64_t offset, uint64_t length) {
  const SectorRange range(offset, length);
  for (uint64_t sector = range.first; sector < range.end; ++sector) unreadable_.insert(sector);
}

bool SimulatedInode::Readable(uint64_t offset, size_t length) const {
  const SectorRange range(offset, length);
  const auto bad = unreadable_.lower_bound(range.first);
  return bad == unreadable_.end() || *bad >= range.end;
}

void SimulatedInode::Apply(const Operation& operation, SectorImage& image) {
  if (operation.is_length) {
    image.SetLength(operation.value);
  } else {
    image.WriteSector(operation.value, operation.content.view());
  }
}

// Zeroes over zeroes stay zeroes even if the file is cut meanwhile; other content might not.
bool SimulatedInode::IsOnDisk(uint64_t sector, absl::string_view content) const {
  if (pending_of_sector_.count(sector) != 0) return false;
  if (pending_lengths_ != 0 && content != View(kZeroSector)) return false;
  const std::array<char, kSectorBytes> on_disk = durable_.ReadSector(sector);
  return content == View(on_disk);
}

void SimulatedInode::AddLength(OperationCounter& counter) {
  pending_.push_back({counter.next++, counter.call, true, cached_.length(), Bytes()});
  ++pending_lengths_;
}

void SimulatedInode::Forget(OperationId end, bool keep_lengths) {
  std::vector<Operation> rest;
  for (Operation& operation : pending_) {
    if (operation.id >= end || (operation.is_length && keep_lengths)) {
      rest.push_back(std::move(operation));
    } else if (operation.is_length) {
      --pending_lengths_;
    } else {
      const auto count = pending_of_sector_.find(operation.value);
      if (--count->second == 0) pending_of_sector_.erase(count);
    }
  }
  pending_ = std::move(rest);
}

}  // namespace cairn::internal
