#include "storage/snapshot_store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/mutants.h"

namespace cairn {
namespace {

constexpr absl::string_view kPublished = ".manifest";
constexpr absl::string_view kIncoming = ".incoming";
constexpr absl::string_view kDamaged = ".damaged";
constexpr absl::string_view kTemporary = ".tmp";
constexpr size_t kNumberDigits = 20;

struct ParsedName {
  LogPosition position;
  SnapshotKind kind = SnapshotKind::kSaved;
  std::string stem;
  std::string extension;  // with the dot
};

bool TakeNumber(absl::string_view* text, uint64_t* number) {
  const absl::string_view digits = text->substr(0, kNumberDigits);
  if (digits.size() != kNumberDigits || !absl::SimpleAtoi(digits, number)) return false;
  text->remove_prefix(kNumberDigits);
  return !text->empty() && text->front() == '-' && (text->remove_prefix(1), true);
}

// Of a file this store made; nothing for others.
std::optional<ParsedName> ParseName(const std::string& directory, absl::string_view name) {
  ParsedName parsed;
  absl::string_view rest = name;
  if (!TakeNumber(&rest, &parsed.position.index)) return std::nullopt;
  if (!TakeNumber(&rest, &parsed.position.term)) return std::nullopt;
  if (absl::StartsWith(rest, "received.")) parsed.kind = SnapshotKind::kReceived;
  parsed.stem = SnapshotStem(directory, parsed.position, parsed.kind);
  const std::string path = absl::StrCat(directory, "/", name);
  if (!absl::StartsWith(path, absl::StrCat(parsed.stem, "."))) return std::nullopt;
  parsed.extension = path.substr(parsed.stem.size());
  uint64_t file = 0;
  const bool known = parsed.extension == kPublished || parsed.extension == kIncoming ||
                     parsed.extension == kDamaged || absl::EndsWith(parsed.extension, kTemporary) ||
                     absl::SimpleAtoi(parsed.extension.substr(1), &file);
  return known ? std::optional<ParsedName>(std::move(parsed)) : std::nullopt;
}

}  // namespace

struct SnapshotStore::Found {
  LogPosition position;
  SnapshotKind kind = SnapshotKind::kSaved;
  bool published = false;
  bool incoming = false;
  bool damaged = false;
  std::vector<std::string> data;  // paths
  Shared snapshot;                // whose manifest is good
};

SnapshotStore::SnapshotStore(FileSystem* file_system, std::string directory, ClusterId cluster,
                             GroupId group)
    : file_system_(file_system),
      directory_(std::move(directory)),
      cluster_(cluster),
      group_(group) {}

absl::StatusOr<std::unique_ptr<SnapshotStore>> SnapshotStore::Open(FileSystem* file_system,
                                                                   std::string directory,
                                                                   ClusterId cluster,
                                                                   GroupId group) {
  std::unique_ptr<SnapshotStore> store(
      new SnapshotStore(file_system, std::move(directory), cluster, group));
  if (absl::Status status = store->Load(); !status.ok()) return status;
  return store;
}

// Opening ----------------------------------------------------------------------------------------

absl::Status SnapshotStore::Load() {
  if (absl::Status status = file_system_->MakeDirectory(directory_); !status.ok()) return status;
  absl::StatusOr<std::vector<std::string>> names = file_system_->List(directory_);
  if (!names.ok()) return names.status();
  std::map<std::string, Found> stems;
  std::vector<std::string> temporary;
  for (const std::string& name : *names) {
    std::optional<ParsedName> parsed = ParseName(directory_, name);
    const std::string path = absl::StrCat(directory_, "/", name);
    if (!parsed) {
      Note(absl::StrCat(path, ": not a file of a snapshot, left alone"));
      continue;
    }
    if (absl::EndsWith(name, kTemporary)) {
      temporary.push_back(path);
      continue;
    }
    Found& found = stems[parsed->stem];
    found.position = parsed->position;
    found.kind = parsed->kind;
    if (parsed->extension == kPublished) {
      found.published = true;
    } else if (parsed->extension == kIncoming) {
      found.incoming = true;
    } else if (parsed->extension == kDamaged) {
      found.damaged = true;
    } else {
      found.data.push_back(path);
    }
  }
  // First look at all: what is not this store's is left as it is.
  for (auto& [stem, found] : stems) {
    if (absl::Status status = LoadManifest(stem, found); !status.ok()) return status;
  }
  // They mean nothing; the next start tries again.
  for (const std::string& path : temporary) file_system_->Remove(path).IgnoreError();
  for (auto& [stem, found] : stems) {
    if (absl::Status status = LoadStem(stem, found); !status.ok()) return status;
  }
  // Transfers that came too late.
  const std::shared_ptr<const StoredSnapshot> have = last();
  for (auto& [stem, found] : stems) {
    const bool late = have != nullptr && found.position.index <= have->position().index;
    if (!found.incoming || found.published || found.damaged || !late) continue;
    if (absl::Status status = RemoveManifest(stem, kIncoming); !status.ok()) return status;
    // Without their manifest they mean nothing; the next start tries again.
    for (const std::string& path : found.data) file_system_->Remove(path).IgnoreError();
  }
  return absl::OkStatus();
}

absl::Status SnapshotStore::LoadManifest(const std::string& stem, Found& found) {
  if (!found.published) return absl::OkStatus();
  const std::string path = absl::StrCat(stem, kPublished);
  absl::StatusOr<std::string> encoded = ReadWholeFile(*file_system_, path);
  absl::StatusOr<SnapshotManifest> manifest =
      encoded.ok() ? DecodeManifest(*encoded) : absl::StatusOr<SnapshotManifest>(encoded.status());
  absl::Status status = manifest.status();
  if (status.ok()) status = CheckOwner(*manifest);
  if (absl::IsFailedPrecondition(status)) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": ", status.message()));
  }
  if (status.ok() && manifest->position != found.position) {
    status = absl::DataLossError("it is of another position");
  }
  if (status.ok()) {
    found.snapshot = std::make_shared<StoredSnapshot>(file_system_, stem, found.kind,
                                                      *std::move(encoded), *std::move(manifest));
  } else {
    Note(absl::StrCat(path, ": ", status.message(), "; it is kept as damaged and not used"));
  }
  return absl::OkStatus();
}

