#include "storage/block/block_file.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/block/block_key.h"
#include "storage/block/compressed/compressed_bytes.h"
#include "storage/no_room.h"

namespace cairn {
namespace {

constexpr size_t kDigits = 20;
// There are numbers behind those of all files.
constexpr uint64_t kMaxNumber = uint64_t{1} << 62;
constexpr absl::string_view kBlockSuffix = ".block";
constexpr absl::string_view kSpareSuffix = ".spare";
constexpr absl::string_view kCompressedSuffix = ".block.tmp";

std::optional<uint64_t> ParseName(absl::string_view name, absl::string_view suffix) {
  uint64_t number = 0;
  if (!absl::ConsumeSuffix(&name, suffix) || name.size() != kDigits ||
      name.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(name, &number) || number > kMaxNumber) {
    return std::nullopt;
  }
  return number;
}

absl::Status Annotate(const absl::Status& status, absl::string_view path) {
  absl::Status annotated(status.code(), absl::StrCat(path, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& payload) {
    annotated.SetPayload(type, payload);
  });
  return annotated;
}

// By how much a revision grows that is not the last one: so little that there are always more.
uint32_t DrawStep(uint32_t revision, RandomBytes& random) {
  constexpr uint32_t kLeast = 4096;
  const uint32_t range = std::max(uint32_t{1}, (UINT32_MAX - revision) / kLeast);
  std::array<uint8_t, sizeof(uint32_t)> drawn;
  random.Fill(drawn.data(), drawn.size());
  return 1 + LoadLittleEndian<uint32_t>(reinterpret_cast<const char*>(drawn.data())) % range;
}

using HeaderCopies = std::array<absl::StatusOr<BlockHeader>, 2>;

// Whose header is looked for.
struct Wanted {
  uint64_t block = 0;
  const std::optional<LogIdentity>& identity;

