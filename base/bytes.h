// Bytes: an immutable run of bytes that may be shared.

#ifndef BASE_BYTES_H_
#define BASE_BYTES_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace cairn {

// A value: copies share the buffer, which lives until the last copy is gone. Nobody writes to the
// buffer once a Bytes refers to it, so a Bytes may be read on any thread.
class Bytes {
 public:
  Bytes() = default;

  // A buffer of its own with a copy of `data`.
  static Bytes Copy(absl::string_view data) { return Take(std::string(data)); }

  // Takes over `data` without copying it.
  static Bytes Take(std::string data) {
    auto owner = std::make_shared<const std::string>(std::move(data));
    absl::string_view view(*owner);
    return Bytes(std::move(owner), view);
  }

  // Refers to `view`, which `owner` keeps alive and unchanged.
  Bytes(std::shared_ptr<const void> owner, absl::string_view view)
      : owner_(std::move(owner)), view_(view) {}

  const char* data() const { return view_.data(); }
  size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }
  absl::string_view view() const { return view_; }

  // The part [offset, offset + length) of this run, sharing the buffer. Cut to what there is.
  Bytes Slice(size_t offset, size_t length = absl::string_view::npos) const {
    if (offset > view_.size()) offset = view_.size();
    return Bytes(owner_, view_.substr(offset, length));
  }

  friend bool operator==(const Bytes& a, const Bytes& b) { return a.view_ == b.view_; }

 private:
  std::shared_ptr<const void> owner_;
  absl::string_view view_;
};

}  // namespace cairn

#endif  // BASE_BYTES_H_
