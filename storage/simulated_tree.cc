#include "storage/simulated_tree.h"

#include <errno.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace cairn::internal {
namespace {

using InodePointer = SimulatedTree::InodePointer;
using Entries = SimulatedInode::Entries;

std::vector<std::string> NamesOf(const std::string& path) {
  return absl::StrSplit(path, '/', absl::SkipEmpty());
}

// Calls `visit` once for every inode that cached or durable names lead to, in the order of names.
void ForEachInode(const InodePointer& inode, std::set<const SimulatedInode*>& seen,
                  const std::function<void(const SimulatedInode&)>& visit) {
  if (!seen.insert(inode.get()).second) return;
  visit(*inode);
  for (const auto& [name, child] : inode->entries) ForEachInode(child, seen, visit);
  for (const auto& [name, child] : inode->durable_entries) ForEachInode(child, seen, visit);
}

void Erase(Entries& entries, const std::string& name, const InodePointer& inode) {
  const auto entry = entries.find(name);
  if (entry != entries.end() && entry->second == inode) entries.erase(entry);
}

// Copies what durable entries lead to, as a power cut leaves it.
class CrashCopier {
 public:
  explicit CrashCopier(const std::set<OperationId>& kept) : kept_(kept) {}

  // The entries of the directory that the copy has; first those that are durable.
  Entries& EntriesOf(const SimulatedInode& directory) {
    return entries_.try_emplace(&directory, directory.durable_entries).first->second;
  }

  InodePointer Copy(const SimulatedInode& inode) {
    const auto [known, is_new] = copies_.try_emplace(&inode, nullptr);
    if (!is_new) return known->second;
    if (!inode.is_directory()) return known->second = inode.AfterCrash(kept_);
    auto directory = std::make_shared<SimulatedInode>(/*directory=*/true);
    known->second = directory;
    for (const auto& [name, child] : EntriesOf(inode)) directory->entries[name] = Copy(*child);
    directory->durable_entries = directory->entries;
    return directory;
  }

 private:
  const std::set<OperationId>& kept_;
  // Only looked up in, never walked: the order of addresses does not show.
  std::map<const SimulatedInode*, Entries> entries_;
  std::map<const SimulatedInode*, InodePointer> copies_;
};

}  // namespace

SimulatedTree::SimulatedTree() : root_(std::make_shared<SimulatedInode>(/*directory=*/true)) {}

std::string SimulatedTree::Normalize(const std::string& path) {
  std::string normal;
  for (const std::string& name : NamesOf(path)) {
    if (name != ".") absl::StrAppend(&normal, "/", name);
  }
  return normal.empty() ? "/" : normal;
}

int SimulatedTree::Find(const std::string& path, InodePointer* found) const {
  InodePointer inode = root_;
  for (const std::string& name : NamesOf(path)) {
    if (!inode->is_directory()) return ENOTDIR;
    if (name == ".") continue;
    const auto entry = inode->entries.find(name);
    if (entry == inode->entries.end()) return ENOENT;
    inode = entry->second;
  }
  *found = std::move(inode);
  return 0;
}

int SimulatedTree::FindPlace(const std::string& path, Place* place) const {
  const std::string normal = Normalize(path);
  const size_t slash = normal.rfind('/');
  place->name = normal.substr(slash + 1);
  if (place->name.empty()) return EBUSY;  // the root
  if (const int error = Find(normal.substr(0, slash), &place->directory); error != 0) return error;
  return place->directory->is_directory() ? 0 : ENOTDIR;
}

void SimulatedTree::Add(EntryOperation operation, OperationCounter& counter) {
  operation.id = counter.next++;
  operation.call = counter.call;
  if (operation.from_directory != nullptr) {
    operation.from_directory->entries.erase(operation.from_name);
  }
  if (operation.to_directory != nullptr) {
    operation.to_directory->entries[operation.to_name] = operation.inode;
  }
  pending_.push_back(std::move(operation));
}

int SimulatedTree::Create(const std::string& path, OperationCounter& counter, InodePointer* made) {
  Place place;
  if (const int error = FindPlace(path, &place); error != 0) return error;
  if (place.directory->entries.count(place.name) != 0) return EEXIST;
  *made = std::make_shared<SimulatedInode>(/*directory=*/false);
  (*made)->path = path;
  EntryOperation operation;
  operation.kind = PendingOperation::Kind::kCreate;
  operation.inode = *made;
  operation.to_directory = place.directory;
  operation.to_name = place.name;
  Add(std::move(operation), counter);
  return 0;
}

