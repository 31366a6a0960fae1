#include "storage/encrypted/encrypted_file_system.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "storage/crypto/missing_key.h"
#include "storage/encrypted/plain_file.h"

namespace cairn {
namespace {

// What is written anew stands beside the old file until it is whole.
constexpr absl::string_view kAnewSuffix = ".cairn-anew";
constexpr absl::string_view kLockName = "/LOCK";
constexpr size_t kCopiedAtOnce = size_t{1} << 20;

absl::Status WithPath(const std::string& path, const absl::Status& status) {
  if (IsMissingKey(status)) return MissingKeyOf(path, status);
  return absl::Status(status.code(), absl::StrCat(path, ": ", status.message()));
}

// Without slashes that say nothing, so that one file has one name.
std::string Normal(absl::string_view path) {
  std::string normal;
  for (const char c : path) {
    if (c != '/' || normal.empty() || normal.back() != '/') normal.push_back(c);
  }
  if (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

std::vector<std::string> AllNormal(std::vector<std::string> paths) {
  for (std::string& path : paths) path = Normal(path);
  return paths;
}

// A file that is being written anew.
class Anew {
 public:
  Anew(OpenFiles& files, std::string path)
      : files_(files), path_(std::move(path)), begun_(files_.BeginAnew(path_)) {}
  ~Anew() {
    if (begun_) files_.EndAnew(path_);
  }
  Anew(const Anew&) = delete;

  bool begun() const { return begun_; }

 private:
  OpenFiles& files_;
  const std::string path_;
  const bool begun_;
};

}  // namespace

EncryptedFileSystem::EncryptedFileSystem(FileSystem& real, std::shared_ptr<const KeyRing> keys,
                                         std::vector<std::string> roots)
    : real_(real), keys_(std::move(keys)), roots_(AllNormal(std::move(roots))) {}

bool EncryptedFileSystem::IsEncryptedPlace(const std::string& path) const {
  if (absl::EndsWith(path, kLockName)) return false;
  return std::any_of(roots_.begin(), roots_.end(), [&path](const std::string& root) {
    return path.size() > root.size() && path[root.size()] == '/' && absl::StartsWith(path, root);
  });
}

// Opening -----------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<File>> EncryptedFileSystem::Open(const std::string& name,
                                                                OpenOptions options) {
  const std::string path = Normal(name);
  if (!IsEncryptedPlace(path)) return real_.Open(name, options);
  if (options.direct && keys_ != nullptr) {
    return absl::UnimplementedError(
        absl::StrCat("open ", path, ": encrypted files have no direct writes"));
  }
  std::shared_ptr<void> held;
  if (options.mode != OpenMode::kRead && keys_ != nullptr) {
    // Where there is no room for that, or something in it cannot be read, it stays what it is. But
    // nobody writes to a new file that a power cut may take away.
    bool took_its_place = false;
    const absl::Status status = Rewrite(path, took_its_place);
    if (took_its_place && !status.ok()) return status;
    held = open_files_->HoldForWriting(path);
  }
  absl::StatusOr<std::unique_ptr<File>> real = real_.Open(name, options);
  if (!real.ok()) return real.status();
  absl::StatusOr<std::unique_ptr<File>> file =
      Wrap(*std::move(real), options.mode, std::move(held));
  // What stays, if it cannot be removed, is a file that holds nothing.
  if (!file.ok() && options.mode == OpenMode::kCreate) real_.Remove(path).IgnoreError();
  return file;
}

// True of a file that holds nothing: a power cut may have left the place of a first header without
// what was to stand there.
absl::StatusOr<bool> EncryptedFileSystem::IsFresh(const File& file) {
  const absl::StatusOr<uint64_t> size = file.Size();
  if (!size.ok()) return size.status();
  if (*size != 0 && *size != kSectorBytes) return false;
  std::string bytes(*size, '\0');
  const absl::StatusOr<size_t> read = file.Read(0, bytes.size(), bytes.data());
  if (!read.ok()) return read.status();
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

absl::StatusOr<std::unique_ptr<File>> EncryptedFileSystem::Wrap(std::unique_ptr<File> real,
                                                                OpenMode mode,
                                                                std::shared_ptr<void> held) {
  const std::string path = real->path();
  if (keys_ != nullptr && mode != OpenMode::kRead) {
    const std::optional<MasterKey> master = keys_->current();
    const absl::StatusOr<bool> fresh = IsFresh(*real);
    if (fresh.ok() && *fresh && master) return MakeEncrypted(std::move(real), *master, held);
  }
  const absl::StatusOr<EncryptedHeaders> headers = ReadEncryptedHeaders(*real);
  if (absl::IsFailedPrecondition(headers.status())) return WithPath(path, headers.status());
  if (!headers.ok()) {
    // What it is, nobody knows now. Whoever only reads hears of it where he reads.
    if (mode != OpenMode::kRead) return headers.status();
    return std::make_unique<UnreadableFile>(std::move(real), headers.status());
  }
  if (headers->none()) {
    // What nobody holds needs nothing around it.
    if (held == nullptr) return real;
    return std::make_unique<PlainFile>(std::move(real), std::move(held));
  }
  const absl::StatusOr<SecretKey> key = DataKeyOf(*headers, keys_.get());
  if (IsMissingKey(key.status())) return WithPath(path, key.status());
  // It is damaged, and reads as the bytes it has.
  if (!key.ok()) return std::make_unique<PlainFile>(std::move(real), std::move(held));
  if (mode != OpenMode::kRead) {
    // The header of a file that holds nothing may not be on the disk yet, and is to be there first.
    const absl::StatusOr<uint64_t> stored = real->Size();
    absl::Status status = stored.status();
    if (status.ok() && *stored <= EncryptedHeader::kBytes) status = real_.SyncNow(*real);
    if (!status.ok()) return status;
  }
  auto state =
      open_files_->StateOf(headers->any().id, headers->any().cipher, *key, keys_->random());
  return std::make_unique<EncryptedFile>(std::move(real), std::move(state), std::move(held));
}

// The first header is on the disk before anything else is written, so that no power cut leaves what
// is encrypted without it.
absl::StatusOr<std::unique_ptr<File>> EncryptedFileSystem::MakeEncrypted(
    std::unique_ptr<File> real, const MasterKey& master, std::shared_ptr<void> held) {
  RandomBytes& random = keys_->random();
  const SecretKey key = SecretKey::Draw(random);
  const EncryptedHeader header = EncryptedHeader::Make(keys_->cipher(), master, key, random);
  const std::string sector = header.Encode();
  absl::Status status = real->Write(0, sector);
  if (status.ok()) status = real_.SyncNow(*real);
  if (status.ok()) status = real->Write(EncryptedHeader::kCopyAt, sector);
  if (!status.ok()) return status;
  auto state = open_files_->StateOf(header.id, header.cipher, key, random);
  return std::make_unique<EncryptedFile>(std::move(real), std::move(state), std::move(held));
}

// Files -------------------------------------------------------------------------------------------

absl::Status EncryptedFileSystem::Preallocate(File& file, uint64_t length) {
  auto* encrypted = dynamic_cast<EncryptedFile*>(&file);
  if (encrypted == nullptr) return real_.Preallocate(RealOf(file), length);
  return Zero(*encrypted, length,
              [this](File& real, uint64_t bytes) { return real_.Preallocate(real, bytes); });
}

absl::Status EncryptedFileSystem::ReserveZeroes(File& file, uint64_t length) {
  auto* encrypted = dynamic_cast<EncryptedFile*>(&file);
  if (encrypted == nullptr) return real_.ReserveZeroes(RealOf(file), length);
  return Zero(*encrypted, length,
              [this](File& real, uint64_t bytes) { return real_.ReserveZeroes(real, bytes); });
}

// The zeros take the headers with them. These are put back, and on the disk before anything else
// is.
absl::Status EncryptedFileSystem::Zero(
    EncryptedFile& file, uint64_t length,
    absl::FunctionRef<absl::Status(File&, uint64_t)> write_zeros) {
  const absl::StatusOr<EncryptedHeaders> headers = ReadEncryptedHeaders(file.real());
  if (!headers.ok()) return headers.status();
  if (headers->none()) {
    return absl::DataLossError(absl::StrCat(file.path(), ": its headers are gone"));
  }
  const absl::Status zeroed = write_zeros(file.real(), EncryptedFile::StoredBytes(length));
  const absl::Status headed = WriteEncryptedHeaders(real_, file.real(), headers->any());
  if (!zeroed.ok() || !headed.ok()) return zeroed.ok() ? headed : zeroed;
  return file.BecomesZeroes(length);
}

File& EncryptedFileSystem::RealOf(File& file) {
  if (auto* encrypted = dynamic_cast<EncryptedFile*>(&file)) return encrypted->real();
  if (auto* plain = dynamic_cast<PlainFile*>(&file)) return plain->real();
  return file;
}

void EncryptedFileSystem::Sync(File& file, SyncDone done) {
  real_.Sync(RealOf(file), std::move(done));
}

absl::Status EncryptedFileSystem::SyncNow(File& file) { return real_.SyncNow(RealOf(file)); }

// Names -------------------------------------------------------------------------------------------

absl::Status EncryptedFileSystem::Rename(const std::string& from_name, const std::string& to_name) {
  const std::string from = Normal(from_name);
  const std::string to = Normal(to_name);
  return open_files_->Rename(from, to, [&] { return real_.Rename(from_name, to_name); });
}

absl::Status EncryptedFileSystem::Remove(const std::string& name) {
  const std::string path = Normal(name);
  return open_files_->Remove(path, [&] {
    absl::Status status = real_.Remove(name);
    if (!absl::IsFailedPrecondition(status)) return status;
    // A directory that seems to be empty may still hold what nobody sees.
    const auto names = real_.List(name);
    if (!names.ok()) return status;
    for (const std::string& each : *names) {
      if (!absl::EndsWith(each, kAnewSuffix)) return status;
    }
    // If one stays, so does the directory, and that is told.
    for (const std::string& each : *names) {
      real_.Remove(absl::StrCat(path, "/", each)).IgnoreError();
    }
    return real_.Remove(name);
  });
}

absl::StatusOr<std::vector<std::string>> EncryptedFileSystem::List(const std::string& name) {
  auto names = real_.List(name);
  if (names.ok() && IsEncryptedPlace(Normal(name) + "/")) {
    std::erase_if(*names,
                  [](const std::string& each) { return absl::EndsWith(each, kAnewSuffix); });
  }
  return names;
}

// What gives no list is a file; what is gone is let be. Another error ends it.
absl::Status EncryptedFileSystem::Walk(const std::string& directory,
                                       absl::FunctionRef<void(const std::string&)> visit) {
  const auto names = real_.List(directory);
  if (absl::IsNotFound(names.status())) return absl::OkStatus();
  if (absl::IsFailedPrecondition(names.status())) {
    if (IsEncryptedPlace(directory)) visit(directory);
    return absl::OkStatus();
  }
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (name == "lost+found") continue;
    if (absl::Status status = Walk(absl::StrCat(directory, "/", name), visit); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> EncryptedFileSystem::AllFiles() {
  std::vector<std::string> files;
  for (const std::string& root : roots_) {
    absl::Status status = Walk(root, [&](const std::string& path) { files.push_back(path); });
    if (!status.ok()) return status;
  }
  return files;
}

absl::StatusOr<std::vector<std::string>> EncryptedFileSystem::Files() {
  absl::StatusOr<std::vector<std::string>> files = AllFiles();
  if (files.ok()) {
    std::erase_if(*files, [](const auto& path) { return absl::EndsWith(path, kAnewSuffix); });
  }
  return files;
}

absl::Status EncryptedFileSystem::RemoveLeftovers() {
  const absl::StatusOr<std::vector<std::string>> files = AllFiles();
  if (!files.ok()) return files.status();
  for (const std::string& path : *files) {
    if (!absl::EndsWith(path, kAnewSuffix)) continue;
    if (absl::Status status = real_.Remove(path); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Keys --------------------------------------------------------------------------------------------

absl::StatusOr<EncryptedHeaders> EncryptedFileSystem::HeadersOf(const std::string& path) {
  const auto file = real_.Open(path, {.mode = OpenMode::kRead});
  if (!file.ok()) return file.status();
  return ReadEncryptedHeaders(**file);
}

absl::Status EncryptedFileSystem::CheckKeys() {
  const absl::StatusOr<std::vector<std::string>> files = Files();
  if (!files.ok()) return files.status();
  for (const std::string& path : *files) {
    const absl::StatusOr<EncryptedHeaders> headers = HeadersOf(path);
    if (absl::IsFailedPrecondition(headers.status())) return WithPath(path, headers.status());
    if (!headers.ok() || headers->none()) continue;
    const absl::Status status = DataKeyOf(*headers, keys_.get()).status();
    if (IsMissingKey(status)) return WithPath(path, status);
  }
  return absl::OkStatus();
}

// Those that are being written anew, too: one may take the place of its file at any time.
absl::StatusOr<std::set<uint64_t>> EncryptedFileSystem::KeysInUse() {
  const absl::StatusOr<std::vector<std::string>> files = AllFiles();
  if (!files.ok()) return files.status();
  std::set<uint64_t> keys;
  for (const std::string& path : *files) {
    absl::string_view old = path;
    const bool is_anew = absl::ConsumeSuffix(&old, kAnewSuffix);
    absl::StatusOr<EncryptedHeaders> headers = HeadersOf(path);
    if (absl::IsNotFound(headers.status()) && is_anew) headers = HeadersOf(std::string(old));
    if (absl::IsNotFound(headers.status())) continue;
    if (!headers.ok()) return headers.status();
    if (headers->first) keys.insert(headers->first->key);
    if (headers->second) keys.insert(headers->second->key);
  }
  return keys;
}

EncryptedFileSystem::Standing EncryptedFileSystem::Judge(const EncryptedHeaders& headers) const {
  const std::optional<MasterKey> master = keys_ == nullptr ? std::nullopt : keys_->current();
  if (headers.none()) return master ? Standing::kToRewrite : Standing::kRight;
  if (!master || headers.any().cipher != keys_->cipher()) return Standing::kToRewrite;
  const bool both = headers.first && headers.second && *headers.first == *headers.second;
  return both && headers.first->key == master->id ? Standing::kRight : Standing::kToRewrap;
}

absl::StatusOr<EncryptedFileSystem::Standing> EncryptedFileSystem::StandingOf(
    const std::string& path) {
  const auto file = real_.Open(path, {.mode = OpenMode::kRead});
  if (!file.ok()) return file.status();
  const absl::StatusOr<bool> fresh = IsFresh(**file);
  if (!fresh.ok()) return fresh.status();
  if (*fresh) return Standing::kRight;  // whoever writes to it makes it so
  const absl::StatusOr<EncryptedHeaders> headers = ReadEncryptedHeaders(**file);
  if (!headers.ok()) return headers.status();
  return Judge(*headers);
}

// Renewing ----------------------------------------------------------------------------------------

absl::Status EncryptedFileSystem::Renew(const std::string& name) {
  const std::string path = Normal(name);
  if (keys_ == nullptr || !IsEncryptedPlace(path)) return absl::OkStatus();
  const absl::StatusOr<Standing> standing = StandingOf(path);
  if (!standing.ok()) return standing.status();
  bool took_its_place = false;
  switch (*standing) {
    case Standing::kRight:
      return absl::OkStatus();
    case Standing::kToRewrap:
      return Rewrap(path);
    case Standing::kToRewrite:
      return Rewrite(path, took_its_place);
  }
  return absl::OkStatus();
}

// Whoever has the file open has its data key, which stays. Another file may get this name
// meanwhile, so all is done to the one that was opened.
absl::Status EncryptedFileSystem::Rewrap(const std::string& path) {
  const auto file = real_.Open(path, {.mode = OpenMode::kReadWrite});
  if (!file.ok()) return file.status();
  const absl::StatusOr<EncryptedHeaders> headers = ReadEncryptedHeaders(**file);
  if (!headers.ok()) return WithPath(path, headers.status());
  const std::optional<MasterKey> master = keys_->current();
  if (!master || Judge(*headers) != Standing::kToRewrap) return absl::OkStatus();
  const absl::StatusOr<SecretKey> key = DataKeyOf(*headers, keys_.get());
  if (!key.ok()) return WithPath(path, key.status());
  EncryptedHeader header = headers->any();
  header.Rewrap(*key, *master, keys_->random());
  return WriteEncryptedHeaders(real_, **file, header, /*second_first=*/!headers->second);
}

// A file that is right is let be, and so is one that holds nothing.
absl::Status EncryptedFileSystem::Rewrite(const std::string& path, bool& took_its_place) {
  absl::StatusOr<Standing> standing = StandingOf(path);
  if (!standing.ok()) return standing.status();
  if (*standing != Standing::kToRewrite) return absl::OkStatus();
  const Anew anew(*open_files_, path);
  if (!anew.begun()) {
    return absl::FailedPreconditionError(absl::StrCat(path, " is being written to"));
  }
  const std::string copy = absl::StrCat(path, kAnewSuffix);
  absl::Status status = Copy(path, copy);
  // Its key may have been replaced meanwhile, and the next one does not know of this file.
  if (status.ok()) standing = StandingOf(copy);
  if (status.ok() && standing.ok() && *standing != Standing::kRight) {
    status = absl::AbortedError(absl::StrCat(path, ": there is another key"));
  }
  if (status.ok() && !open_files_->MayTakeItsPlace(path)) {
    status = absl::AbortedError(absl::StrCat(path, " was changed meanwhile"));
  }
  if (status.ok()) {
    status = real_.Rename(copy, path);
    took_its_place = status.ok();
  }
  if (took_its_place) return real_.SyncDirectory(DirectoryOf(path));
  // The next start removes what is left, and the next copy takes it over.
  real_.Remove(copy).IgnoreError();
  return status;
}

absl::Status EncryptedFileSystem::Copy(const std::string& from, const std::string& to) {
  absl::StatusOr<std::unique_ptr<File>> source = Open(from, {.mode = OpenMode::kRead});
  if (!source.ok()) return source.status();
  auto made = real_.Open(to, {.mode = OpenMode::kOpenOrCreate});
  if (!made.ok()) return made.status();
  absl::Status status = (*made)->Resize(0);
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<File>> copy = *std::move(made);
  if (const std::optional<MasterKey> master = keys_->current()) {
    copy = MakeEncrypted(*std::move(copy), *master, nullptr);
    if (!copy.ok()) return copy.status();
  }
  std::string bytes(kCopiedAtOnce, '\0');
  for (uint64_t offset = 0;;) {
    if (ends_) return absl::AbortedError("the program ends");
    const absl::StatusOr<size_t> read = (*source)->Read(offset, bytes.size(), bytes.data());
    if (!read.ok()) return read.status();
    if (*read == 0) break;
    status = (*copy)->Write(offset, absl::string_view(bytes).substr(0, *read));
    if (!status.ok()) return status;
    // So that the sync at the end does not keep others waiting for long.
    (*copy)->StartWriteback(offset, *read);
    offset += *read;
  }
  return SyncNow(**copy);
}

}  // namespace cairn
