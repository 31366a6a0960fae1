// Little-endian integers in byte buffers: the one spelling of Cairn's own formats.

#ifndef BASE_CODING_H_
#define BASE_CODING_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace cairn {

// Writes `value` to the sizeof(value) bytes at `to`.
template <std::unsigned_integral T>
void StoreLittleEndian(char* to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    to[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
  }
}

// Reads a value from the sizeof(T) bytes at `from`.
template <std::unsigned_integral T>
T LoadLittleEndian(const char* from) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value =
        static_cast<T>(value | (static_cast<T>(static_cast<unsigned char>(from[i])) << (8 * i)));
  }
  return value;
}

template <std::unsigned_integral T>
void AppendLittleEndian(std::string* to, T value) {
  char bytes[sizeof(T)];
  StoreLittleEndian(bytes, value);
  to->append(bytes, sizeof(T));
}

// A u32 length, then the bytes.
inline void AppendLengthPrefixed(std::string* to, absl::string_view bytes) {
  AppendLittleEndian(to, static_cast<uint32_t>(bytes.size()));
  to->append(bytes.data(), bytes.size());
}

// Reads values off the front of a buffer. After the first read that does not fit every read gives
// zero or empty and ok() is false, so a decoder checks once at its end.
class Decoder {
 public:
  explicit Decoder(absl::string_view bytes) : rest_(bytes) {}

  template <std::unsigned_integral T>
  T Read() {
    if (!ok_ || rest_.size() < sizeof(T)) {
      ok_ = false;
      return 0;
    }
    T value = LoadLittleEndian<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return value;
  }

  absl::string_view ReadBytes(size_t length) {
    if (!ok_ || rest_.size() < length) {
      ok_ = false;
      return {};
    }
    absl::string_view bytes = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return bytes;
  }

  absl::string_view ReadLengthPrefixed() { return ReadBytes(Read<uint32_t>()); }

  bool ok() const { return ok_; }
  // True when everything was read and nothing is left over.
  bool Done() const { return ok_ && rest_.empty(); }
  size_t remaining() const { return rest_.size(); }

 private:
  absl::string_view rest_;
  bool ok_ = true;
};

}  // namespace cairn

#endif  // BASE_CODING_H_
