// The ciphers against published vectors, and against every change of a byte.

#include "storage/crypto/aead.h"

#include <algorithm>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

struct Vector {
  const char* name;
  Cipher cipher;
  const char* key;
  const char* nonce;
  const char* also;
  const char* plain;
  const char* sealed;
  const char* tag;
};

const Vector kVectors[] = {
    // "The Galois/Counter Mode of Operation", McGrew and Viega, test case 16.
    {"Gcm16", Cipher::kAes256Gcm,
     "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    // RFC 8439, 2.8.2.
    {"Rfc8439", Cipher::kChaCha20Poly1305,
     "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647",
     "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
     "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
     "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
     "637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
     "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
     "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
     "3ff4def08e4b7a9de576d26586cec64b6116",
     "1ae10b594f09e26a7e902ecbd0600691"},
};

Aead::Nonce NonceOf(const std::string& bytes) {
  Aead::Nonce nonce;
  std::copy(bytes.begin(), bytes.end(), nonce.begin());
  return nonce;
}

class AeadTest : public testing::TestWithParam<Vector> {
 protected:
  const Vector& vector() const { return GetParam(); }
  Aead aead_{GetParam().cipher, SecretKey(absl::HexStringToBytes(GetParam().key))};
  const Aead::Nonce nonce_ = NonceOf(absl::HexStringToBytes(GetParam().nonce));
  const std::string also_ = absl::HexStringToBytes(GetParam().also);
  const std::string plain_ = absl::HexStringToBytes(GetParam().plain);
  const std::string sealed_ = absl::HexStringToBytes(GetParam().sealed);
  const std::string tag_ = absl::HexStringToBytes(GetParam().tag);
};

TEST_P(AeadTest, SealsAsPublished) {
  for (int time = 0; time < 2; ++time) {  // nothing is left of the text before
    std::string sealed(plain_.size(), '\0');
    std::string tag(Aead::kTagBytes, '\0');
    aead_.Seal(nonce_, also_, plain_, sealed.data(), tag.data());
    EXPECT_EQ(absl::BytesToHexString(sealed), vector().sealed);
    EXPECT_EQ(absl::BytesToHexString(tag), vector().tag);
  }
}

TEST_P(AeadTest, OpensAsPublished) {
  for (int time = 0; time < 2; ++time) {
    std::string opened(sealed_.size(), '\0');
    ASSERT_TRUE(aead_.Open(nonce_, also_, sealed_, tag_.data(), opened.data()));
    EXPECT_EQ(opened, plain_);
  }
}

TEST_P(AeadTest, NoByteMayDiffer) {
  auto opens = [&](std::string nonce, std::string also, std::string sealed, std::string tag) {
    std::string opened(sealed.size(), '\0');
    return aead_.Open(NonceOf(nonce), also, sealed, tag.data(), opened.data());
  };
  const std::string nonce(nonce_.begin(), nonce_.end());
  std::string parts[] = {nonce, also_, sealed_, tag_};
  for (std::string& part : parts) {
    for (char& byte : part) {
      byte = static_cast<char>(byte ^ 0x10);
      EXPECT_FALSE(opens(parts[0], parts[1], parts[2], parts[3]));
      byte = static_cast<char>(byte ^ 0x10);
    }
  }
  EXPECT_TRUE(opens(parts[0], parts[1], parts[2], parts[3]));
}

TEST_P(AeadTest, AnotherKeyOpensNothing) {
  std::string key = absl::HexStringToBytes(vector().key);
  key[31] = static_cast<char>(key[31] ^ 1);
  Aead other(vector().cipher, SecretKey(key));
  std::string opened(sealed_.size(), '\0');
  EXPECT_FALSE(other.Open(nonce_, also_, sealed_, tag_.data(), opened.data()));
}

INSTANTIATE_TEST_SUITE_P(Published, AeadTest, testing::ValuesIn(kVectors),
                         [](const testing::TestParamInfo<Vector>& each) {
                           return std::string(each.param.name);
                         });

TEST(CipherTest, NamesAreReadBack) {
  for (Cipher cipher : {Cipher::kNone, Cipher::kAes256Gcm, Cipher::kChaCha20Poly1305}) {
    EXPECT_EQ(ParseCipher(CipherName(cipher)), cipher);
  }
  EXPECT_FALSE(ParseCipher("rot13").has_value());
}

TEST(RandomBytesTest, SystemBytesAreNotTheSameTwice) {
  SystemRandomBytes random;
  EXPECT_NE(SecretKey::Draw(random).view(), SecretKey::Draw(random).view());
  std::string many(1000, '\0');
  random.Fill(reinterpret_cast<uint8_t*>(many.data()), many.size());
  EXPECT_NE(many.substr(990), std::string(10, '\0'));
}

TEST(RandomBytesTest, SeededBytesAreThoseOfTheSeed) {
  SeededRandomBytes first(7);
  SeededRandomBytes same(7);
  SeededRandomBytes other(8);
  const SecretKey key = SecretKey::Draw(first);
  EXPECT_EQ(SecretKey::Draw(same).view(), key.view());
  EXPECT_NE(SecretKey::Draw(other).view(), key.view());
  EXPECT_NE(SecretKey::Draw(first).view(), key.view());
}

}  // namespace
}  // namespace cairn
