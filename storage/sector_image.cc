#include "storage/sector_image.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace cairn {
namespace {

bool IsZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char byte) { return byte == 0; });
}

}  // namespace

void SectorImage::SetLength(uint64_t length) {
  // Growing keeps what was kept unseen behind the end.
  if (length <= length_) Cut(length);
  length_ = length;
}

void SectorImage::Cut(uint64_t length) {
  const size_t pages = static_cast<size_t>((length + kPageBytes - 1) / kPageBytes);
  if (pages > pages_.size()) return;
  pages_.resize(pages);
  const size_t rest = static_cast<size_t>(length % kPageBytes);
  if (rest == 0 || pages_.back() == nullptr) return;
  Page& last = WritablePage(pages - 1);
  std::fill(last.begin() + static_cast<std::ptrdiff_t>(rest), last.end(), '\0');
}

size_t SectorImage::Read(uint64_t offset, size_t length, char* to) const {
  if (offset >= length_) return 0;
  length = static_cast<size_t>(std::min<uint64_t>(length, length_ - offset));
  for (size_t done = 0; done < length;) {
    const size_t page = static_cast<size_t>((offset + done) / kPageBytes);
    const size_t within = static_cast<size_t>((offset + done) % kPageBytes);
    const size_t piece = std::min(length - done, kPageBytes - within);
    if (page < pages_.size() && pages_[page] != nullptr) {
      std::memcpy(to + done, pages_[page]->data() + within, piece);
    } else {
      std::memset(to + done, 0, piece);
    }
    done += piece;
  }
  return length;
}

void SectorImage::Write(uint64_t offset, absl::string_view data) {
  Store(offset, data);
  if (!data.empty()) length_ = std::max(length_, offset + data.size());
}

void SectorImage::WriteSector(uint64_t sector, absl::string_view data) {
  CAIRN_CHECK_EQ(data.size(), kSectorBytes);
  Store(sector * kSectorBytes, data);
}

std::array<char, kSectorBytes> SectorImage::ReadSector(uint64_t sector) const {
  std::array<char, kSectorBytes> bytes = {};
  const uint64_t offset = sector * kSectorBytes;
  const size_t page = static_cast<size_t>(offset / kPageBytes);
  if (page < pages_.size() && pages_[page] != nullptr) {
    std::memcpy(bytes.data(), pages_[page]->data() + offset % kPageBytes, kSectorBytes);
  }
  return bytes;
}

void SectorImage::Store(uint64_t offset, absl::string_view data) {
  for (size_t done = 0; done < data.size();) {
    const size_t page = static_cast<size_t>((offset + done) / kPageBytes);
    const size_t within = static_cast<size_t>((offset + done) % kPageBytes);
    const absl::string_view piece = data.substr(done, kPageBytes - within);
    // What was never written reads as zero already.
    const bool absent = page >= pages_.size() || pages_[page] == nullptr;
    if (!absent || !IsZero(piece)) {
      std::memcpy(WritablePage(page).data() + within, piece.data(), piece.size());
    }
    done += piece.size();
  }
}

SectorImage::Page& SectorImage::WritablePage(size_t number) {
  if (number >= pages_.size()) pages_.resize(number + 1);
  std::shared_ptr<Page>& page = pages_[number];
  if (page == nullptr) {
    page = std::make_shared<Page>();
    page->fill('\0');
  } else if (page.use_count() > 1) {
    page = std::make_shared<Page>(*page);
  }
  return *page;
}

}  // namespace cairn
