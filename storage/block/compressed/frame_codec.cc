#include "storage/block/compressed/frame_codec.h"

#include <zstd.h>

#include <cstring>

#include "base/check.h"

namespace cairn {
namespace {

// zstd's own choice. Higher ones take several times as long for a few percent.
constexpr int kLevel = 3;

}  // namespace

struct FrameCompressor::Context {
  Context() : zstd(ZSTD_createCCtx()) { CAIRN_CHECK(zstd != nullptr) << "out of memory"; }
  ~Context() { ZSTD_freeCCtx(zstd); }
  ZSTD_CCtx* const zstd;
};

FrameCompressor::FrameCompressor() : context_(std::make_unique<Context>()) {}
FrameCompressor::~FrameCompressor() = default;

std::string FrameCompressor::Compress(absl::string_view plain) {
  if (plain.empty()) return std::string();
  // One byte less than would be of use: there is no room for what does not get smaller.
  std::string frame(plain.size() - 1, '\0');
  const size_t bytes = ZSTD_compressCCtx(context_->zstd, frame.data(), frame.size(), plain.data(),
                                         plain.size(), kLevel);
  if (ZSTD_isError(bytes)) return std::string(plain);
  frame.resize(bytes);
  return frame;
}

struct FrameExpander::Context {
  Context() : zstd(ZSTD_createDCtx()) { CAIRN_CHECK(zstd != nullptr) << "out of memory"; }
  ~Context() { ZSTD_freeDCtx(zstd); }
  ZSTD_DCtx* const zstd;
};

FrameExpander::FrameExpander() : context_(std::make_unique<Context>()) {}
FrameExpander::~FrameExpander() = default;

bool FrameExpander::Expand(absl::string_view frame, char* to, size_t bytes) {
  if (frame.size() == bytes) {
    std::memcpy(to, frame.data(), bytes);
    return true;
  }
  return ZSTD_decompressDCtx(context_->zstd, to, bytes, frame.data(), frame.size()) == bytes;
}

}  // namespace cairn