  bool Fits(const BlockHeader& header) const {
    return header.block == block && header.identity == identity.value_or(header.identity);
  }
};

// Looks for headers at both ends of the file. One of another block, which a write that went astray
// has left, is a bad copy if the other one is right.
absl::StatusOr<HeaderCopies> ReadCopies(const File& file, uint64_t size, const Wanted& wanted) {
  const auto read = [&](uint64_t at) {
    return BlockHeader::Decode(ReadDirectly(file, at, kSectorBytes).view());
  };
  HeaderCopies copies = {read(0), absl::DataLossError("")};
  auto& [front, back] = copies;
  if (absl::IsFailedPrecondition(front.status())) return front.status();
  const bool front_fits = front.ok() && wanted.Fits(*front);
  if (front_fits) {
    back = read(front->FileGeometry().header_at(1));
    if (back.ok() && !wanted.Fits(*back)) back = absl::DataLossError("");
    return copies;
  }
  for (uint64_t unit : {4096, 512}) {
    if (size < 16 * unit) continue;
    back = read(size - unit);
    if (absl::IsFailedPrecondition(back.status())) return back.status();
    const bool counts = back.ok() && back->FileGeometry().header_at(1) == size - unit;
    if (counts && (!front.ok() || wanted.Fits(*back))) break;
    back = absl::DataLossError("");
  }
  if (!front.ok() && !back.ok()) {
    return absl::DataLossError("neither copy of the block header can be read");
  }
  if (back.ok()) front = absl::DataLossError("");
  return copies;
}

// Of two copies that differ because a crash came between them, the newer one counts; but either has
// the data key, and one that can be opened will do.
absl::StatusOr<BlockFile::Headers> ChooseCopy(const HeaderCopies& copies, const KeyRing* keys) {
  std::vector<const BlockHeader*> good;
  uint32_t revision = 0;
  for (const absl::StatusOr<BlockHeader>& copy : copies) {
    if (!copy.ok()) continue;
    good.push_back(&*copy);
    revision = std::max(revision, copy->encryption.revision);
  }
  if (good.size() == 2 && good[0]->encryption.revision < good[1]->encryption.revision) {
    std::swap(good[0], good[1]);
  }
  BlockFile::Headers headers;
  absl::Status problem;
  for (const BlockHeader* header : good) {
    if (header->is_encrypted()) {
      absl::StatusOr<SecretKey> data_key = RecoverBlockKey(*header, keys);
      if (!data_key.ok()) {
        if (problem.ok() || absl::IsFailedPrecondition(data_key.status())) {
          problem = data_key.status();
        }
        continue;
      }
      headers.data_key = *data_key;
    }
    headers.header = *header;
    break;
  }
  if (!headers.header) return problem;
  // No less than what anything in the block may have been written under.
  headers.header->encryption.revision = revision;
  const std::string sector = headers.header->Encode();
  for (size_t i = 0; i < copies.size(); ++i) {
    headers.good[i] = copies[i].ok() && copies[i]->Encode() == sector;
  }
  return headers;
}

absl::StatusOr<BlockFile::Headers> ReadHeaders(const File& file, uint64_t size,
                                               const Wanted& wanted, const KeyRing* keys) {
  absl::StatusOr<HeaderCopies> copies = ReadCopies(file, size, wanted);
  if (!copies.ok()) return copies.status();
  return ChooseCopy(*copies, keys);
}

}  // namespace

std::string BlockFileName(uint64_t block) {
  return absl::StrFormat("%0*d%s", kDigits, block, kBlockSuffix);
}

std::string SpareFileName(uint64_t number) {
  return absl::StrFormat("%0*d%s", kDigits, number, kSpareSuffix);
}

std::string CompressedFileName(uint64_t block) {
  return absl::StrFormat("%0*d%s", kDigits, block, kCompressedSuffix);
}

std::optional<uint64_t> ParseBlockFileName(absl::string_view name) {
  return ParseName(name, kBlockSuffix);
}

std::optional<uint64_t> ParseSpareFileName(absl::string_view name) {
  return ParseName(name, kSpareSuffix);
}

std::optional<uint64_t> ParseCompressedFileName(absl::string_view name) {
  return ParseName(name, kCompressedSuffix);
}

std::string JoinPath(const std::string& directory, const std::string& name) {
  return absl::StrCat(directory, "/", name);
}

BlockFile::BlockFile(FileSystem& file_system, std::unique_ptr<File> file, const BlockHeader& header,
                     std::optional<SecretKey> data_key, RandomBytes* random)
    : file_system_(file_system),
      file_(std::move(file)),
      block_(header.block),
      tag_(header.Tag()),
      stored_geometry_(header.FileGeometry()),
      geometry_(header.PlainGeometry()),
      data_key_(std::move(data_key)),
      random_(random),
      layout_(header.is_compressed() ? std::optional(header.Layout()) : std::nullopt),
      header_(header),
      revision_(header.encryption.revision),
      cipher_(NewCipher()) {
  CAIRN_CHECK_EQ(header.is_encrypted(), data_key_.has_value());
  CAIRN_CHECK(random_ != nullptr || !data_key_);
}

absl::StatusOr<std::unique_ptr<BlockFile>> BlockFile::Open(
    FileSystem& file_system, const std::string& path, uint64_t block,
    const std::optional<LogIdentity>& identity, const KeyRing* keys, FileSystem::OpenMode mode) {
  absl::StatusOr<std::unique_ptr<File>> file = file_system.Open(path, {.mode = mode});
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  absl::StatusOr<Headers> headers = ReadHeaders(**file, *size, {block, identity}, keys);
  if (!headers.ok()) return Annotate(headers.status(), path);
  const BlockHeader& header = *headers->header;
  absl::Status status = CheckLogIdentity(header.identity, identity.value_or(header.identity), path);
  if (!status.ok()) return status;
  if (header.block != block) {
    return absl::DataLossError(absl::StrCat(path, ": the file holds block ", header.block,
                                            ": put the files back under their names"));
  }
  if (const uint64_t whole = header.FileGeometry().block_bytes; *size < whole) {
    return absl::DataLossError(
        absl::StrCat(path, ": the file has ", *size, " bytes of ", whole, ": it was cut short"));
  }
  auto result =
      std::make_unique<BlockFile>(file_system, *std::move(file), header, headers->data_key,
                                  keys == nullptr ? nullptr : &keys->random());
  std::copy(headers->good, headers->good + 2, result->good_headers_);
  result->LoadTables();
  MutexLock lock(result->mutex_);
  result->revision_ = 0;
  return result;
}

BlockHeader BlockFile::header() const {
  MutexLock lock(mutex_);
  return header_;
}

std::unique_ptr<UnitCipher> BlockFile::NewCipher() const {
  if (!data_key_) return nullptr;
  MutexLock lock(mutex_);
  return std::make_unique<UnitCipher>(header_.encryption.cipher, *data_key_, block_,
                                      stored_geometry_.unit_bytes);
}

std::optional<FrameTable> BlockFile::ReadTable(int copy) const {
  const Bytes bytes = ReadStored(layout_->table_at(copy), layout_->table_bytes());
  absl::StatusOr<FrameTable> table = FrameTable::Decode(bytes.view(), *layout_, tag_);
  return table.ok() ? std::optional(*std::move(table)) : std::nullopt;
}

void BlockFile::LoadTables() {
  if (!layout_) return;
  for (int copy : {0, 1}) {
    std::optional<FrameTable> table = ReadTable(copy);
    good_tables_[copy] = table.has_value();
    if (table && table_ == nullptr) table_ = std::make_shared<FrameTable>(*std::move(table));
  }
}

absl::Status BlockFile::Write(uint64_t offset, absl::string_view bytes) {
  if (layout_) {
    const std::optional<uint64_t> stored = layout_->StoredAt(offset, bytes.size());
    CAIRN_CHECK(stored.has_value()) << path() << ": nothing is written to what is compressed";
    offset = *stored;
  }
  if (cipher_ == nullptr) return file_->Write(offset, bytes);
  CAIRN_CHECK_EQ(offset % geometry_.unit_bytes, 0u);
  uint32_t revision = 0;
  {
    MutexLock lock(mutex_);
    if (absl::Status status = BeginWriting(); !status.ok()) return status;
    revision = revision_;
  }
  std::string filled;
  if (bytes.size() % geometry_.unit_bytes != 0) {
    filled = std::string(bytes);
    filled.resize(geometry_.RoundUp(bytes.size()), kFiller);
    bytes = filled;
  }
  const uint64_t unit = offset / geometry_.unit_bytes;
  return file_->Write(unit * stored_geometry_.unit_bytes, cipher_->Seal(revision, unit, bytes));
}

absl::Status BlockFile::WriteSeal(const BlockSeal& seal, int copy) {
  return Write(geometry_.seal_at(copy), seal.Encode(seal_bytes()));
}

namespace {

// What the file stores, as the disk holds it.
class StoredBytes final : public BlockBytes {
 public:
  explicit StoredBytes(const BlockFile& file) : file_(file) {}
  uint64_t size() const override { return file_.stored_bytes(); }
  Bytes View(uint64_t offset, uint64_t length) override { return file_.ReadStored(offset, length); }