int SimulatedTree::Rename(const std::string& from, const std::string& to,
                          OperationCounter& counter) {
  InodePointer inode;
  Place from_place, to_place;
  if (const int error = Find(from, &inode); error != 0) return error;
  if (const int error = FindPlace(from, &from_place); error != 0) return error;
  if (const int error = FindPlace(to, &to_place); error != 0) return error;
  const std::string from_path = Normalize(from), to_path = Normalize(to);
  if (from_path == to_path) return 0;
  if (absl::StartsWith(to_path, from_path + "/")) return EINVAL;
  const auto target = to_place.directory->entries.find(to_place.name);
  if (target != to_place.directory->entries.end()) {
    const SimulatedInode& replaced = *target->second;
    if (replaced.is_directory() && !inode->is_directory()) return EISDIR;
    if (!replaced.is_directory() && inode->is_directory()) return ENOTDIR;
    if (!replaced.entries.empty()) return ENOTEMPTY;
  }
  inode->path = to;
  EntryOperation operation;
  operation.kind = PendingOperation::Kind::kRename;
  operation.inode = inode;
  operation.from_directory = from_place.directory;
  operation.from_name = from_place.name;
  operation.to_directory = to_place.directory;
  operation.to_name = to_place.name;
  Add(std::move(operation), counter);
  return 0;
}

int SimulatedTree::Remove(const std::string& path, OperationCounter& counter) {
  InodePointer inode;
  Place place;
  if (const int error = Find(path, &inode); error != 0) return error;
  if (const int error = FindPlace(path, &place); error != 0) return error;
  if (!inode->entries.empty()) return ENOTEMPTY;
  EntryOperation operation;
  operation.kind = PendingOperation::Kind::kRemove;
  operation.inode = inode;
  operation.from_directory = place.directory;
  operation.from_name = place.name;
  Add(std::move(operation), counter);
  return 0;
}

int SimulatedTree::MakeDirectory(const std::string& path) {
  InodePointer inode;
  const int found = Find(path, &inode);
  if (found == 0) return inode->is_directory() ? 0 : ENOTDIR;
  if (found != ENOENT) return found;
  const std::string normal = Normalize(path);
  const std::string parent = normal.substr(0, normal.rfind('/'));
  if (const int error = MakeDirectory(parent); error != 0) return error;
  Place place;
  if (const int error = FindPlace(normal, &place); error != 0) return error;
  inode = std::make_shared<SimulatedInode>(/*directory=*/true);
  place.directory->entries[place.name] = inode;
  place.directory->durable_entries[place.name] = inode;
  return 0;
}

void SimulatedTree::MakeDurable(const SimulatedInode& directory) {
  std::vector<EntryOperation> rest;
  for (EntryOperation& operation : pending_) {
    if (operation.from_directory.get() != &directory &&
        operation.to_directory.get() != &directory) {
      rest.push_back(std::move(operation));
      continue;
    }
    if (operation.from_directory != nullptr) {
      Erase(operation.from_directory->durable_entries, operation.from_name, operation.inode);
    }
    if (operation.to_directory != nullptr) {
      operation.to_directory->durable_entries[operation.to_name] = operation.inode;
    }
  }
  pending_ = std::move(rest);
}

std::vector<PendingOperation> SimulatedTree::Pending() const {
  std::vector<PendingOperation> pending;
  std::set<const SimulatedInode*> seen;
  const auto append = [&pending](const SimulatedInode& inode) { inode.AppendPending(pending); };
  ForEachInode(root_, seen, append);
  for (const EntryOperation& operation : pending_) {
    // A file made and removed again since has no name left, but its entry may survive.
    ForEachInode(operation.inode, seen, append);
    PendingOperation listed;
    listed.id = operation.id;
    listed.kind = operation.kind;
    listed.call = operation.call;
    listed.path = operation.inode->path;
    pending.push_back(std::move(listed));
  }
  std::sort(pending.begin(), pending.end(),
            [](const PendingOperation& a, const PendingOperation& b) { return a.id < b.id; });
  return pending;
}

std::vector<const SimulatedTree::EntryOperation*> SimulatedTree::Surviving(
    const std::set<OperationId>& kept) const {
  std::vector<const EntryOperation*> surviving;
  std::set<const SimulatedInode*> lost;
  for (const EntryOperation& operation : pending_) {
    if (kept.count(operation.id) != 0 && lost.count(operation.inode.get()) == 0) {
      surviving.push_back(&operation);
    } else {
      lost.insert(operation.inode.get());
    }
  }
  return surviving;
}

SimulatedTree SimulatedTree::AfterCrash(const std::set<OperationId>& kept) const {
  CrashCopier copier(kept);
  for (const EntryOperation* operation : Surviving(kept)) {
    if (operation->from_directory != nullptr) {
      Erase(copier.EntriesOf(*operation->from_directory), operation->from_name, operation->inode);
    }
    if (operation->to_directory != nullptr) {
      copier.EntriesOf(*operation->to_directory)[operation->to_name] = operation->inode;
    }
  }
  SimulatedTree tree;
  tree.root_ = copier.Copy(*root_);
  return tree;
}

uint64_t SimulatedTree::TotalLength() const {
  uint64_t total = 0;
  const std::function<void(const SimulatedInode&)> add = [&](const SimulatedInode& inode) {
    total += inode.cached().length();
    for (const auto& [name, child] : inode.entries) add(*child);
  };
  add(*root_);
  return total;
}

}  // namespace cairn::internal
