#include "storage/encrypted/sector_cipher.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace cairn {
namespace {

constexpr size_t kSealedBytes = sizeof(uint16_t) + kUnitTextBytes;
constexpr size_t kDrawnBytes = sizeof(uint64_t);

struct UnitNumber {
  char bytes[sizeof(uint64_t)];
  explicit UnitNumber(uint64_t unit) { StoreLittleEndian(bytes, unit); }
  absl::string_view view() const { return {bytes, sizeof(bytes)}; }
};

}  // namespace

Aead::Nonce NonceSource::Next() {
  char* counter = reinterpret_cast<char*>(last_.data()) + kDrawnBytes;
  const uint32_t next = LoadLittleEndian<uint32_t>(counter) + 1;
  if (!drawn_ || next == 0) random_.Fill(last_.data(), kDrawnBytes);
  drawn_ = true;
  StoreLittleEndian(counter, next);
  return last_;
}

SectorCipher::SectorCipher(Cipher cipher, const SecretKey& key) : cipher_(cipher), key_(key) {}

SectorCipher::Use::Use(SectorCipher& cipher) : cipher_(cipher) {
  {
    MutexLock lock(cipher_.mutex_);
    if (!cipher_.idle_.empty()) {
      aead_ = std::move(cipher_.idle_.back());
      cipher_.idle_.pop_back();
    }
  }
  if (aead_ == nullptr) aead_ = std::make_unique<Aead>(cipher_.cipher_, cipher_.key_);
}

SectorCipher::Use::~Use() {
  MutexLock lock(cipher_.mutex_);
  cipher_.idle_.push_back(std::move(aead_));
}

void SectorCipher::Use::Seal(const Aead::Nonce& nonce, uint64_t unit, absl::string_view text,
                             char* to) {
  CAIRN_CHECK_LE(text.size(), kUnitTextBytes);
  char plain[kSealedBytes] = {};
  StoreLittleEndian(plain, static_cast<uint16_t>(text.size()));
  std::copy(text.begin(), text.end(), plain + sizeof(uint16_t));
  std::memcpy(to, nonce.data(), nonce.size());
  char* sealed = to + nonce.size();
  aead_->Seal(nonce, UnitNumber(unit).view(), {plain, kSealedBytes}, sealed, sealed + kSealedBytes);
}

std::optional<size_t> SectorCipher::Use::Open(uint64_t unit, const char* from, char* to) {
  const auto is_zero = [](char c) { return c == 0; };
  if (from[0] == 0 && std::all_of(from, from + kUnitBytes, is_zero)) {
    std::memset(to, 0, kUnitTextBytes);
    return kUnitTextBytes;
  }
  Aead::Nonce nonce;
  std::memcpy(nonce.data(), from, nonce.size());
  const char* sealed = from + nonce.size();
  char plain[kSealedBytes];
  if (!aead_->Open(nonce, UnitNumber(unit).view(), {sealed, kSealedBytes}, sealed + kSealedBytes,
                   plain)) {
    return std::nullopt;
  }
  const size_t length = LoadLittleEndian<uint16_t>(plain);
  if (length > kUnitTextBytes) return std::nullopt;
  std::memcpy(to, plain + sizeof(uint16_t), kUnitTextBytes);
  return length;
}

}  // namespace cairn