 private:
  uint8_t ZeroSectors(uint64_t begin) override {
    return IsZero(View(begin, kSectorBytes).view()) ? 1 : 0;
  }
  const BlockFile& file_;
};

}  // namespace

Bytes BlockFile::ReadDirect(uint64_t offset, uint64_t length) const {
  if (!layout_) return ReadStored(offset, length);
  return Expand(std::make_unique<StoredBytes>(*this))->View(offset, length);
}

Bytes BlockFile::ReadStored(uint64_t offset, uint64_t length) const {
  const std::unique_ptr<UnitCipher> cipher = NewCipher();
  if (cipher == nullptr) return ReadDirectly(*file_, offset, length);
  const uint64_t plain = cipher->plain_bytes();
  const uint64_t stored = cipher->stored_bytes();
  const uint64_t first = offset / plain;
  const uint64_t units = (offset + length + plain - 1) / plain - first;
  const Bytes read = ReadDirectly(*file_, first * stored, units * stored);
  return cipher->Open(first, read.view()).plain.Slice(offset - first * plain, length);
}

std::unique_ptr<BlockBytes> BlockFile::Image() const {
  return Expand(std::make_unique<BlockImage>(*file_, stored_geometry_.block_bytes, NewCipher()));
}

std::unique_ptr<BlockBytes> BlockFile::Window() const {
  return Expand(std::make_unique<BlockWindow>(*file_, stored_geometry_.block_bytes, NewCipher()));
}

std::unique_ptr<BlockBytes> BlockFile::WindowFrom(uint64_t offset) const {
  const bool once = layout_ || read_behind_.Begin(*file_, FileOffset(offset));
  return Expand(std::make_unique<BlockWindow>(*file_, stored_geometry_.block_bytes, NewCipher(),
                                              once ? &read_behind_ : nullptr));
}

// Of a block that is not compressed; where the unit at `offset` begins in the file.
uint64_t BlockFile::FileOffset(uint64_t offset) const {
  return offset / geometry_.unit_bytes * stored_geometry_.unit_bytes;
}

void BlockFile::DropCached(uint64_t offset, uint64_t length) const {
  CAIRN_CHECK(!layout_) << path() << ": nothing is written to what is compressed";
  const uint64_t begin = FileOffset(offset);
  file_->DropCached(begin, FileOffset(offset + geometry_.RoundUp(length)) - begin);
  read_behind_.DropAll();
}

std::unique_ptr<BlockBytes> BlockFile::Expand(std::unique_ptr<BlockBytes> stored) const {
  if (!layout_) return stored;
  return std::make_unique<CompressedBytes>(std::move(stored), *layout_, table_);
}

// A process that ended may have written, and lost, anything under the revisions it knew: this one
// writes under another one, which is on the disk before anything that was written under it. And so
// may one that began where this one does, with another copy of the disk: so chance says which.
absl::Status BlockFile::BeginWriting() {
  if (revision_ != 0) return absl::OkStatus();
  BlockHeader header = header_;
  if (header.encryption.revision == UINT32_MAX) {
    return absl::ResourceExhaustedError(absl::StrCat(path(), ": opened too often"));
  }
  header.encryption.revision += DrawStep(header.encryption.revision, *random_);
  if (absl::Status status = WriteHeaders(header); !status.ok()) return status;
  revision_ = header.encryption.revision;
  return absl::OkStatus();
}

absl::Status BlockFile::RefuseToWrite() const {
  return absl::FailedPreconditionError(absl::StrCat(path(), ": a write to it has failed before"));
}

absl::Status BlockFile::WriteHeaders(const BlockHeader& header) {
  if (header_failed_) return RefuseToWrite();
  header_failed_ = true;
  const std::string sector = header.Encode();
  for (int copy : {0, 1}) {
    absl::Status status = file_->Write(stored_geometry_.header_at(copy), sector);
    if (status.ok()) status = file_system_.SyncNow(*file_);
    if (status.ok()) continue;
    Distrust();
    return status;
  }
  header_failed_ = false;
  header_ = header;
  return absl::OkStatus();
}

absl::Status BlockFile::HealHeaders() {
  MutexLock lock(mutex_);
  const std::string sector = header_.Encode();
  for (int copy : {0, 1}) {
    if (good_headers_[copy]) continue;
    absl::Status status = file_->Write(stored_geometry_.header_at(copy), sector);
    if (!status.ok()) return status;
    good_headers_[copy] = true;
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> BlockFile::RestoreHeaders() {
  const auto is_good = [this](int copy, const std::string& sector) {
    return ReadDirectly(*file_, stored_geometry_.header_at(copy), kSectorBytes).view() == sector;
  };
  const std::string seen = header().Encode();
  if (is_good(0, seen) && is_good(1, seen)) return false;
  // Looks again, with the lock: it may just have been written.
  MutexLock lock(mutex_);
  const std::string sector = header_.Encode();
  bool written = false;
  for (int copy : {0, 1}) {
    if (is_good(copy, sector)) continue;
    if (header_failed_) return RefuseToWrite();
    header_failed_ = true;
    absl::Status status = file_->Write(stored_geometry_.header_at(copy), sector);
    if (status.ok()) status = file_system_.SyncNow(*file_);
    if (!status.ok()) return status;
    header_failed_ = false;
    written = true;
  }
  return written;
}

absl::StatusOr<bool> BlockFile::RestoreTables() {
  if (!layout_) return false;
  if (table_ == nullptr) return absl::DataLossError("neither copy of its frame table can be read");
  std::string bytes = table_->Encode();
  bytes.resize(geometry_.RoundUp(bytes.size()), kFiller);
  bool written = false;
  for (int copy : {0, 1}) {
    if (ReadTable(copy)) continue;
    absl::Status status = PutBackStored(layout_->table_at(copy), bytes);
    if (!status.ok()) return status;
    written = true;
  }
  return written;
}

absl::Status BlockFile::PutBack(uint64_t offset, absl::string_view bytes) {
  if (!layout_) return PutBackStored(offset, bytes);
  const std::optional<uint64_t> stored = layout_->StoredAt(offset, bytes.size());
  if (!stored) return absl::DataLossError("it is compressed");
  return PutBackStored(*stored, bytes);
}

absl::Status BlockFile::PutBackStored(uint64_t offset, absl::string_view bytes) {
  CAIRN_CHECK_EQ(offset % geometry_.unit_bytes, 0u);
  MutexLock lock(mutex_);
  if (header_failed_) return RefuseToWrite();
  std::string sealed;
  if (cipher_ != nullptr) {
    CAIRN_CHECK_EQ(bytes.size() % geometry_.unit_bytes, 0u);
    revision_ = 0;
    if (absl::Status status = BeginWriting(); !status.ok()) return status;
    const uint64_t unit = offset / geometry_.unit_bytes;
    sealed = cipher_->Seal(revision_, unit, bytes);
    bytes = sealed;
    offset = unit * stored_geometry_.unit_bytes;
  }
  header_failed_ = true;
  absl::Status status = file_->Write(offset, bytes);
  if (status.ok()) status = file_system_.SyncNow(*file_);
  header_failed_ = !status.ok();
  return status;
}

absl::Status BlockFile::Rewrap(const KeyRing& keys) {
  MutexLock lock(mutex_);
  const std::optional<MasterKey> master = keys.current();
  if (!data_key_ || !master || header_.key == master->id) return absl::OkStatus();
  BlockHeader header = header_;
  if (header.encryption.revision == UINT32_MAX) {
    return absl::ResourceExhaustedError(absl::StrCat(path(), ": opened too often"));
  }
  ++header.encryption.revision;
  RewrapBlockKey(header, *data_key_, *master, keys.random());
  return WriteHeaders(header);
}

absl::Status FormatBlock(FileSystem& file_system, const std::string& path, bool create,
                         const BlockHeader& header, Zeroes zeroes) {
  absl::StatusOr<std::unique_ptr<File>> file = file_system.Open(
      path, {.mode = create ? FileSystem::OpenMode::kCreate : FileSystem::OpenMode::kReadWrite});
  // No handle is left, for the moment. Nothing was written.
  if (absl::IsUnavailable(file.status())) return NoRoomError(file.status().message());
  if (!file.ok()) return file.status();
  const uint64_t length = header.geometry.block_bytes;
  absl::Status status = zeroes == Zeroes::kWritten ? file_system.Preallocate(**file, length)
                                                   : file_system.ReserveZeroes(**file, length);
  // The zeros reach the disk before the header says that they did.
  if (status.ok()) status = file_system.SyncNow(**file);
  std::string sector = header.Encode();
  for (int copy : {0, 1}) {
    if (status.ok()) status = (*file)->Write(header.geometry.header_at(copy), sector);
  }
  if (status.ok()) status = file_system.SyncNow(**file);
  return status;
}

}  // namespace cairn
