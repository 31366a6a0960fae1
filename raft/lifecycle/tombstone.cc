#include "raft/lifecycle/tombstone.h"

#include <tuple>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr char kMagic[] = "CAIRNEND";
constexpr uint32_t kVersion = 1;
constexpr const char* kCopies[] = {"tombstone", "tombstone.copy"};

std::string GroupsDirectory(const std::string& data_directory) {
  return absl::StrCat(data_directory, "/groups");
}

std::string DirectoryOfGroup(const std::string& data_directory, GroupId group) {
  return absl::StrCat(GroupsDirectory(data_directory), "/", ToInteger(group));
}

// magic | version u32 | group u64 | deletions u64 | incarnation u64 | removed u8 | XXH3-64
std::string Encode(const Tombstone& tombstone) {
  std::string bytes = kMagic;
  AppendLittleEndian(&bytes, kVersion);
  AppendLittleEndian(&bytes, ToInteger(tombstone.group));
  AppendLittleEndian(&bytes, tombstone.deletions);
  AppendLittleEndian(&bytes, ToInteger(tombstone.incarnation));
  AppendLittleEndian(&bytes, static_cast<uint8_t>(tombstone.removed ? 1 : 0));
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

std::optional<Tombstone> Decode(absl::string_view bytes, GroupId group) {
  constexpr size_t kSumBytes = sizeof(uint64_t);
  if (bytes.size() < kSumBytes) return std::nullopt;
  const absl::string_view body = bytes.substr(0, bytes.size() - kSumBytes);
  Decoder sum(bytes.substr(body.size()));
  if (sum.Read<uint64_t>() != Checksum(body)) return std::nullopt;
  Decoder decoder(body);
  const bool known = decoder.ReadBytes(sizeof(kMagic) - 1) == kMagic;
  if (!known || decoder.Read<uint32_t>() != kVersion) return std::nullopt;
  Tombstone tombstone;
  tombstone.group = static_cast<GroupId>(decoder.Read<uint64_t>());
  tombstone.deletions = decoder.Read<uint64_t>();
  tombstone.incarnation = static_cast<Incarnation>(decoder.Read<uint64_t>());
  tombstone.removed = decoder.Read<uint8_t>() != 0;
  if (!decoder.Done() || tombstone.group != group) return std::nullopt;
  return tombstone;
}

// A directory with all that is in it, or a file.
absl::Status RemoveTree(FileSystem& file_system, const std::string& path) {
  absl::StatusOr<bool> there = file_system.Exists(path);
  if (!there.ok()) return there.status();
  if (!*there) return absl::OkStatus();
  if (absl::StatusOr<std::vector<std::string>> names = file_system.List(path); names.ok()) {
    for (const std::string& name : *names) {
      absl::Status status = RemoveTree(file_system, absl::StrCat(path, "/", name));
      if (!status.ok()) return status;
    }
  }
  return file_system.Remove(path);
}

// The same, and durable.
absl::Status RemoveForGood(FileSystem& file_system, const std::string& path) {
  absl::StatusOr<bool> there = file_system.Exists(DirectoryOf(path));
  if (!there.ok()) return there.status();
  if (!*there) return absl::OkStatus();
  if (absl::Status status = RemoveTree(file_system, path); !status.ok()) return status;
  return file_system.SyncDirectory(DirectoryOf(path));
}

}  // namespace

absl::StatusOr<std::optional<Tombstone>> LoadTombstone(FileSystem& file_system,
                                                       const std::string& data_directory,
                                                       GroupId group) {
  const std::string directory = DirectoryOfGroup(data_directory, group);
  std::optional<Tombstone> newest;
  int there = 0;
  int agree = 0;
  for (const char* copy : kCopies) {
    const std::string path = absl::StrCat(directory, "/", copy);
    absl::StatusOr<std::string> bytes = ReadWholeFile(file_system, path);
    if (absl::IsNotFound(bytes.status())) continue;
    if (!bytes.ok() && !absl::IsDataLoss(bytes.status())) return bytes.status();
    ++there;
    if (!bytes.ok()) continue;
    const std::optional<Tombstone> read = Decode(*bytes, group);
    if (!read) continue;
    const auto rank = [](const Tombstone& each) {
      return std::tuple(each.deletions, each.removed);
    };
    if (newest && rank(*newest) == rank(*read)) ++agree;
    if (!newest || rank(*newest) < rank(*read)) newest = read;
  }
  if (there == 0) return std::nullopt;
  if (!newest) {
    return absl::DataLossError(
        absl::StrCat(directory, "/", kCopies[0], ": what is known of the deleted group cannot be ",
                     "read: delete it again, or remove this member and add it under a new id"));
  }
  if (agree == 0) {
    if (absl::Status status = SaveTombstone(file_system, data_directory, *newest); !status.ok()) {
      return status;
    }
  }
  return newest;
}

absl::Status SaveTombstone(FileSystem& file_system, const std::string& data_directory,
                           const Tombstone& tombstone) {
  const std::string directory = DirectoryOfGroup(data_directory, tombstone.group);
  absl::Status status = file_system.MakeDirectory(directory);
  for (const char* copy : kCopies) {
    if (!status.ok()) return status;
    status =
        WriteFileAtomically(file_system, absl::StrCat(directory, "/", copy), Encode(tombstone));
  }
  return status;
}

absl::StatusOr<std::vector<Tombstone>> UnfinishedTombstones(FileSystem& file_system,
                                                            const std::string& data_directory) {
  std::vector<Tombstone> unfinished;
  const std::string groups = GroupsDirectory(data_directory);
  absl::StatusOr<bool> there = file_system.Exists(groups);
  if (!there.ok()) return there.status();
  if (!*there) return unfinished;
  absl::StatusOr<std::vector<std::string>> names = file_system.List(groups);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    uint64_t id = 0;
    if (!absl::SimpleAtoi(name, &id) || id == 0 || absl::StrCat(id) != name) continue;
    absl::StatusOr<std::optional<Tombstone>> tombstone =
        LoadTombstone(file_system, data_directory, GroupId{id});
    // A damaged one is told to who opens that group.
    if (absl::IsDataLoss(tombstone.status())) continue;
    if (!tombstone.ok()) return tombstone.status();
    if (*tombstone && !(*tombstone)->removed) unfinished.push_back(**tombstone);
  }
  return unfinished;
}

absl::Status RemoveGroupFiles(FileSystem& file_system, const std::string& data_directory,
                              GroupId group) {
  absl::Status status =
      RemoveForGood(file_system, absl::StrCat(data_directory, "/snapshots/", ToInteger(group)));
  if (!status.ok()) return status;
  return RemoveForGood(file_system, DirectoryOfGroup(data_directory, group) + "/machine");
}

}  // namespace cairn
