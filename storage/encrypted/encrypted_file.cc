#include "storage/encrypted/encrypted_file.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/encrypted/encrypted_header.h"

namespace cairn {
namespace {

constexpr uint64_t kPage = 4096;
// Stands where what was there before, beside what is written, cannot be read: as rot it passes no
// check of whoever reads it.
constexpr char kUnreadableByte = static_cast<char>(0xee);

uint64_t UnitOf(uint64_t offset) { return offset / kUnitTextBytes; }
uint64_t TextBegin(uint64_t unit) { return unit * kUnitTextBytes; }
uint64_t StoredAt(uint64_t unit) { return EncryptedHeader::kBytes + unit * kUnitBytes; }
// Units that so much text needs.
uint64_t UnitsFor(uint64_t length) { return (length + kUnitTextBytes - 1) / kUnitTextBytes; }

// `length` bytes from `text`, which begins at byte `begin` of some file, over `whole`, which begins
// at byte `at` of it.
void Overlay(std::string& whole, uint64_t at, uint64_t begin, absl::string_view text) {
  const uint64_t from = std::max(at, begin);
  const uint64_t end = std::min(at + whole.size(), begin + text.size());
  if (from < end) std::memcpy(whole.data() + (from - at), text.data() + (from - begin), end - from);
}

}  // namespace

EncryptedFile::EncryptedFile(std::unique_ptr<File> real, std::shared_ptr<EncryptedFileState> state,
                             std::shared_ptr<void> held)
    : real_(std::move(real)), state_(std::move(state)), held_(std::move(held)) {}

EncryptedFile::~EncryptedFile() = default;

uint64_t EncryptedFile::StoredBytes(uint64_t length) { return StoredAt(UnitsFor(length)); }

// Sizes -------------------------------------------------------------------------------------------

absl::StatusOr<uint64_t> EncryptedFile::StoredUnits() const {
  const absl::StatusOr<uint64_t> stored = real_->Size();
  if (!stored.ok()) return stored.status();
  return *stored < EncryptedHeader::kBytes ? 0 : (*stored - EncryptedHeader::kBytes) / kUnitBytes;
}

// Of a last unit that cannot be read nobody knows how full it is: full, so that reading it says
// what is wrong with it.
absl::StatusOr<uint64_t> EncryptedFile::Size() const {
  while (true) {
    const absl::StatusOr<uint64_t> units = StoredUnits();
    if (!units.ok() || *units == 0) return units;
    char text[kUnitTextBytes];
    const uint64_t begin = TextBegin(*units - 1);
    const absl::StatusOr<size_t> last = Read(begin, kUnitTextBytes, text);
    if (!last.ok()) return begin + kUnitTextBytes;
    if (*last != 0) return begin + *last;
    // It was cut off meanwhile; or it holds nothing, as a crash may leave it.
    const absl::StatusOr<uint64_t> again = StoredUnits();
    if (!again.ok()) return again;
    if (*again == *units) return begin;
  }
}

absl::StatusOr<uint64_t> EncryptedFile::SizeNow() const {
  if (state_->size) return *state_->size;
  const absl::StatusOr<uint64_t> units = StoredUnits();
  if (!units.ok()) return units;
  uint64_t size = TextBegin(*units);
  if (*units != 0) {
    char stored[kUnitBytes];
    char text[kUnitTextBytes];
    const absl::StatusOr<size_t> read = real_->Read(StoredAt(*units - 1), kUnitBytes, stored);
    if (!read.ok()) return read.status();
    SectorCipher::Use use(state_->sectors);
    const auto length = *read == kUnitBytes ? use.Open(*units - 1, stored, text) : std::nullopt;
    if (length) size = TextBegin(*units - 1) + *length;
  }
  state_->size = size;
  return size;
}

// Reading -----------------------------------------------------------------------------------------

absl::StatusOr<size_t> EncryptedFile::ReadOnce(uint64_t offset, size_t length, char* to,
                                               ReadUnits read_units) const {
  if (length == 0) return size_t{0};
  const uint64_t first = UnitOf(offset);
  const uint64_t last = UnitOf(offset + length - 1);
  // One more: whether the last one ends the file, too, if it is not full.
  const absl::StatusOr<absl::string_view> stored = read_units(first, last - first + 2);
  if (!stored.ok()) return stored.status();
  const uint64_t units = stored->size() / kUnitBytes;
  SectorCipher::Use use(state_->sectors);
  size_t done = 0;
  for (uint64_t i = 0; i < units && first + i <= last; ++i) {
    char text[kUnitTextBytes];
    const uint64_t begin = TextBegin(first + i);
    const auto opened = use.Open(first + i, stored->data() + i * kUnitBytes, text);
    if (!opened) {
      return absl::DataLossError(absl::StrCat("read ", path(), ": what stands at byte ",
                                              StoredAt(first + i),
                                              " is not what was encrypted there"));
    }
    // Behind a unit that a power cut left as it was before the file grew stand zeros.
    const size_t there = i + 1 < units ? kUnitTextBytes : *opened;
    const uint64_t from = std::max(offset, begin);
    const uint64_t end = std::min(offset + length, begin + there);
    if (from >= end) break;
    std::memcpy(to + done, text + (from - begin), end - from);
    done += end - from;
  }
  return done;
}

// A unit that is being written by somebody else meanwhile may be half of the one and half of the
// other text in memory.
absl::StatusOr<size_t> EncryptedFile::ReadText(uint64_t offset, size_t length, char* to,
                                               ReadUnits read_units) const {
  absl::StatusOr<size_t> read = ReadOnce(offset, length, to, read_units);
  if (read.ok()) return read;
  MutexLock lock(state_->writing);
  return ReadOnce(offset, length, to, read_units);
}

absl::StatusOr<size_t> EncryptedFile::Read(uint64_t offset, size_t length, char* to) const {
  std::string stored;
  return ReadText(offset, length, to,
                  [&](uint64_t first, uint64_t count) -> absl::StatusOr<absl::string_view> {
                    stored.resize(count * kUnitBytes);
                    const absl::StatusOr<size_t> read =
                        real_->Read(StoredAt(first), stored.size(), stored.data());
                    if (!read.ok()) return read.status();
                    return absl::string_view(stored).substr(0, *read);
                  });
}

absl::StatusOr<size_t> EncryptedFile::ReadDirect(uint64_t offset, size_t length, char* to) const {
  CAIRN_CHECK_EQ(offset % kPage, 0u) << path();
  CAIRN_CHECK_EQ(length % kPage, 0u) << path();
  std::unique_ptr<char, decltype(&std::free)> pages(nullptr, &std::free);
  return ReadText(
      offset, length, to, [&](uint64_t first, uint64_t count) -> absl::StatusOr<absl::string_view> {
        const uint64_t begin = StoredAt(first) / kPage * kPage;
        const uint64_t skipped = StoredAt(first) - begin;
        const uint64_t bytes = (skipped + count * kUnitBytes + kPage - 1) / kPage * kPage;
        pages.reset(static_cast<char*>(std::aligned_alloc(kPage, bytes)));
        const absl::StatusOr<size_t> read = real_->ReadDirect(begin, bytes, pages.get());
        if (!read.ok()) return read.status();
        if (*read <= skipped) return absl::string_view();
        return absl::string_view(pages.get() + skipped,
                                 std::min<uint64_t>(*read - skipped, count * kUnitBytes));
      });
}

bool EncryptedFile::IsCached(uint64_t offset) const {
  return real_->IsCached(StoredAt(UnitOf(offset)));
}

// But the page in which more is to be written: while the disk takes it, it had better not change.
void EncryptedFile::StartWriteback(uint64_t offset, uint64_t length) {
  const uint64_t begin = StoredAt(UnitOf(offset));
  const uint64_t end = StoredAt(UnitOf(offset + length)) / kPage * kPage;
  if (begin < end) real_->StartWriteback(begin, end - begin);
}

// But the unit at either end may hold what others read.
void EncryptedFile::DropCached(uint64_t offset, uint64_t length) const {
  const uint64_t begin = StoredAt(UnitsFor(offset));
  const uint64_t end = StoredAt(UnitOf(offset + length));
  if (begin < end) real_->DropCached(begin, end - begin);
}

// Writing -----------------------------------------------------------------------------------------

// What stands in a unit, as far as the text goes.
absl::StatusOr<std::string> EncryptedFile::TextOf(uint64_t unit, uint64_t size) const {
  const uint64_t begin = TextBegin(unit);
  if (begin >= size) return std::string();
  const size_t length = static_cast<size_t>(std::min<uint64_t>(size - begin, kUnitTextBytes));
  if (state_->tail && unit == UnitOf(size - 1)) return *state_->tail;
  char stored[kUnitBytes];
  std::string text(kUnitTextBytes, '\0');
  const absl::StatusOr<size_t> read = real_->Read(StoredAt(unit), kUnitBytes, stored);
  if (!read.ok()) return read.status();
  SectorCipher::Use use(state_->sectors);
  if (*read != kUnitBytes || !use.Open(unit, stored, text.data()).has_value()) {
    text.assign(kUnitTextBytes, kUnreadableByte);
  }
  text.resize(length);
  return text;
}

absl::Status EncryptedFile::WriteUnit(uint64_t unit, absl::string_view text) {
  char stored[kUnitBytes];
  SectorCipher::Use(state_->sectors).Seal(state_->nonces.Next(), unit, text, stored);
  return real_->Write(StoredAt(unit), {stored, kUnitBytes});
}

absl::Status EncryptedFile::Write(uint64_t offset, absl::string_view data) {
  if (data.empty()) return absl::OkStatus();
  MutexLock lock(state_->writing);
  const absl::StatusOr<uint64_t> size = SizeNow();
  return size.ok() ? WriteText(*size, offset, data) : size.status();
}

// The units from `first` to `last` as they will stand, with `data` over what was there `before`.
// The text of the last one is the tail, if it is the file's and not full.
std::string EncryptedFile::Sealed(uint64_t first, uint64_t last, uint64_t new_size, uint64_t offset,
                                  absl::string_view data, const UnitTexts& before) {
  std::string stored((last - first + 1) * kUnitBytes, '\0');
  SectorCipher::Use use(state_->sectors);
  std::string text;
  for (uint64_t unit = first; unit <= last; ++unit) {
    const uint64_t begin = TextBegin(unit);
    text.assign(static_cast<size_t>(std::min<uint64_t>(new_size - begin, kUnitTextBytes)), '\0');
    if (const auto kept = before.find(unit); kept != before.end()) {
      Overlay(text, begin, begin, kept->second);
    }
    Overlay(text, begin, offset, data);
    use.Seal(state_->nonces.Next(), unit, text, stored.data() + (unit - first) * kUnitBytes);
  }
  if (last == UnitOf(new_size - 1)) {
    const bool full = text.size() == kUnitTextBytes;
    state_->tail = full ? std::nullopt : std::optional(std::move(text));
  }
  return stored;
}

// Of the units at either end the rest stays as it is. What lies between the end of the file and the
// data reads as zeros.
absl::Status EncryptedFile::WriteText(uint64_t size, uint64_t offset, absl::string_view data) {
  const uint64_t end = offset + data.size();
  const uint64_t new_size = std::max(size, end);
  const uint64_t first = UnitOf(offset);
  const uint64_t last = UnitOf(end - 1);
  // Those that hold something else, too: at either end, and at that of the file until now.
  UnitTexts before;
  const uint64_t old_last = size == 0 ? last : std::min(last, UnitOf(size - 1));
  for (const uint64_t unit : {first, last, old_last}) {
    absl::StatusOr<std::string> text = TextOf(unit, size);
    if (!text.ok()) return text.status();
    before.emplace(unit, *std::move(text));
  }
  const std::optional<std::string> old_tail = state_->tail;
  absl::Status status;
  if (old_last < first && size % kUnitTextBytes != 0) {
    std::string full = before[old_last];
    full.resize(kUnitTextBytes, '\0');
    status = WriteUnit(old_last, full);
  }
  if (status.ok()) {
    status = real_->Write(StoredAt(first), Sealed(first, last, new_size, offset, data, before));
  }
  if (status.ok()) {
    state_->size = new_size;
    return status;
  }
  state_->tail = old_tail;
  return TakeBack(status, size, before);
}

// There was no room, and the rest of the file is to stay as it was, and as long: a unit of which
// some was written holds neither text.
absl::Status EncryptedFile::TakeBack(const absl::Status& why, uint64_t size,
                                     const UnitTexts& before) {
  absl::Status status = why;
  if (absl::IsResourceExhausted(why)) {
    const absl::StatusOr<uint64_t> stored = real_->Size();
    status = stored.status();
    if (status.ok() && *stored > StoredBytes(size)) status = real_->Resize(StoredBytes(size));
    for (const auto& [unit, text] : before) {
      if (status.ok() && !text.empty()) status = WriteUnit(unit, text);
    }
    if (status.ok()) return why;
    status = absl::InternalError(absl::StrCat(why.message(), ", and then ", status.message()));
  }
  state_->size.reset();
  state_->tail.reset();
  return status;
}

// The text is `length` long, and what is new of it reads as zeros.
absl::Status EncryptedFile::Extend(uint64_t size, uint64_t length) {
  const uint64_t units = UnitsFor(size);
  absl::Status status;
  if (size % kUnitTextBytes != 0) {
    absl::StatusOr<std::string> text = TextOf(units - 1, size);
    if (!text.ok()) return text.status();
    text->resize(
        static_cast<size_t>(std::min<uint64_t>(length - TextBegin(units - 1), kUnitTextBytes)));
    status = WriteUnit(units - 1, *text);
  }
  if (status.ok() && UnitsFor(length) > units) {
    status = real_->Resize(StoredBytes(length));
    const size_t rest = length % kUnitTextBytes;
    if (status.ok() && rest != 0) status = WriteUnit(UnitOf(length), std::string(rest, '\0'));
  }
  state_->size = length;
  state_->tail.reset();
  return status;
}

absl::Status EncryptedFile::Resize(uint64_t length) {
  MutexLock lock(state_->writing);
  const absl::StatusOr<uint64_t> size = SizeNow();
  if (!size.ok()) return size.status();
  absl::Status status = ResizeText(*size, length);
  if (!status.ok()) {
    state_->size.reset();
    state_->tail.reset();
  }
  return status;
}

absl::Status EncryptedFile::ResizeText(uint64_t size, uint64_t length) {
  if (length > size) return Extend(size, length);
  if (length == size) return absl::OkStatus();
  const size_t rest = length % kUnitTextBytes;
  absl::StatusOr<std::string> text = std::string();
  if (rest != 0) text = TextOf(UnitOf(length), size);
  if (!text.ok()) return text.status();
  // A crash between the two leaves a file that is longer than it should be and no longer than it
  // was.
  absl::Status status = real_->Resize(StoredBytes(length));
  if (!status.ok()) return status;
  state_->tail.reset();
  if (rest != 0) {
    text->resize(rest);
    if (status = WriteUnit(UnitOf(length), *text); !status.ok()) return status;
    state_->tail = *std::move(text);
  }
  state_->size = length;
  return absl::OkStatus();
}

absl::Status EncryptedFile::BecomesZeroes(uint64_t length) {
  MutexLock lock(state_->writing);
  state_->tail.reset();
  state_->size.reset();
  const size_t rest = length % kUnitTextBytes;
  if (rest == 0) return absl::OkStatus();
  return WriteUnit(UnitOf(length), std::string(rest, '\0'));
}

}  // namespace cairn
