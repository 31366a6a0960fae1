#include "tests/storage/fuzz/mutation.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "base/coding.h"

namespace cairn {
namespace {

constexpr size_t kLongestPiece = 64;

size_t LengthIn(Random& random, size_t at, size_t size) {
  return std::min<size_t>(1 + random.Below(kLongestPiece), size - at);
}

template <typename Number>
Number Other(Random& random, Number was) {
  switch (random.Below(8)) {
    case 0:
      return 0;
    case 1:
      return static_cast<Number>(~Number{0});
    case 2:
      return static_cast<Number>(Number{1} << random.Below(sizeof(Number) * 8));
    case 3:
      return static_cast<Number>(was + 1 + random.Below(4));
    case 4:
      return static_cast<Number>(was - 1 - random.Below(4));
    case 5:
      return static_cast<Number>(was << (1 + random.Below(12)));
    case 6:
      return static_cast<Number>(was >> (1 + random.Below(12)));
    default:
      return static_cast<Number>(random.Next() >> random.Below(64));
  }
}

// Fields stand anywhere, but more often where a multiple of their half is.
template <typename Number>
std::string ChangeField(Random& random, std::string& bytes) {
  if (bytes.size() < sizeof(Number)) return "";
  size_t at = random.Below(bytes.size() - sizeof(Number) + 1);
  if (random.Chance(3, 4)) at -= at % (sizeof(Number) / 2);
  const auto was = LoadLittleEndian<Number>(bytes.data() + at);
  const Number now = Other(random, was);
  StoreLittleEndian(bytes.data() + at, now);
  return absl::StrCat("u", sizeof(Number) * 8, " at ", at, ": ", was, " -> ", now);
}

std::string MovePiece(Random& random, absl::string_view from, std::string& bytes) {
  if (from.empty()) return "";
  const size_t to = random.Below(bytes.size());
  const size_t at = random.Below(from.size());
  const size_t length = LengthIn(random, at, std::min(from.size(), at + bytes.size() - to));
  const std::string piece(from.substr(at, length));
  bytes.replace(to, piece.size(), piece);
  return absl::StrCat(piece.size(), " bytes of ", at, " to ", to);
}

std::string MutateOnce(Random& random, absl::string_view other, std::string& bytes) {
  const size_t at = random.Below(bytes.size());
  switch (random.Below(10)) {
    case 0: {
      const uint64_t bit = random.Below(8);
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      return absl::StrCat("bit ", bit, " of ", at);
    }
    case 1:
      bytes[at] = static_cast<char>(Other(random, static_cast<uint8_t>(bytes[at])));
      return absl::StrCat("byte ", at);
    case 2:
      return ChangeField<uint16_t>(random, bytes);
    case 3:
    case 4:
      return ChangeField<uint32_t>(random, bytes);
    case 5:
    case 6:
      return ChangeField<uint64_t>(random, bytes);
    case 7: {
      const size_t length = LengthIn(random, at, bytes.size());
      const char with = random.OneIn(2) ? '\0' : '\xff';
      bytes.replace(at, length, length, with);
      return absl::StrCat(length, " bytes at ", at, " are ", static_cast<int>(with));
    }
    case 8:
      return absl::StrCat("own ", MovePiece(random, std::string(bytes), bytes));
    default:
      return absl::StrCat("other's ", MovePiece(random, other, bytes));
  }
}

}  // namespace

std::string Mutate(Random& random, absl::string_view other, std::string& bytes) {
  std::string said;
  if (bytes.empty()) return said;
  const uint64_t times = random.Chance(2, 3) ? 1 : 1 + random.Below(4);
  for (uint64_t i = 0; i < times; ++i) {
    absl::StrAppend(&said, i == 0 ? "" : ", ", MutateOnce(random, other, bytes));
  }
  return said;
}

std::string MutateLength(Random& random, absl::string_view other, std::string& bytes) {
  if (bytes.empty()) return "";
  const size_t at = random.Below(bytes.size());
  switch (random.Below(6)) {
    case 0:
      bytes.resize(at);
      return absl::StrCat("cut at ", at);
    case 1: {
      const size_t more = 1 + random.Below(kLongestPiece);
      bytes.append(more, random.OneIn(2) ? '\0' : '\x5a');
      return absl::StrCat(more, " bytes more");
    }
    case 2: {
      const size_t length = LengthIn(random, at, bytes.size());
      bytes.insert(at, std::string(bytes, at, length));
      return absl::StrCat(length, " bytes of ", at, " twice");
    }
    case 3: {
      const size_t length = LengthIn(random, at, bytes.size());
      bytes.erase(at, length);
      return absl::StrCat(length, " bytes less at ", at);
    }
    case 4: {
      if (other.empty()) return "";
      const size_t from = random.Below(other.size());
      bytes.replace(at, bytes.size() - at, std::string(other.substr(from)));
      return absl::StrCat("other's end of ", from, " from ", at);
    }
    default:
      return Mutate(random, other, bytes);
  }
}

}  // namespace cairn
