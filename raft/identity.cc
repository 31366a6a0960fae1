#include "raft/identity.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/coding.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

// One copy, integers little-endian:
//
//   magic[8] version:u32 cluster[16] node:u64 incarnation:u64 formed:u8
//   members:u32 { node:u64 incarnation:u64 address:length-prefixed } log_store:length-prefixed
//   checksum:u64 of everything before
//
// Later versions keep magic, version and the checksum in their places, so that an older program can
// tell "too new" from "damaged". The copies may differ in `formed` and the incarnations only, after
// a power cut between the two writes; then the formed one is the later one.
constexpr char kMagic[] = "CAIRNWHO";
constexpr size_t kMagicBytes = sizeof(kMagic) - 1;
constexpr const char* kNames[] = {"identity", "identity.copy"};

std::string PathOf(const std::string& directory, const char* name) {
  return absl::StrCat(directory, "/", name);
}

std::string EncodeIdentity(const NodeIdentity& identity) {
  std::string bytes(kMagic, kMagicBytes);
  AppendLittleEndian(&bytes, kDataFormatVersion);
  bytes.append(reinterpret_cast<const char*>(identity.cluster.bytes.data()),
               identity.cluster.bytes.size());
  AppendLittleEndian(&bytes, ToInteger(identity.node));
  AppendLittleEndian(&bytes, ToInteger(identity.incarnation));
  AppendLittleEndian(&bytes, static_cast<uint8_t>(identity.formed));
  AppendLittleEndian(&bytes, static_cast<uint32_t>(identity.initial_members.voters.size()));
  for (const Member& member : identity.initial_members.voters) {
    AppendLittleEndian(&bytes, ToInteger(member.node));
    AppendLittleEndian(&bytes, ToInteger(member.incarnation));
    AppendLengthPrefixed(&bytes, member.address);
  }
  AppendLengthPrefixed(&bytes, identity.log_store);
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

// DATA_LOSS for damage, FAILED_PRECONDITION for a newer version.
absl::StatusOr<NodeIdentity> DecodeIdentity(absl::string_view bytes) {
  constexpr size_t kChecksumBytes = sizeof(uint64_t);
  if (bytes.size() < kMagicBytes + sizeof(uint32_t) + kChecksumBytes) {
    return absl::DataLossError("cut short");
  }
  if (bytes.substr(0, kMagicBytes) != absl::string_view(kMagic, kMagicBytes)) {
    return absl::DataLossError("no identity file");
  }
  absl::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (Checksum(body) != LoadLittleEndian<uint64_t>(body.data() + body.size())) {
    return absl::DataLossError("checksum");
  }
  Decoder decoder(body.substr(kMagicBytes));
  uint32_t version = decoder.Read<uint32_t>();
  if (version > kDataFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "data format ", version, ", and this program knows formats up to ", kDataFormatVersion));
  }
  NodeIdentity identity;
  absl::string_view cluster = decoder.ReadBytes(identity.cluster.bytes.size());
  std::copy(cluster.begin(), cluster.end(), identity.cluster.bytes.begin());
  identity.node = NodeId{decoder.Read<uint64_t>()};
  identity.incarnation = Incarnation{decoder.Read<uint64_t>()};
  identity.formed = decoder.Read<uint8_t>() != 0;
  uint32_t members = decoder.Read<uint32_t>();
  for (uint32_t i = 0; i < members && decoder.ok(); ++i) {
    Member member;
    member.node = NodeId{decoder.Read<uint64_t>()};
    member.incarnation = Incarnation{decoder.Read<uint64_t>()};
    member.address = std::string(decoder.ReadLengthPrefixed());
    identity.initial_members.voters.push_back(std::move(member));
  }
  identity.log_store = std::string(decoder.ReadLengthPrefixed());
  if (version == 0 || !decoder.Done()) return absl::DataLossError("contents");
  return identity;
}

absl::Status WithPath(const absl::Status& status, const std::string& path) {
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

bool SameNode(const NodeIdentity& a, const NodeIdentity& b) {
  return a.cluster == b.cluster && a.node == b.node && a.incarnation == b.incarnation &&
         a.log_store == b.log_store;
}

}  // namespace

ClusterId MakeClusterId(const Configuration& initial_members, const std::string& token) {
  std::string bytes = "cairn cluster 1";
  AppendLittleEndian(&bytes, static_cast<uint32_t>(initial_members.voters.size()));
  for (const Member& member : initial_members.voters) {
    AppendLittleEndian(&bytes, ToInteger(member.node));
    AppendLengthPrefixed(&bytes, member.address);
  }
  AppendLengthPrefixed(&bytes, token);
  EntryHash hash = Hash128(bytes);
  ClusterId id;
  for (size_t i = 0; i < sizeof(uint64_t); ++i) {
    id.bytes[i] = static_cast<uint8_t>(hash.high >> (8 * i));
    id.bytes[sizeof(uint64_t) + i] = static_cast<uint8_t>(hash.low >> (8 * i));
  }
  return id;
}

