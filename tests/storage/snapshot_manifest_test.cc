#include "storage/snapshot_manifest.h"

#include <string>

#include "absl/status/status.h"
#include "base/coding.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

SnapshotManifest Example() {
  SnapshotManifest manifest;
  manifest.cluster.bytes.fill(7);
  manifest.group = GroupId{3};
  manifest.position = {100, 5};
  manifest.hash = {.high = 8, .low = 9};
  manifest.configuration_at = {40, 2};
  manifest.configuration = "members";
  manifest.time = WallTime{12345};
  manifest.files = {{"cairn", 10, {ContentIdOf("a")}},
                    {"empty", 0, {}},
                    {"state-1.x_y", kChunkBytes + 1, {ContentIdOf("b"), ContentIdOf("c")}}};
  return manifest;
}

// `body` with its own hash behind it, as who wants to harm can make it.
std::string Sealed(std::string body) {
  const ContentId id = ContentIdOf(body);
  body.append(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
  return body;
}

std::string BodyOf(const std::string& encoded) { return encoded.substr(0, encoded.size() - 32); }

TEST(SnapshotManifestTest, ComesBackAsItWas) {
  const SnapshotManifest manifest = Example();
  const std::string encoded = EncodeManifest(manifest);
  absl::StatusOr<SnapshotManifest> decoded = DecodeManifest(encoded);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(EncodeManifest(*decoded), encoded);
  EXPECT_EQ(decoded->position, manifest.position);
  EXPECT_EQ(decoded->hash, manifest.hash);
  EXPECT_EQ(decoded->configuration, "members");
  EXPECT_EQ(decoded->files[2].chunks[1], ContentIdOf("c"));
  EXPECT_EQ(decoded->files[2].ChunkLength(1), 1u);
  EXPECT_EQ(decoded->content_bytes(), kChunkBytes + 11);
  EXPECT_EQ(SnapshotIdOf(encoded), ContentIdOf(BodyOf(encoded)));
}

// FIPS 180-2, appendix B.1.
TEST(SnapshotManifestTest, ContentIdsAreSha256) {
  EXPECT_EQ(ToString(ContentIdOf("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(SnapshotManifestTest, EveryFlippedByteAndEveryCutIsNoticed) {
  const std::string encoded = EncodeManifest(Example());
  for (size_t i = 0; i < encoded.size(); ++i) {
    std::string flipped = encoded;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
    EXPECT_TRUE(absl::IsDataLoss(DecodeManifest(flipped).status())) << i;
    EXPECT_TRUE(absl::IsDataLoss(DecodeManifest(encoded.substr(0, i)).status())) << i;
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeManifest(encoded + "x").status()));
}

TEST(SnapshotManifestTest, ANewerFormatIsNamed) {
  std::string body = BodyOf(EncodeManifest(Example()));
  StoreLittleEndian(body.data() + 4, uint32_t{2});
  const absl::Status status = DecodeManifest(Sealed(body)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

// Sizes near 2^63 and 2^64, more files and chunks than there are bytes: refused, and nothing of
// that size is allocated.
TEST(SnapshotManifestTest, LiesAboutSizesAreRefused) {
  const std::string body = BodyOf(EncodeManifest(Example()));
  const size_t count_at = body.find("cairn") - 8;  // number of files, length of the name
  const size_t bytes_at = body.find("cairn") + 5;
  for (uint64_t bytes : {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{1} << 40, kChunkBytes + 1}) {
    std::string lie = body;
    StoreLittleEndian(lie.data() + bytes_at, bytes);
    EXPECT_TRUE(absl::IsDataLoss(DecodeManifest(Sealed(lie)).status())) << bytes;
  }
  for (uint32_t count : {~uint32_t{0}, 4u, 2u}) {
    std::string lie = body;
    StoreLittleEndian(lie.data() + count_at, count);
    EXPECT_TRUE(absl::IsDataLoss(DecodeManifest(Sealed(lie)).status())) << count;
  }
}

TEST(SnapshotManifestTest, NamesAndPositionsThatMakeNoSenseAreRefused) {
  const auto refused = [](const SnapshotManifest& manifest) {
    return absl::IsDataLoss(DecodeManifest(EncodeManifest(manifest)).status());
  };
  SnapshotManifest manifest = Example();
  manifest.position = {};
  EXPECT_TRUE(refused(manifest));
  manifest = Example();
  manifest.position.index = kMaxIndex + 1;
  EXPECT_TRUE(refused(manifest));
  manifest = Example();
  manifest.configuration_at = {101, 5};
  EXPECT_TRUE(refused(manifest));
  manifest = Example();
  manifest.files[1].name = "cairn";
  EXPECT_TRUE(refused(manifest)) << "twice";
  const std::string body = BodyOf(EncodeManifest(Example()));
  for (absl::string_view name : {"../..", "/etc1", ".....", "Cairn", "cai\nn", "cai n"}) {
    std::string lie = body;
    lie.replace(lie.find("cairn"), 5, std::string(name).substr(0, 5));
    EXPECT_TRUE(absl::IsDataLoss(DecodeManifest(Sealed(lie)).status())) << name;
  }
}

TEST(SnapshotManifestTest, RandomBytesAreRefused) {
  Random random(1);
  const std::string encoded = EncodeManifest(Example());
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = BodyOf(encoded);
    for (uint64_t changes = 1 + random.Below(4); changes > 0; --changes) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Below(256));
    }
    if (random.OneIn(3)) bytes.resize(random.Below(bytes.size()));
    absl::StatusOr<SnapshotManifest> decoded = DecodeManifest(Sealed(bytes));
    if (!decoded.ok()) continue;
    EXPECT_EQ(BodyOf(EncodeManifest(*decoded)), bytes);
  }
}

}  // namespace
}  // namespace cairn