absl::Status SnapshotStore::CheckOwner(const SnapshotManifest& manifest) const {
  if (manifest.cluster == cluster_ && manifest.group == group_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "a snapshot of cluster ", ToString(manifest.cluster), " group ", ToInteger(manifest.group),
      ", not of ", ToString(cluster_), " group ", ToInteger(group_)));
}

// Stems come in the order of their positions, so the last good one stays.
absl::Status SnapshotStore::LoadStem(const std::string& stem, Found& found) {
  if (found.snapshot != nullptr) return Replace(std::move(found.snapshot));
  if (found.published) {
    absl::Status status =
        file_system_->Rename(absl::StrCat(stem, kPublished), absl::StrCat(stem, kDamaged));
    if (status.ok()) status = file_system_->SyncDirectory(directory_);
    if (!status.ok()) return status;
    found.damaged = true;
  }
  if (found.damaged) {
    damaged_.push_back(stem);
    return absl::OkStatus();
  }
  if (found.incoming) {
    absl::StatusOr<std::string> encoded = ReadWholeFile(*file_system_, IncomingManifestPath(stem));
    if (encoded.ok() && DecodeManifest(*encoded).ok()) return absl::OkStatus();
    if (absl::Status status = RemoveManifest(stem, kIncoming); !status.ok()) return status;
  }
  for (const std::string& path : found.data) {
    if (absl::Status status = file_system_->Remove(path); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Saving -----------------------------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<const StoredSnapshot>> SnapshotStore::Save(
    SnapshotManifest head, const SnapshotContent& content, const std::function<bool()>& aborted) {
  if (std::shared_ptr<const StoredSnapshot> have = last(); have != nullptr) {
    CAIRN_CHECK_GT(head.position.index, have->position().index);
  }
  head.cluster = cluster_;
  head.group = group_;
  head.files.clear();
  const std::string stem = SnapshotStem(directory_, head.position, SnapshotKind::kSaved);
  absl::Status status = WriteFiles(stem, head, content, aborted);
  std::string encoded;
  if (status.ok()) {
    encoded = EncodeManifest(head);
    status = WriteFileAtomically(*file_system_, absl::StrCat(stem, kPublished), encoded);
  }
  if (!status.ok()) {
    RemoveData(stem, content.files());
    return status;
  }
  auto saved = std::make_shared<StoredSnapshot>(file_system_, stem, SnapshotKind::kSaved,
                                                std::move(encoded), std::move(head));
  if (status = Replace(saved); !status.ok()) return status;
  return std::shared_ptr<const StoredSnapshot>(std::move(saved));
}

absl::Status SnapshotStore::WriteFiles(const std::string& stem, SnapshotManifest& head,
                                       const SnapshotContent& content,
                                       const std::function<bool()>& aborted) {
  for (size_t file = 0; file < content.files(); ++file) {
    absl::StatusOr<ManifestFile> saved =
        SaveFile(SnapshotDataPath(stem, file), content, file, aborted);
    if (!saved.ok()) return saved.status();
    head.files.push_back(*std::move(saved));
  }
  return file_system_->SyncDirectory(directory_);
}

absl::StatusOr<ManifestFile> SnapshotStore::SaveFile(const std::string& path,
                                                     const SnapshotContent& content, size_t file,
                                                     const std::function<bool()>& aborted) {
  // What a crash or an error left is not written again.
  absl::Status removed = file_system_->Remove(path);
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  ManifestFile saved = {.name = content.NameOf(file), .bytes = content.BytesOf(file), .chunks = {}};
  absl::StatusOr<std::unique_ptr<File>> opened =
      file_system_->Open(path, {.mode = FileSystem::OpenMode::kCreate});
  if (!opened.ok()) return opened.status();
  for (uint64_t offset = 0; offset < saved.bytes; offset += kChunkBytes) {
    if (aborted()) return absl::CancelledError("the snapshot was aborted");
    const auto length = static_cast<size_t>(std::min(kChunkBytes, saved.bytes - offset));
    absl::StatusOr<std::string> chunk = content.Read(file, offset, length);
    if (!chunk.ok()) return chunk.status();
    if (chunk->size() != length) {
      return absl::InternalError(
          absl::StrCat(saved.name, ": ", chunk->size(), " bytes at ", offset, ", not ", length));
    }
    saved.chunks.push_back(ContentIdOf(*chunk));
    if (absl::Status status = (*opened)->Write(offset, *chunk); !status.ok()) return status;
  }
  if (absl::Status status = file_system_->SyncNow(**opened); !status.ok()) return status;
  return saved;
}

// Receiving --------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<IncomingSnapshot>> SnapshotStore::Receive(std::string encoded) {
  absl::StatusOr<SnapshotManifest> manifest = DecodeManifest(encoded);
  if (!manifest.ok()) return manifest.status();
  if (absl::Status status = CheckOwner(*manifest); !status.ok()) {
    return absl::InvalidArgumentError(status.message());
  }
  std::shared_ptr<const StoredSnapshot> have = last();
  if (have != nullptr && manifest->position.index <= have->position().index) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a snapshot at ", ToString(have->position())));
  }
  const std::string stem = SnapshotStem(directory_, manifest->position, SnapshotKind::kReceived);
  absl::StatusOr<IncomingSnapshot::Sources> others = OtherIncoming(stem);
  if (!others.ok()) return others.status();
  IncomingSnapshot::Sources sources = *others;
  if (have != nullptr) sources.push_back(have);
  absl::StatusOr<IncomingSnapshot::Sources> damaged = DamagedOnes();
  if (!damaged.ok()) return damaged.status();
  sources.insert(sources.end(), damaged->begin(), damaged->end());
  absl::StatusOr<std::unique_ptr<IncomingSnapshot>> incoming =
      IncomingSnapshot::Begin(file_system_, directory_, std::move(encoded), sources);
  if (!incoming.ok()) return incoming.status();
  for (const auto& other : *others) {
    absl::Status status = RemoveManifest(other->stem(), kIncoming);
    if (!status.ok()) return status;
    RemoveData(other->stem(), other->manifest().files.size());
  }
  return incoming;
}

// Snapshots on their way but for that of `stem`; many of their chunks may not be there.
absl::StatusOr<std::unique_ptr<IncomingSnapshot>> SnapshotStore::Resume(ContentId id) {
  absl::StatusOr<IncomingSnapshot::Sources> all = OtherIncoming("");
  if (!all.ok()) return all.status();
  for (const auto& each : *all) {
    if (SnapshotIdOf(each->encoded()) == id) return Receive(each->encoded());
  }
  return absl::NotFoundError("its manifest has not come");
}

absl::StatusOr<IncomingSnapshot::Sources> SnapshotStore::OtherIncoming(
    const std::string& stem) const {
  absl::StatusOr<std::vector<std::string>> names = file_system_->List(directory_);
  if (!names.ok()) return names.status();
  IncomingSnapshot::Sources others;
  for (const std::string& name : *names) {
    std::optional<ParsedName> parsed = ParseName(directory_, name);
    if (!parsed || parsed->extension != kIncoming || parsed->stem == stem) continue;
    absl::StatusOr<std::string> encoded =
        ReadWholeFile(*file_system_, IncomingManifestPath(parsed->stem));
    if (!encoded.ok() && !absl::IsDataLoss(encoded.status())) return encoded.status();
    absl::StatusOr<SnapshotManifest> manifest =
        encoded.ok() ? DecodeManifest(*encoded)
                     : absl::StatusOr<SnapshotManifest>(encoded.status());
    if (!manifest.ok()) continue;  // goes when the store is opened next
    others.push_back(std::make_shared<StoredSnapshot>(file_system_, parsed->stem, parsed->kind,
                                                      *std::move(encoded), *std::move(manifest)));
  }
  return others;
}

// What is still good of them need not come again: who takes a chunk compares it with its id.
absl::StatusOr<IncomingSnapshot::Sources> SnapshotStore::DamagedOnes() const {
  absl::StatusOr<std::vector<std::string>> names = file_system_->List(directory_);
  if (!names.ok()) return names.status();
  IncomingSnapshot::Sources damaged;
  for (const std::string& name : *names) {
    const std::optional<ParsedName> parsed = ParseName(directory_, name);
    if (!parsed || parsed->extension != kDamaged) continue;
    absl::StatusOr<std::string> encoded =
        ReadWholeFile(*file_system_, absl::StrCat(parsed->stem, kDamaged));
    absl::StatusOr<SnapshotManifest> manifest =
        encoded.ok() ? DecodeManifest(*encoded)
                     : absl::StatusOr<SnapshotManifest>(encoded.status());
    if (!manifest.ok()) manifest = ContentOf(parsed->stem);
    damaged.push_back(std::make_shared<StoredSnapshot>(file_system_, parsed->stem, parsed->kind, "",
                                                       *std::move(manifest)));
  }
  return damaged;
}

// The chunks of the files of `stem`, whose manifest cannot be read, as far as they can be.
SnapshotManifest SnapshotStore::ContentOf(const std::string& stem) const {
  SnapshotManifest manifest;
  for (size_t file = 0;; ++file) {
    absl::StatusOr<std::unique_ptr<File>> opened =
        file_system_->Open(SnapshotDataPath(stem, file), {.mode = FileSystem::OpenMode::kRead});
    if (!opened.ok()) return manifest;
    absl::StatusOr<uint64_t> size = (*opened)->Size();
    ManifestFile& content = manifest.files.emplace_back();
    content.bytes = size.ok() ? *size : 0;
    for (uint64_t offset = 0; offset < content.bytes; offset += kChunkBytes) {
      std::string chunk(static_cast<size_t>(std::min(kChunkBytes, content.bytes - offset)), '\0');
      absl::StatusOr<size_t> read = (*opened)->Read(offset, chunk.size(), chunk.data());
      content.chunks.push_back(read.ok() ? ContentIdOf(chunk) : ContentId());
    }
  }
}

absl::StatusOr<std::shared_ptr<const StoredSnapshot>> SnapshotStore::Publish(
    IncomingSnapshot& incoming) {
  // This node may have saved its own meanwhile, and let go of its log up to there.
  if (std::shared_ptr<const StoredSnapshot> have = last();
      have != nullptr && incoming.manifest().position.index <= have->position().index &&
      !StorageMutantEnabled(StorageMutant::kLateSnapshot)) {
    return absl::AlreadyExistsError(
        absl::StrCat("there is a snapshot at ", ToString(have->position())));
  }
  if (absl::Status status = incoming.Finish(); !status.ok()) return status;
  absl::Status status = file_system_->Rename(IncomingManifestPath(incoming.stem()),
                                             absl::StrCat(incoming.stem(), kPublished));
  if (status.ok()) status = file_system_->SyncDirectory(directory_);
  if (!status.ok()) return status;
  auto received =
      std::make_shared<StoredSnapshot>(file_system_, incoming.stem(), SnapshotKind::kReceived,
                                       incoming.encoded(), incoming.manifest());
  if (status = Replace(received); !status.ok()) return status;
  return std::shared_ptr<const StoredSnapshot>(std::move(received));
}

void SnapshotStore::Discard(const IncomingSnapshot& incoming) {
  // What stays is found at the next start, and goes on or is superseded.
  RemoveManifest(incoming.stem(), kIncoming).IgnoreError();
  RemoveData(incoming.stem(), incoming.manifest().files.size());
}

// Ends -------------------------------------------------------------------------------------------

std::shared_ptr<const StoredSnapshot> SnapshotStore::last() const {
  MutexLock lock(mutex_);
  return last_;
}

// `next` is published: what was before it goes. First the manifests: data without one is nobody's.
absl::Status SnapshotStore::Replace(Shared next) {
  Shared before;
  {
    MutexLock lock(mutex_);
    if (last_ != nullptr && !StorageMutantEnabled(StorageMutant::kLateSnapshot)) {
      CAIRN_CHECK_GE(next->position().index, last_->position().index);
    }
    before = std::exchange(last_, std::move(next));
  }
  if (before != nullptr) {
    if (absl::Status status = RemoveManifest(before->stem(), kPublished); !status.ok()) {
      return status;
    }
    before->Supersede();
  }
  for (const std::string& stem : std::exchange(damaged_, {})) {
    Note(absl::StrCat(stem, kDamaged, ": removed, a later snapshot is here"));
    // Its data goes when the store is opened next.
    if (absl::Status status = RemoveManifest(stem, kDamaged); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status SnapshotStore::MarkDamaged(const StoredSnapshot& snapshot, absl::string_view why) {
  Shared kept;  // its files stay
  {
    MutexLock lock(mutex_);
    if (last_.get() != &snapshot) return absl::OkStatus();
    kept = std::exchange(last_, nullptr);
  }
  Note(
      absl::StrCat(snapshot.stem(), kPublished, ": ", why, "; it is kept as damaged and not used"));
  absl::Status status = file_system_->Rename(absl::StrCat(snapshot.stem(), kPublished),
                                             absl::StrCat(snapshot.stem(), kDamaged));
  return status.ok() ? file_system_->SyncDirectory(directory_) : status;
}

absl::Status SnapshotStore::Forget(const StoredSnapshot& snapshot) {
  Shared forgotten;
  {
    MutexLock lock(mutex_);
    if (last_.get() != &snapshot) return absl::OkStatus();
    forgotten = std::exchange(last_, nullptr);
  }
  absl::Status status = RemoveManifest(snapshot.stem(), kPublished);
  if (status.ok()) forgotten->Supersede();
  return status;
}

absl::Status SnapshotStore::RemoveManifest(const std::string& stem, absl::string_view extension) {
  absl::Status status = file_system_->Remove(absl::StrCat(stem, extension));
  if (!status.ok() && !absl::IsNotFound(status)) return status;
  return file_system_->SyncDirectory(directory_);
}

void SnapshotStore::RemoveData(const std::string& stem, size_t files) {
  for (size_t file = 0; file < files; ++file) {
    // Without its manifest it means nothing; the next start tries again.
    file_system_->Remove(SnapshotDataPath(stem, file)).IgnoreError();
  }
}

std::vector<std::string> SnapshotStore::TakeNotes() {
  MutexLock lock(mutex_);
  return std::exchange(notes_, {});
}

void SnapshotStore::Note(std::string note) {
  MutexLock lock(mutex_);
  notes_.push_back(std::move(note));
}

}  // namespace cairn
