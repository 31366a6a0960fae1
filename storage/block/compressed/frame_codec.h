// FrameCompressor and FrameExpander: a frame is what zstd makes of a piece of plain text, or that
// piece itself where it does not get smaller.

#ifndef STORAGE_BLOCK_COMPRESSED_FRAME_CODEC_H_
#define STORAGE_BLOCK_COMPRESSED_FRAME_CODEC_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"

namespace cairn {

// Threads: one at a time.
class FrameCompressor {
 public:
  FrameCompressor();
  ~FrameCompressor();

  // As long as `plain` at most; where it is as long it is `plain`.
  std::string Compress(absl::string_view plain);

 private:
  struct Context;
  const std::unique_ptr<Context> context_;
};

// Threads: one at a time.
class FrameExpander {
 public:
  FrameExpander();
  ~FrameExpander();

  // Writes the `bytes` bytes of plain text to `to`; false if `frame` is no frame of so many, and
  // then anything may stand there.
  bool Expand(absl::string_view frame, char* to, size_t bytes);

 private:
  struct Context;
  const std::unique_ptr<Context> context_;
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_COMPRESSED_FRAME_CODEC_H_
