#include "storage/block/unit_cipher.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/coding.h"
#include "storage/block/layout.h"

namespace cairn {
namespace {

constexpr size_t kRevisionBytes = sizeof(uint32_t);

// Where a unit stands, twice: as its nonce, and as what is authenticated with it.
struct Place {
  Aead::Nonce nonce;
  char also[2 * sizeof(uint64_t) + kRevisionBytes];

  Place(uint32_t revision, uint64_t block, uint64_t unit) {
    char* to = reinterpret_cast<char*>(nonce.data());
    StoreLittleEndian(to, revision);
    StoreLittleEndian(to + kRevisionBytes, unit);
    StoreLittleEndian(also, block);
    StoreLittleEndian(also + sizeof(uint64_t), unit);
    StoreLittleEndian(also + 2 * sizeof(uint64_t), revision);
  }
  absl::string_view view() const { return {also, sizeof(also)}; }
};

uint8_t ZeroSectors(absl::string_view unit) {
  uint8_t zero = 0;
  for (size_t at = 0; at < unit.size(); at += kSectorBytes) {
    if (IsZero(unit.substr(at, kSectorBytes))) {
      zero = static_cast<uint8_t>(zero | 1u << at / kSectorBytes);
    }
  }
  return zero;
}

}  // namespace

std::string UnitCipher::Seal(uint32_t revision, uint64_t first, absl::string_view plain) {
  CAIRN_CHECK_NE(revision, uint32_t{0});
  CAIRN_CHECK_EQ(plain.size() % plain_bytes(), 0u);
  std::string stored(plain.size() / plain_bytes() * unit_bytes_, '\0');
  char* to = stored.data();
  for (uint64_t unit = first; !plain.empty(); ++unit, to += unit_bytes_) {
    const Place place(revision, block_, unit);
    StoreLittleEndian(to, revision);
    aead_.Seal(place.nonce, place.view(), plain.substr(0, plain_bytes()), to + kRevisionBytes,
               to + unit_bytes_ - Aead::kTagBytes);
    plain.remove_prefix(plain_bytes());
  }
  return stored;
}

bool UnitCipher::OpenUnit(uint64_t unit, absl::string_view stored, char* to) {
  const auto revision = LoadLittleEndian<uint32_t>(stored.data());
  if (revision == 0) return false;
  const Place place(revision, block_, unit);
  return aead_.Open(place.nonce, place.view(), stored.substr(kRevisionBytes, plain_bytes()),
                    stored.data() + unit_bytes_ - Aead::kTagBytes, to);
}

OpenedUnits UnitCipher::Open(uint64_t first, absl::string_view stored) {
  OpenedUnits opened;
  const size_t units = stored.size() / unit_bytes_;
  const auto all = static_cast<uint8_t>((1u << unit_bytes_ / kSectorBytes) - 1);
  std::string plain(units * plain_bytes(), '\0');
  opened.zero_sectors.reserve(units);
  for (size_t i = 0; i < units; ++i) {
    const absl::string_view unit = stored.substr(i * unit_bytes_, unit_bytes_);
    char* to = plain.data() + i * plain_bytes();
    const uint8_t zero = ZeroSectors(unit);
    opened.zero_sectors.push_back(zero);
    if (zero == all || (zero == 0 && OpenUnit(first + i, unit, to))) continue;
    std::memset(to, kUnreadableByte, plain_bytes());
  }
  opened.plain = Bytes::Take(std::move(plain));
  return opened;
}

}  // namespace cairn