namespace {

struct FoundIdentity {
  NodeIdentity identity;
  std::vector<std::string> bad_copies;  // paths; missing ones too
};

absl::StatusOr<FoundIdentity> FindIdentity(FileSystem& file_system, const std::string& directory) {
  std::optional<NodeIdentity> found;
  std::vector<std::string> bad;
  absl::Status damage;
  bool any_file = false;
  for (const char* name : kNames) {
    std::string path = PathOf(directory, name);
    absl::StatusOr<std::string> bytes = ReadWholeFile(file_system, path);
    if (absl::IsNotFound(bytes.status())) {
      bad.push_back(path);
      continue;
    }
    any_file = true;
    // A copy that cannot be read is as good as damaged: the other one may serve.
    absl::StatusOr<NodeIdentity> copy =
        bytes.ok() ? DecodeIdentity(*bytes) : absl::StatusOr<NodeIdentity>(bytes.status());
    if (absl::IsFailedPrecondition(copy.status())) return WithPath(copy.status(), path);
    if (!copy.ok()) {
      damage = WithPath(copy.status(), path);
      bad.push_back(path);
    } else if (!found.has_value()) {
      found = *std::move(copy);
    } else if (!SameNode(*found, *copy)) {
      return absl::DataLossError(absl::StrCat(PathOf(directory, kNames[0]), " and ", path,
                                              " are intact and name different nodes"));
    } else if (found->formed != copy->formed) {
      bad.push_back(PathOf(directory, found->formed ? kNames[1] : kNames[0]));
      if (copy->formed) found = *std::move(copy);
    }
  }
  if (!any_file) return absl::NotFoundError(absl::StrCat(directory, ": no identity"));
  if (!found.has_value()) {
    return absl::DataLossError(
        absl::StrCat("no intact copy of the node's identity; the last one: ", damage.message()));
  }
  return FoundIdentity{*std::move(found), std::move(bad)};
}

}  // namespace

absl::StatusOr<NodeIdentity> ReadIdentity(FileSystem& file_system, const std::string& directory) {
  absl::StatusOr<FoundIdentity> found = FindIdentity(file_system, directory);
  if (!found.ok()) return found.status();
  return std::move(found->identity);
}

absl::StatusOr<NodeIdentity> LoadIdentity(FileSystem& file_system, const std::string& directory) {
  absl::StatusOr<FoundIdentity> found = FindIdentity(file_system, directory);
  if (!found.ok()) return found.status();
  const std::string bytes = EncodeIdentity(found->identity);
  for (const std::string& path : found->bad_copies) {
    absl::Status status = WriteFileAtomically(file_system, path, bytes);
    if (!status.ok()) return status;
  }
  return std::move(found->identity);
}

absl::Status SaveIdentity(FileSystem& file_system, const std::string& directory,
                          const NodeIdentity& identity) {
  if (absl::Status status = file_system.MakeDirectory(directory); !status.ok()) return status;
  std::string bytes = EncodeIdentity(identity);
  for (const char* name : kNames) {
    absl::Status status = WriteFileAtomically(file_system, PathOf(directory, name), bytes);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<NodeIdentity> LoadOrCreateIdentity(FileSystem& file_system,
                                                  const std::string& directory,
                                                  const NodeIdentity& wanted, bool* formatted) {
  *formatted = false;
  absl::StatusOr<NodeIdentity> found = LoadIdentity(file_system, directory);
  if (absl::IsNotFound(found.status())) {
    if (absl::Status status = SaveIdentity(file_system, directory, wanted); !status.ok()) {
      return status;
    }
    *formatted = true;
    return wanted;
  }
  if (!found.ok()) return found.status();
  if (absl::Status status = CheckIdentity(*found, wanted); !status.ok()) return status;
  return found;
}

absl::Status CheckIdentity(const NodeIdentity& found, const NodeIdentity& wanted) {
  auto contradiction = [](absl::string_view what, absl::string_view on_disk,
                          absl::string_view asked) {
    return absl::FailedPreconditionError(
        absl::StrCat("the data belongs to ", what, " ", on_disk, ", not to ", what, " ", asked));
  };
  if (found.cluster != wanted.cluster) {
    return contradiction("cluster", ToString(found.cluster), ToString(wanted.cluster));
  }
  if (found.node != wanted.node) {
    return contradiction("node", absl::StrCat(ToInteger(found.node)),
                         absl::StrCat(ToInteger(wanted.node)));
  }
  if (found.log_store != wanted.log_store) {
    return contradiction("log store", found.log_store, wanted.log_store);
  }
  return absl::OkStatus();
}

}  // namespace cairn
