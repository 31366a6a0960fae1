#include "storage/crypto/key_ring.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/crypto/wrapped_key.h"

namespace cairn {
namespace {

using testing::HasSubstr;

constexpr char kFirst[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
constexpr char kSecond[] = "FF0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

std::vector<MasterKey> Parse(const std::string& text) {
  return ParseMasterKeys(text, "keys").value();
}

std::string Refusal(const std::string& text) {
  absl::StatusOr<std::vector<MasterKey>> keys = ParseMasterKeys(text, "keys");
  EXPECT_TRUE(absl::IsInvalidArgument(keys.status())) << keys.status();
  return std::string(keys.status().message());
}

// The two values are HMAC-SHA-256 as Python's hmac computes it.
TEST(MasterKeyTest, IdAndCheckValueFollowFromTheKey) {
  const MasterKey key = Parse(kFirst).at(0);
  EXPECT_EQ(KeyIdText(key.id), "e6ed098df4ab6f3b");
  EXPECT_EQ(absl::BytesToHexString(absl::string_view(
                reinterpret_cast<const char*>(key.check.data()), key.check.size())),
            "21dbd4568e4056922d303e85eaac43ff");
}

TEST(MasterKeyTest, ReadsLines) {
  const std::vector<MasterKey> keys =
      Parse(absl::StrCat("# made in May\n\n  ", kSecond, " \r\n", kFirst));
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(absl::BytesToHexString(keys[1].secret.view()), kFirst);
  EXPECT_NE(keys[0].id, keys[1].id);
}

TEST(MasterKeyTest, Reads32Bytes) {
  const std::vector<MasterKey> keys = Parse(absl::HexStringToBytes(kFirst));
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].id, Parse(kFirst)[0].id);
}

TEST(MasterKeyTest, RefusesWhatIsNoKeyAndDoesNotRepeatIt) {
  EXPECT_THAT(Refusal(""), HasSubstr("no key"));
  EXPECT_THAT(Refusal("# nothing\n"), HasSubstr("no key"));
  const std::string secret = std::string(kFirst).substr(0, 62);
  const std::string short_line = Refusal(absl::StrCat("\n", secret, "\n"));
  EXPECT_THAT(short_line, HasSubstr("keys: line 2"));
  EXPECT_FALSE(absl::StrContains(short_line, secret));
  EXPECT_THAT(Refusal(absl::StrCat(secret, "xy")), HasSubstr("line 1"));
  EXPECT_THAT(Refusal(absl::StrCat(kFirst, "\n", kFirst)), HasSubstr("line 2"));
  EXPECT_THAT(Refusal(std::string(33, 'a')), HasSubstr("line 1"));
}

TEST(KeyRingTest, TheFirstKeyIsForNewBlocks) {
  SeededRandomBytes random(1);
  const std::vector<MasterKey> keys = Parse(absl::StrCat(kFirst, "\n", kSecond));
  KeyRing ring(Cipher::kAes256Gcm, keys, "keys", random);
  EXPECT_EQ(ring.current()->id, keys[0].id);
  EXPECT_EQ(ring.Find(keys[1].id)->secret.view(), keys[1].secret.view());
  EXPECT_FALSE(ring.Find(12345).has_value());
  EXPECT_EQ(ring.Describe(),
            absl::StrCat("keys has ", KeyIdText(keys[0].id), ", ", KeyIdText(keys[1].id)));
  const absl::Status refused = ring.Replace({keys[1]});
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_THAT(refused.message(), HasSubstr(KeyIdText(keys[0].id)));
  EXPECT_FALSE(ring.Replace({}).ok());
  EXPECT_EQ(ring.current()->id, keys[0].id);
  EXPECT_TRUE(ring.Replace({keys[1], keys[0]}).ok());
  EXPECT_TRUE(ring.Replace({keys[1]}).ok());
  EXPECT_FALSE(ring.Find(keys[0].id).has_value());
  EXPECT_EQ(ring.current()->id, keys[1].id);
}

TEST(KeyRingTest, WithoutACipherNewBlocksAreNotEncrypted) {
  SeededRandomBytes random(1);
  KeyRing ring(Cipher::kNone, Parse(kFirst), "keys", random);
  EXPECT_FALSE(ring.current().has_value());
  EXPECT_TRUE(ring.Find(Parse(kFirst)[0].id).has_value());
  // So the one that is given first is needed no more than any other.
  EXPECT_TRUE(ring.Replace(Parse(kSecond)).ok());
  EXPECT_TRUE(ring.Find(Parse(kSecond)[0].id).has_value());
  EXPECT_FALSE(ring.Replace({}).ok());
}

class WrappedKeyTest : public testing::Test {
 protected:
  SeededRandomBytes random_{3};
  const SecretKey master_ = SecretKey::Draw(random_);
  const SecretKey data_ = SecretKey::Draw(random_);
  const WrappedKey wrapped_ = WrapKey(master_, "here", data_, random_);
};

TEST_F(WrappedKeyTest, OpensWithItsMasterKeyAtItsPlace) {
  const std::optional<SecretKey> opened = UnwrapKey(master_, "here", wrapped_);
  ASSERT_TRUE(opened.has_value());
  EXPECT_EQ(opened->view(), data_.view());
  EXPECT_FALSE(UnwrapKey(data_, "here", wrapped_).has_value());
  EXPECT_FALSE(UnwrapKey(master_, "there", wrapped_).has_value());
}

TEST_F(WrappedKeyTest, NoBitMayDiffer) {
  WrappedKey changed = wrapped_;
  auto each = [&](auto& bytes) {
    for (uint8_t& byte : bytes) {
      byte ^= 0x40;
      EXPECT_FALSE(UnwrapKey(master_, "here", changed).has_value());
      byte ^= 0x40;
    }
  };
  each(changed.salt);
  each(changed.sealed);
  each(changed.tag);
  EXPECT_TRUE(UnwrapKey(master_, "here", changed).has_value());
}

TEST_F(WrappedKeyTest, WrappedAgainItLooksDifferent) {
  const WrappedKey again = WrapKey(master_, "here", data_, random_);
  EXPECT_NE(again.salt, wrapped_.salt);
  EXPECT_NE(again.sealed, wrapped_.sealed);
  EXPECT_EQ(UnwrapKey(master_, "here", again)->view(), data_.view());
}

}  // namespace
}  // namespace cairn
