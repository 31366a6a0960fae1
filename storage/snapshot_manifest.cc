#include "storage/snapshot_manifest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"

namespace cairn {
namespace {

constexpr uint32_t kMagic = 0x5a9b0c47;
constexpr uint32_t kVersion = 1;
constexpr size_t kMaxNameBytes = 64;
constexpr size_t kIdBytes = sizeof(ContentId::bytes);

absl::string_view View(const ContentId& id) {
  return {reinterpret_cast<const char*>(id.bytes.data()), kIdBytes};
}

ContentId ReadId(Decoder& decoder) {
  ContentId id;
  absl::string_view bytes = decoder.ReadBytes(kIdBytes);
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

void AppendPosition(std::string* to, LogPosition position) {
  AppendLittleEndian(to, position.index);
  AppendLittleEndian(to, position.term);
}

LogPosition ReadPosition(Decoder& decoder) {
  const Index index = decoder.Read<uint64_t>();
  return {index, decoder.Read<uint64_t>()};
}

uint64_t ChunkCount(uint64_t bytes) {
  return bytes / kChunkBytes + (bytes % kChunkBytes == 0 ? 0 : 1);
}

bool IsName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && name[0] != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

absl::Status Bad(absl::string_view what) {
  return absl::DataLossError(absl::StrCat("snapshot manifest: ", what));
}

absl::Status ReadFiles(Decoder& decoder, SnapshotManifest* manifest) {
  std::set<absl::string_view> names;
  for (uint32_t left = decoder.Read<uint32_t>(); left > 0; --left) {
    absl::string_view name = decoder.ReadLengthPrefixed();
    ManifestFile file = {
        .name = std::string(name), .bytes = decoder.Read<uint64_t>(), .chunks = {}};
    if (!decoder.ok()) return Bad("it ends early");
    if (!IsName(name) || !names.insert(name).second) return Bad("a file's name");
    const uint64_t chunks = ChunkCount(file.bytes);
    if (chunks > decoder.remaining() / kIdBytes) return Bad("more chunks than there are");
    file.chunks.reserve(chunks);
    for (uint64_t i = 0; i < chunks; ++i) file.chunks.push_back(ReadId(decoder));
    manifest->files.push_back(std::move(file));
  }
  return decoder.Done() ? absl::OkStatus() : Bad("its length");
}

}  // namespace

ContentId ContentIdOf(absl::string_view bytes) {
  ContentId id;
  unsigned int length = 0;
  CAIRN_CHECK_EQ(
      EVP_Digest(bytes.data(), bytes.size(), id.bytes.data(), &length, EVP_sha256(), nullptr), 1);
  CAIRN_CHECK_EQ(length, kIdBytes);
  return id;
}

std::string ToString(const ContentId& id) { return absl::BytesToHexString(View(id)); }

uint64_t ManifestFile::ChunkLength(uint64_t chunk) const {
  CAIRN_CHECK_LT(chunk, chunks.size());
  return std::min(kChunkBytes, bytes - chunk * kChunkBytes);
}

uint64_t SnapshotManifest::content_bytes() const {
  uint64_t bytes = 0;
  for (const ManifestFile& file : files) bytes += file.bytes;
  return bytes;
}

std::string EncodeManifest(const SnapshotManifest& manifest) {
  std::string bytes;
  AppendLittleEndian(&bytes, kMagic);
  AppendLittleEndian(&bytes, kVersion);
  bytes.append(reinterpret_cast<const char*>(manifest.cluster.bytes.data()),
               manifest.cluster.bytes.size());
  AppendLittleEndian(&bytes, ToInteger(manifest.group));
  AppendPosition(&bytes, manifest.position);
  AppendLittleEndian(&bytes, manifest.hash.low);
  AppendLittleEndian(&bytes, manifest.hash.high);
  AppendPosition(&bytes, manifest.configuration_at);
  AppendLengthPrefixed(&bytes, manifest.configuration);
  AppendLittleEndian(&bytes, static_cast<uint64_t>(manifest.time.nanoseconds));
  AppendLittleEndian(&bytes, static_cast<uint32_t>(manifest.files.size()));
  for (const ManifestFile& file : manifest.files) {
    CAIRN_CHECK(IsName(file.name) && file.chunks.size() == ChunkCount(file.bytes)) << file.name;
    AppendLengthPrefixed(&bytes, file.name);
    AppendLittleEndian(&bytes, file.bytes);
    for (const ContentId& chunk : file.chunks) bytes.append(View(chunk).data(), kIdBytes);
  }
  bytes.append(View(ContentIdOf(bytes)).data(), kIdBytes);
  return bytes;
}

absl::StatusOr<SnapshotManifest> DecodeManifest(absl::string_view bytes) {
  Decoder front(bytes);
  if (front.Read<uint32_t>() != kMagic) return Bad("it is none");
  const uint32_t version = front.Read<uint32_t>();
  if (bytes.size() > kMaxManifestBytes || bytes.size() < kIdBytes) return Bad("its length");
  const absl::string_view body = bytes.substr(0, bytes.size() - kIdBytes);
  if (View(ContentIdOf(body)) != bytes.substr(body.size())) return Bad("its hash");
  if (version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("snapshot manifest: format ", version, ", this program knows ", kVersion));
  }
  Decoder decoder(body.substr(sizeof(kMagic) + sizeof(version)));
  SnapshotManifest manifest;
  absl::string_view cluster = decoder.ReadBytes(manifest.cluster.bytes.size());
  std::copy(cluster.begin(), cluster.end(), manifest.cluster.bytes.begin());
  manifest.group = static_cast<GroupId>(decoder.Read<uint64_t>());
  manifest.position = ReadPosition(decoder);
  manifest.hash.low = decoder.Read<uint64_t>();
  manifest.hash.high = decoder.Read<uint64_t>();
  manifest.configuration_at = ReadPosition(decoder);
  manifest.configuration = std::string(decoder.ReadLengthPrefixed());
  manifest.time.nanoseconds = static_cast<int64_t>(decoder.Read<uint64_t>());
  if (absl::Status status = ReadFiles(decoder, &manifest); !status.ok()) return status;
  const LogPosition position = manifest.position;
  const LogPosition configured = manifest.configuration_at;
  if (position.index == 0 || position.index > kMaxIndex || position.term == 0 ||
      position.term > kMaxTerm || configured.index > position.index ||
      configured.term > position.term) {
    return Bad("its position");
  }
  return manifest;
}

ContentId SnapshotIdOf(absl::string_view encoded) {
  CAIRN_CHECK_GE(encoded.size(), kIdBytes);
  Decoder decoder(encoded.substr(encoded.size() - kIdBytes));
  return ReadId(decoder);
}

}  // namespace cairn
