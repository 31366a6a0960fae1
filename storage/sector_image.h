// SectorImage: the content of a simulated file, cheap to copy.

#ifndef STORAGE_SECTOR_IMAGE_H_
#define STORAGE_SECTOR_IMAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/strings/string_view.h"
#include "storage/file_system.h"

namespace cairn {

// A value. Copies share their pages until one of them is written, so an image and its copies belong
// to one thread or to one lock.
class SectorImage {
 public:
  uint64_t length() const { return length_; }
  // What is cut off reads as zero if it comes back.
  void SetLength(uint64_t length);

  // Bytes from `offset` on, cut at the end; gives how many.
  size_t Read(uint64_t offset, size_t length, char* to) const;

  // Makes the image longer if needed.
  void Write(uint64_t offset, absl::string_view data);

  // As Write of one whole sector, but leaves the length as it is: what lies behind the end is kept
  // unseen until the length grows over it or SetLength is called.
  void WriteSector(uint64_t sector, absl::string_view data);

  // The sector's bytes, zeroes behind what was ever written.
  std::array<char, kSectorBytes> ReadSector(uint64_t sector) const;

 private:
  static constexpr size_t kPageBytes = 4096;
  using Page = std::array<char, kPageBytes>;

  void Cut(uint64_t length);
  void Store(uint64_t offset, absl::string_view data);
  Page& WritablePage(size_t number);

  uint64_t length_ = 0;
  std::vector<std::shared_ptr<Page>> pages_;  // null: zeroes
};

}  // namespace cairn

#endif  // STORAGE_SECTOR_IMAGE_H_
