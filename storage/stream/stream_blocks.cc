#include "storage/stream/stream_blocks.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "storage/no_room.h"

namespace cairn {
namespace {

using OpenMode = FileSystem::OpenMode;

constexpr size_t kOpenFiles = 64;
// A record of the largest size and the footer still fit behind it into 32 bits.
constexpr uint64_t kLargestBlock = uint64_t{1} << 30;
// Flushed at once by a store that is behind: more than a flush waits for.
constexpr size_t kBulkBytes = size_t{512} << 10;
constexpr absl::string_view kSuffix = ".block";

}  // namespace

// Life --------------------------------------------------------------------------------------------

absl::StatusOr<std::shared_ptr<StreamBlocks>> StreamBlocks::Open(StreamBlockOptions options,
                                                                 std::vector<uint64_t> lengths,
                                                                 MarkVisitor visit) {
  std::shared_ptr<StreamBlocks> blocks(new StreamBlocks(std::move(options), std::move(lengths)));
  if (absl::Status status = blocks->CutBehind(); !status.ok()) return status;
  blocks->VisitMarks(visit);
  return blocks;
}

StreamBlocks::StreamBlocks(StreamBlockOptions options, std::vector<uint64_t> lengths)
    : options_(std::move(options)),
      tag_(StreamTag(options_.group)),
      end_(lengths.empty() ? 0 : lengths.back()),
      last_block_(static_cast<uint32_t>(lengths.size())),
      lengths_(std::move(lengths)),
      tail_(options_.tail_bytes),
      pages_(options_.cached_pages),
      damage_(options_.damaged),
      created_(last_block_),
      first_unsynced_(std::max<uint32_t>(last_block_, 1)) {
  CAIRN_CHECK_LE(options_.block_bytes, kLargestBlock);
}

StreamBlocks::~StreamBlocks() {
  MutexLock lock(writing_);
  if (!remove_at_end_) return;
  for (uint32_t block = 1; block <= created_; ++block) {
    // The next start removes what is left.
    options_.file_system->Remove(PathOf(block)).IgnoreError();
  }
}

void StreamBlocks::RemoveAtEnd() {
  MutexLock lock(writing_);
  remove_at_end_ = true;
}

// What is behind was written after the last checkpoint and comes again from the log.
absl::Status StreamBlocks::CutBehind() {
  auto names = options_.file_system->List(options_.directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    uint64_t generation = 0;
    uint32_t block = 0;
    if (!ParseName(name, &generation, &block)) continue;
    if (generation != options_.generation || block <= last_block_) continue;
    absl::Status removed =
        options_.file_system->Remove(absl::StrCat(options_.directory, "/", name));
    if (!removed.ok()) return removed;
  }
  if (last_block_ == 0) return absl::OkStatus();
  absl::StatusOr<std::shared_ptr<File>> file = FileOf(last_block_, OpenMode::kReadWrite);
  if (absl::IsDataLoss(file.status())) {  // it is gone, which is noted
    // So that it can be gone on with: what is missing is as rot.
    auto made = options_.file_system->Open(PathOf(last_block_), {.mode = OpenMode::kOpenOrCreate});
    if (!made.ok()) return made.status();
    MutexLock writing(writing_);
    directory_changed_ = true;
    return absl::OkStatus();
  }
  if (!file.ok()) return file.status();
  absl::StatusOr<uint64_t> size = (*file)->Size();
  if (!size.ok()) return size.status();
  return *size > end_ ? (*file)->Resize(end_) : absl::OkStatus();
}

void StreamBlocks::VisitMarks(MarkVisitor visit) {
  for (uint32_t block = 1; block <= last_block_; ++block) {
    const uint64_t length = LengthOf(block);
    std::vector<StreamMark> marks;
    absl::StatusOr<StreamFooter> footer = absl::DataLossError("none");
    if (block < last_block_) footer = ReadFooter(block, length);
    bool whole = true;
    if (footer.ok()) {
      marks = std::move(footer->marks);
    } else {
      whole = CollectMarks(block, length, marks);
    }
    if (block == last_block_) damage_.SetLacksMarks(block, !whole);
    for (const StreamMark& mark : marks) visit(mark, block);
    if (block == last_block_) marks_ = std::move(marks);
  }
}

// As far as the records can be read. False if that is not the end.
bool StreamBlocks::CollectMarks(uint32_t block, uint64_t length,
                                std::vector<StreamMark>& marks) const {
  return Scan({block, kStreamBlockHeaderBytes}, static_cast<uint32_t>(length),
              [&marks](const StoredStreamRecord& stored) {
                const StreamRecord& record = stored.record;
                if (record.marked) {
                  marks.push_back({record.stream, record.place.offset, record.first_sequence});
                }
                return true;
              })
      .ok();
}

absl::StatusOr<StreamFooter> StreamBlocks::ReadFooter(uint32_t block, uint64_t length) const {
  if (length < kStreamBlockHeaderBytes + kStreamTrailerBytes) {
    return Damage(block, length, "it is too short for a footer");
  }
  absl::StatusOr<Bytes> trailer =
      ReadExactly(block, length - kStreamTrailerBytes, kStreamTrailerBytes);
  if (!trailer.ok()) return trailer.status();
  const std::optional<size_t> bytes = StreamFooterLength(trailer->view());
  if (!bytes || *bytes > length - kStreamBlockHeaderBytes) {
    return Damage(block, length - kStreamTrailerBytes, "its footer is damaged");
  }
  absl::StatusOr<Bytes> whole = ReadExactly(block, length - *bytes, *bytes);
  if (!whole.ok()) return whole.status();
  absl::StatusOr<StreamFooter> footer = DecodeStreamFooter(whole->view(), block, length, tag_);
  if (!footer.ok()) return Damage(block, length - *bytes, footer.status().message());
  return footer;
}

// Names -------------------------------------------------------------------------------------------

std::string StreamBlocks::NameOf(uint64_t generation, uint32_t block) {
  return absl::StrFormat("%08d-%08d%s", generation, block, kSuffix);
}

bool StreamBlocks::ParseName(absl::string_view name, uint64_t* generation, uint32_t* block) {
  absl::string_view numbers = name;
  if (!absl::ConsumeSuffix(&numbers, kSuffix)) return false;
  const size_t dash = numbers.find('-');
  return dash != absl::string_view::npos && absl::SimpleAtoi(numbers.substr(0, dash), generation) &&
         absl::SimpleAtoi(numbers.substr(dash + 1), block) && NameOf(*generation, *block) == name;
}

std::string StreamBlocks::PathOf(uint32_t block) const {
  return absl::StrCat(options_.directory, "/", NameOf(options_.generation, block));
}

absl::Status StreamBlocks::Damage(uint32_t block, uint64_t offset, absl::string_view why) const {
  const absl::Status status = absl::DataLossError(
      absl::StrCat("stream block ", PathOf(block), " at byte ", offset, ": ", why));
  pages_.Forget(block);
  damage_.Add(block, status);
  return status;
}

// Appending ---------------------------------------------------------------------------------------

Place StreamBlocks::Append(StreamRecord record, absl::string_view payload) {
  const size_t bytes = kStreamRecordHeaderBytes + payload.size();
  const bool full = end_ + bytes > options_.block_bytes && end_ > kStreamBlockHeaderBytes;
  if (last_block_ == 0 || full) StartBlock();
  record.place = {last_block_, static_cast<uint32_t>(end_)};
  StoreStreamRecord(record, payload, tag_, Reserve(bytes));
  if (record.marked) {
    marks_.push_back({record.stream, record.place.offset, record.first_sequence});
  }
  Commit(bytes);
  return record.place;
}

void StreamBlocks::StartBlock() {
  if (last_block_ != 0) {
    AppendBytes(EncodeStreamFooter(
        {.block = last_block_, .data_end = static_cast<uint32_t>(end_), .marks = std::move(marks_)},
        tag_));
  }
  marks_.clear();
  ++last_block_;
  end_ = 0;
  {
    MutexLock lock(mutex_);
    lengths_.push_back(0);
  }
  AppendBytes(EncodeStreamBlockHeader(options_.group, last_block_));
}

char* StreamBlocks::Reserve(size_t bytes) {
  MutexLock lock(mutex_);
  return tail_.Reserve({last_block_, static_cast<uint32_t>(end_)}, bytes);
}

void StreamBlocks::Commit(size_t bytes) {
  end_ += bytes;
  MutexLock lock(mutex_);
  tail_.Commit();
  lengths_.back() = end_;
}

void StreamBlocks::AppendBytes(absl::string_view bytes) {
  bytes.copy(Reserve(bytes.size()), bytes.size());
  Commit(bytes.size());
}

std::vector<uint64_t> StreamBlocks::lengths() const {
  MutexLock lock(mutex_);
  return lengths_;
}

uint64_t StreamBlocks::LengthOf(uint32_t block) const {
  MutexLock lock(mutex_);
  return block == 0 || block > lengths_.size() ? 0 : lengths_[block - 1];
}

// Reading -----------------------------------------------------------------------------------------

// Some bytes from there on, one at least, as many as come cheaply: what memory has together, or the
// rest of a page.
absl::StatusOr<Bytes> StreamBlocks::ReadSome(uint32_t block, uint64_t offset) const {
  uint64_t end = 0;  // of what is in the file
  bool final = false;
  {
    MutexLock lock(mutex_);
    end = block == 0 || block > lengths_.size() ? 0 : lengths_[block - 1];
    final = block < lengths_.size();
    if (offset >= end) return Damage(block, offset, "nothing was appended there");
    const Place place{block, static_cast<uint32_t>(offset)};
    if (std::optional<Bytes> bytes = tail_.From(place)) return *std::move(bytes);
    const std::optional<Place> memory = tail_.begin();
    if (memory && memory->block == block) {
      end = memory->offset;
      final = false;
    }
  }
  return ReadPage(block, offset, end, final);
}

// `final`: no more is written to the block than the `end` bytes that are in the file.
absl::StatusOr<Bytes> StreamBlocks::ReadPage(uint32_t block, uint64_t offset, uint64_t end,
                                             bool final) const {
  const auto page = static_cast<uint32_t>(offset / PageCache::kPageBytes);
  const uint64_t begin = uint64_t{page} * PageCache::kPageBytes;
  Bytes bytes = pages_.Find(block, page);
  if (!bytes.empty()) return bytes.Slice(offset - begin);
  absl::StatusOr<std::shared_ptr<File>> file = FileOf(block, OpenMode::kRead);
  if (!file.ok()) return file.status();
  const size_t length = std::min<uint64_t>(PageCache::kPageBytes, end - begin);
  std::shared_ptr<char[]> read(new char[length]);
  absl::StatusOr<size_t> got = (*file)->Read(begin, length, read.get());
  if (!got.ok()) return Damage(block, begin, got.status().message());
  if (*got != length) return Damage(block, begin + *got, "the file ends there");
  const absl::string_view view(read.get(), length);
  bytes = Bytes(std::move(read), view);
  if (final || length == PageCache::kPageBytes) pages_.Keep(block, page, bytes);
  return bytes.Slice(offset - begin);
}

absl::StatusOr<Bytes> StreamBlocks::ReadExactly(uint32_t block, uint64_t offset,
                                                size_t bytes) const {
  absl::StatusOr<Bytes> some = ReadSome(block, offset);
  if (!some.ok()) return some.status();
  if (some->size() >= bytes) return some->Slice(0, bytes);
  std::string whole(some->view());
  whole.reserve(bytes);
  while (whole.size() < bytes) {
    some = ReadSome(block, offset + whole.size());
    if (!some.ok()) return some.status();
    const size_t taken = std::min(some->size(), bytes - whole.size());
    whole.append(some->data(), taken);
  }
  return Bytes::Take(std::move(whole));
}

// `bytes`: at least the record's header.
absl::StatusOr<StoredStreamRecord> StreamBlocks::Parse(Place place, const Bytes& bytes) const {
  const std::optional<size_t> length = StreamRecordLength(bytes.view());
  if (!length || place.offset + *length > LengthOf(place.block)) {
    return Damage(place.block, place.offset, "the length of the record is damaged");
  }
  Bytes whole = bytes.Slice(0, *length);
  if (whole.size() < *length) {
    absl::StatusOr<Bytes> read = ReadExactly(place.block, place.offset, *length);
    if (!read.ok()) return read.status();
    whole = *std::move(read);
  }
  absl::StatusOr<StreamRecord> record = LoadStreamRecord(whole.view(), place, tag_);
  if (!record.ok()) {
    return Damage(place.block, place.offset,
                  absl::StrCat("the record is damaged: ", record.status().message()));
  }
  return StoredStreamRecord{*record, whole.Slice(kStreamRecordHeaderBytes)};
}

absl::StatusOr<StoredStreamRecord> StreamBlocks::Read(Place place) const {
  absl::StatusOr<Bytes> header = ReadExactly(place.block, place.offset, kStreamRecordHeaderBytes);
  if (!header.ok()) return header.status();
  return Parse(place, *header);
}

absl::Status StreamBlocks::Scan(Place place, uint32_t end_offset,
                                absl::FunctionRef<bool(const StoredStreamRecord&)> visit) const {
  Bytes bytes;
  while (place.offset < end_offset) {
    if (bytes.size() < kStreamRecordHeaderBytes) {
      absl::StatusOr<Bytes> some = ReadSome(place.block, place.offset);
      if (some.ok() && some->size() < kStreamRecordHeaderBytes) {
        some = ReadExactly(place.block, place.offset, kStreamRecordHeaderBytes);
      }
      if (!some.ok()) return some.status();
      bytes = *std::move(some);
    }
    absl::StatusOr<StoredStreamRecord> stored = Parse(place, bytes);
    if (!stored.ok()) return stored.status();
    if (!visit(*stored)) return absl::OkStatus();
    const size_t length = kStreamRecordHeaderBytes + stored->payload.size();
    place.offset += static_cast<uint32_t>(length);
    bytes = bytes.Slice(length);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> StreamBlocks::ReadBytes(uint32_t block, uint64_t offset,
                                                    size_t bytes) const {
  if (offset + bytes > LengthOf(block)) {
    return absl::OutOfRangeError(
        absl::StrCat("block ", block, " has no bytes ", offset, " to ", offset + bytes));
  }
  if (bytes == 0) return std::string();
  absl::StatusOr<Bytes> read = ReadExactly(block, offset, bytes);
  if (!read.ok()) return read.status();
  return std::string(read->view());
}

absl::Status StreamBlocks::Verify(uint32_t block, uint64_t length, bool full) const {
  absl::StatusOr<Bytes> header = ReadExactly(block, 0, kStreamBlockHeaderBytes);
  if (!header.ok()) return header.status();
  absl::Status status = CheckStreamBlockHeader(header->view(), options_.group, block);
  if (!status.ok()) return Damage(block, 0, status.message());
  absl::StatusOr<StreamFooter> footer = StreamFooter();
  footer->data_end = static_cast<uint32_t>(length);
  if (full) footer = ReadFooter(block, length);
  if (!footer.ok()) return footer.status();
  uint64_t end = kStreamBlockHeaderBytes;
  std::vector<StreamMark> marks;
  status = Scan({block, kStreamBlockHeaderBytes}, footer->data_end,
                [&end, &marks](const StoredStreamRecord& stored) {
                  const StreamRecord& record = stored.record;
                  end = record.place.offset + kStreamRecordHeaderBytes + stored.payload.size();
                  if (record.marked) {
                    marks.push_back({record.stream, record.place.offset, record.first_sequence});
                  }
                  return true;
                });
  if (!status.ok()) return status;
  if (end != footer->data_end) return Damage(block, footer->data_end, "a record goes beyond it");
  if (full && marks != footer->marks) {
    return Damage(block, footer->data_end, "its footer has other marks than its records");
  }
  return absl::OkStatus();
}

// Files -------------------------------------------------------------------------------------------

// What is only read is not opened to be written, so that it may be encrypted meanwhile.
absl::StatusOr<std::shared_ptr<File>> StreamBlocks::FileOf(uint32_t block,
                                                           FileSystem::OpenMode mode) const {
  MutexLock lock(files_mutex_);
  auto found = std::find_if(files_.begin(), files_.end(),
                            [block](const OpenFile& file) { return file.block == block; });
  if (found != files_.end() && found->mode == OpenMode::kRead && mode != OpenMode::kRead) {
    files_.erase(found);
    found = files_.end();
  }
  if (found == files_.end()) {
    auto file = options_.file_system->Open(PathOf(block), {.mode = mode});
    if (absl::IsNotFound(file.status())) return Damage(block, 0, "the file is not there");
    if (!file.ok()) return file.status();
    if (files_.size() == kOpenFiles) files_.pop_back();
    found = files_.insert(files_.begin(), OpenFile{block, mode, *std::move(file)});
  } else if (found != files_.begin()) {
    std::rotate(files_.begin(), found, found + 1);
    found = files_.begin();
  }
  return found->file;
}

size_t StreamBlocks::unwritten_bytes() const {
  MutexLock lock(mutex_);
  return tail_.unwritten_bytes();
}

absl::Status StreamBlocks::Flush() {
  MutexLock writing(writing_);
  std::vector<TailBuffer::Piece> pieces;
  size_t bytes = 0;
  {
    MutexLock lock(mutex_);
    pieces = tail_.Unwritten();
    bytes = tail_.unwritten_bytes();
  }
  absl::Status status = failure_;
  const bool bulk = bytes >= kBulkBytes;
  size_t written = 0;
  for (const TailBuffer::Piece& piece : pieces) {
    if (!status.ok()) break;
    const bool create = piece.place.block > created_;
    auto file = FileOf(piece.place.block, create ? OpenMode::kCreate : OpenMode::kReadWrite);
    if (create && file.ok()) {
      created_ = piece.place.block;
      directory_changed_ = true;
    }
    status = file.ok() ? (*file)->Write(piece.place.offset, piece.bytes.view()) : file.status();
    if (!status.ok()) break;
    ++written;
    write_behind_.Written(*std::move(file), piece.place.offset, piece.bytes.size(), bulk);
  }
  write_behind_.Pause();
  // Where there is no room, the place is written again: nobody was told that anything stands there.
  const bool no_room = failure_.ok() && absl::IsResourceExhausted(status);
  if (no_room) {
    pieces.resize(written);
  } else {
    failure_ = status;
  }
  MutexLock lock(mutex_);
  tail_.Written(pieces);
  return no_room ? NoRoomError(status.message()) : failure_;
}

absl::Status StreamBlocks::Sync() {
  uint32_t first = 0;
  uint32_t last = 0;
  bool directory_changed = false;
  {
    MutexLock writing(writing_);
    if (!failure_.ok()) return failure_;
    first = first_unsynced_;
    last = created_;
    directory_changed = std::exchange(directory_changed_, false);
  }
  absl::Status status;
  for (uint32_t block = first; block <= last && status.ok(); ++block) {
    auto file = FileOf(block, OpenMode::kReadWrite);
    status = file.ok() ? options_.file_system->SyncNow(**file) : file.status();
  }
  if (status.ok() && directory_changed) {
    status = options_.file_system->SyncDirectory(options_.directory);
  }
  MutexLock writing(writing_);
  if (failure_.ok()) failure_ = status;
  first_unsynced_ = std::max<uint32_t>(last, 1);  // which may go on
  return status;
}

}  // namespace cairn
