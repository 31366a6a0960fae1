#include "tests/storage/block/test_keys.h"

#include <string>
#include <utility>

namespace cairn {

MasterKey TestKey(uint8_t number) {
  return MasterKey(SecretKey(std::string(SecretKey::kBytes, static_cast<char>(number))));
}

std::shared_ptr<KeyRing> TestRing(Cipher cipher, const std::vector<uint8_t>& keys) {
  static auto& random = *new SeededRandomBytes(99);
  std::vector<MasterKey> masters;
  for (uint8_t number : keys) masters.push_back(TestKey(number));
  return std::make_shared<KeyRing>(cipher, std::move(masters), "the test's keys", random);
}

}  // namespace cairn
