#include "storage/block/log_directory.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "storage/block/block_file.h"
#include "storage/block/failed_sync.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr const char* kManifestNames[2] = {"MANIFEST", "MANIFEST.copy"};
constexpr uint32_t kManifestMagic = 0x3a71f357;

std::string Encode(const LogIdentity& identity) {
  std::string bytes;
  AppendLittleEndian(&bytes, kManifestMagic);
  AppendLittleEndian(&bytes, kBlockFormatVersion);
  bytes.append(reinterpret_cast<const char*>(identity.cluster.bytes.data()),
               identity.cluster.bytes.size());
  AppendLittleEndian(&bytes, ToInteger(identity.node));
  AppendLittleEndian(&bytes, ToInteger(identity.incarnation));
  AppendLittleEndian(&bytes, Checksum(bytes));
  return bytes;
}

absl::StatusOr<LogIdentity> Decode(absl::string_view bytes) {
  Decoder decoder(bytes);
  if (decoder.Read<uint32_t>() != kManifestMagic) return absl::DataLossError("no manifest");
  uint32_t version = decoder.Read<uint32_t>();
  LogIdentity identity;
  absl::string_view cluster = decoder.ReadBytes(identity.cluster.bytes.size());
  identity.node = static_cast<NodeId>(decoder.Read<uint64_t>());
  identity.incarnation = static_cast<Incarnation>(decoder.Read<uint64_t>());
  uint64_t checksum = decoder.Read<uint64_t>();
  if (!decoder.Done() || checksum != Checksum(bytes.substr(0, bytes.size() - sizeof(checksum)))) {
    return absl::DataLossError("manifest checksum");
  }
  if (version != kBlockFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("log format ", version, ", this program knows ", kBlockFormatVersion));
  }
  std::copy(cluster.begin(), cluster.end(), identity.cluster.bytes.begin());
  return identity;
}

}  // namespace

absl::StatusOr<LogFiles> ListLogFiles(FileSystem& file_system, const std::string& directory) {
  absl::StatusOr<std::vector<std::string>> names = file_system.List(directory);
  if (!names.ok()) return names.status();
  LogFiles files;
  for (const std::string& name : *names) {
    if (std::optional<uint64_t> block = ParseBlockFileName(name)) {
      files.blocks.push_back(*block);
    } else if (std::optional<uint64_t> spare = ParseSpareFileName(name)) {
      files.spares.push_back(*spare);
    } else if (ParseCompressedFileName(name)) {
      files.unfinished.push_back(name);
    } else if (name != kLockFileName && name != kFailedSyncFileName &&
               !absl::StartsWith(name, kManifestNames[0])) {
      files.foreign.push_back(name);
    }
  }
  return files;
}

absl::StatusOr<LogManifest> LoadManifest(FileSystem& file_system, const std::string& directory) {
  LogManifest manifest;
  absl::Status problem;
  bool found = false;
  for (int copy : {0, 1}) {
    const std::string path = JoinPath(directory, kManifestNames[copy]);
    absl::StatusOr<std::string> bytes = ReadWholeFile(file_system, path);
    if (absl::IsNotFound(bytes.status())) continue;
    found = true;
    absl::StatusOr<LogIdentity> identity =
        bytes.ok() ? Decode(*bytes) : absl::StatusOr<LogIdentity>(bytes.status());
    if (absl::IsFailedPrecondition(identity.status())) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": ", identity.status().message()));
    }
    if (!identity.ok()) {
      problem = absl::DataLossError(absl::StrCat(path, ": ", identity.status().message()));
      continue;
    }
    if (manifest.good[0] && *identity != manifest.identity) {
      return absl::FailedPreconditionError(absl::StrCat(path, ": ", ToString(*identity), ", but ",
                                                        kManifestNames[0], " has ",
                                                        ToString(manifest.identity)));
    }
    manifest.identity = *identity;
    manifest.good[copy] = true;
  }
  if (!found) return absl::NotFoundError(absl::StrCat(directory, ": no log"));
  if (!manifest.good[0] && !manifest.good[1]) return problem;
  return manifest;
}

absl::Status SaveManifest(FileSystem& file_system, const std::string& directory,
                          const LogManifest& manifest) {
  for (int copy : {0, 1}) {
    if (manifest.good[copy]) continue;
    absl::Status status = WriteFileAtomically(
        file_system, JoinPath(directory, kManifestNames[copy]), Encode(manifest.identity));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace cairn
