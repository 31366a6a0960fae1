// BlockFile: one open block of the log.

#ifndef STORAGE_BLOCK_BLOCK_FILE_H_
#define STORAGE_BLOCK_BLOCK_FILE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "storage/block/block_header.h"
#include "storage/file_system.h"

namespace cairn {

// Names in the log's directory. A block has a good header as long as it is named a block; whatever
// is named a spare may be overwritten.
std::string BlockFileName(uint64_t block);
std::string SpareFileName(uint64_t number);
// The number in such a name, nullopt if it is none.
std::optional<uint64_t> ParseBlockFileName(absl::string_view name);
std::optional<uint64_t> ParseSpareFileName(absl::string_view name);

std::string JoinPath(const std::string& directory, const std::string& name);

// Threads: as File.
class BlockFile {
 public:
  BlockFile(std::unique_ptr<File> file, const BlockHeader& header)
      : file_(std::move(file)), header_(header), tag_(header.Tag()) {}

  // What stands in the two places of the header.
  struct Headers {
    std::optional<BlockHeader> header;
    bool good[2] = {false, false};
  };

  // Opens block `block` of `identity`, or of whomever if there is none, and checks that it is
  // whole: FAILED_PRECONDITION for another identity, a newer format or a key that is not known,
  // DATA_LOSS if no copy of the header is good, the file is cut short or it is another block. Names
  // the file.
  static absl::StatusOr<std::unique_ptr<BlockFile>> Open(FileSystem& file_system,
                                                         const std::string& path, uint64_t block,
                                                         const std::optional<LogIdentity>& identity,
                                                         FileSystem::OpenMode mode);
  // As found by Open; for healing.
  const Headers& headers() const { return headers_; }

  File& file() const { return *file_; }
  const std::string& path() const { return file_->path(); }
  const BlockHeader& header() const { return header_; }
  const BlockGeometry& geometry() const { return header_.geometry; }
  uint64_t block() const { return header_.block; }
  uint64_t tag() const { return tag_; }

  // Writes the copies of the header that are not good. Not synced.
  absl::Status HealHeaders();

 private:
  std::unique_ptr<File> file_;
  BlockHeader header_;
  uint64_t tag_;
  Headers headers_ = {.header = std::nullopt, .good = {true, true}};
};

// Makes the file at `path` a block that holds nothing: all of it zero and synced, then the header,
// synced as well. `create`: the file is not there yet.
absl::Status FormatBlock(FileSystem& file_system, const std::string& path, bool create,
                         const BlockHeader& header);

}  // namespace cairn

#endif  // STORAGE_BLOCK_BLOCK_FILE_H_
