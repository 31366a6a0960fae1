#include "storage/crypto/key_ring.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/coding.h"

namespace cairn {
namespace {

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isxdigit(c); });
}

uint8_t HexDigit(char digit) {
  const char lower = absl::ascii_tolower(digit);
  return static_cast<uint8_t>(lower <= '9' ? lower - '0' : lower - 'a' + 10);
}

// Leaves no copy of the key behind.
SecretKey FromHex(absl::string_view digits) {
  char bytes[SecretKey::kBytes];
  for (size_t i = 0; i < sizeof(bytes); ++i) {
    bytes[i] = static_cast<char>(HexDigit(digits[2 * i]) << 4 | HexDigit(digits[2 * i + 1]));
  }
  SecretKey key(absl::string_view(bytes, sizeof(bytes)));
  OPENSSL_cleanse(bytes, sizeof(bytes));
  return key;
}

}  // namespace

MasterKey::MasterKey(const SecretKey& key) : secret(key) {
  id = LoadLittleEndian<uint64_t>(DeriveKey(key, "cairn master key id 1").view().data());
  if (id == 0) id = 1;  // 0 is no key
  const SecretKey value = DeriveKey(key, "cairn master key check 1");
  std::memcpy(check.data(), value.data(), check.size());
}

std::string KeyIdText(uint64_t id) { return absl::StrFormat("%016x", id); }

absl::StatusOr<std::vector<MasterKey>> ParseMasterKeys(absl::string_view text,
                                                       absl::string_view source) {
  std::vector<MasterKey> keys;
  if (text.size() == SecretKey::kBytes) {
    keys.emplace_back(SecretKey(text));
    return keys;
  }
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    if (line.size() != 2 * SecretKey::kBytes || !IsHex(line)) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ": line ", number, " is no key: 64 hexadecimal digits"));
    }
    const MasterKey key(FromHex(line));
    const bool known = std::any_of(keys.begin(), keys.end(),
                                   [&](const MasterKey& each) { return each.id == key.id; });
    if (known) {
      return absl::InvalidArgumentError(
          absl::StrCat(source, ": line ", number, " has the key of a line before it"));
    }
    keys.push_back(key);
  }
  if (keys.empty()) return absl::InvalidArgumentError(absl::StrCat(source, ": there is no key"));
  return keys;
}

KeyRing::KeyRing(Cipher cipher, std::vector<MasterKey> keys, std::string source,
                 RandomBytes& random)
    : cipher_(cipher), source_(std::move(source)), random_(random), keys_(std::move(keys)) {
  CAIRN_CHECK(!keys_.empty());
}

std::optional<MasterKey> KeyRing::current() const {
  if (cipher_ == Cipher::kNone) return std::nullopt;
  MutexLock lock(mutex_);
  return keys_.front();
}

std::optional<MasterKey> KeyRing::Find(uint64_t id) const {
  MutexLock lock(mutex_);
  for (const MasterKey& key : keys_) {
    if (key.id == id) return key;
  }
  return std::nullopt;
}

uint64_t KeyRing::version() const {
  MutexLock lock(mutex_);
  return version_;
}

std::string KeyRing::Describe() const {
  MutexLock lock(mutex_);
  return absl::StrCat(source_, " has ",
                      absl::StrJoin(keys_, ", ", [](std::string* to, const MasterKey& key) {
                        absl::StrAppend(to, KeyIdText(key.id));
                      }));
}

KeyRing::User::User(const KeyRing& ring, KeysInUse in_use) : ring_(ring) {
  MutexLock lock(ring_.users_mutex_);
  ring_.users_[this] = std::move(in_use);
}

KeyRing::User::~User() {
  MutexLock lock(ring_.users_mutex_);
  ring_.users_.erase(this);
}

absl::Status KeyRing::Replace(std::vector<MasterKey> keys) {
  MutexLock users_lock(users_mutex_);
  std::set<uint64_t> needed;
  for (const auto& [user, in_use] : users_) {
    absl::StatusOr<std::set<uint64_t>> ids = in_use();
    if (!ids.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          source_, ": which keys are needed cannot be told now: ", ids.status().message()));
    }
    needed.merge(*ids);
  }
  MutexLock lock(mutex_);
  // Without a cipher none of them is in use for what is new, and each may be the last to go.
  if (keys.empty() || cipher_ != Cipher::kNone) needed.insert(keys_.front().id);
  for (const MasterKey& key : keys) needed.erase(key.id);
  if (!needed.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(source_, ": key ", KeyIdText(*needed.begin()),
                     " is gone, but something is encrypted with it: put it behind the new one"));
  }
  keys_ = std::move(keys);
  ++version_;
  return absl::OkStatus();
}

}  // namespace cairn
