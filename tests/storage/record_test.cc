#include "storage/record.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/coding.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

constexpr GroupId kGroup = static_cast<GroupId>(7);
constexpr EntryHash kBaseHash = {.high = 11, .low = 22};

std::string RandomBytes(Random& random, size_t length) {
  std::string bytes(length, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Below(256));
  return bytes;
}

RecordRun MakeRun(const std::vector<std::string>& payloads, LogPosition previous = {9, 3},
                  Term term = 4) {
  RecordRunBuilder builder(kGroup, previous, kBaseHash);
  uint64_t number = 1;
  for (const std::string& payload : payloads) {
    builder.Add(PreparedEntry::Make(EntryType::kCommand, payload, {5, number++}, 2), term,
                WallTime{1'000'000'007});
  }
  return std::move(builder).Build();
}

size_t LongestZeroRun(absl::string_view bytes) {
  size_t longest = 0, run = 0;
  for (char byte : bytes) {
    run = byte == 0 ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  return longest;
}

bool IsDataLoss(const absl::StatusOr<RecordRun>& run) {
  return run.status().code() == absl::StatusCode::kDataLoss;
}

TEST(RecordTest, KeepsEveryField) {
  RecordRunBuilder builder(kGroup, {9, 3}, kBaseHash);
  builder.Add(PreparedEntry::Make(EntryType::kCommand, "first", {5, 6, true}, 2), 4, WallTime{-77});
  builder.Add(PreparedEntry::Make(EntryType::kConfiguration, ""), 5, WallTime{88});
  RecordRun run = std::move(builder).Build();

  ASSERT_EQ(run.size(), 2u);
  EXPECT_EQ(run.first(), (LogPosition{10, 4}));
  EXPECT_EQ(run.last(), (LogPosition{11, 5}));
  EXPECT_EQ(run.previous_hash(), kBaseHash);
  EXPECT_EQ(run.TermRuns(), (std::vector<TermRun>{{4, 10}, {5, 11}}));
  EXPECT_EQ(run[0].type(), EntryType::kCommand);
  EXPECT_EQ(run[0].group(), kGroup);
  EXPECT_EQ(run[0].call(), (SessionCall{5, 6, true}));
  EXPECT_EQ(run[0].apply_version(), 2);
  EXPECT_EQ(run[0].timestamp(), WallTime{-77});
  EXPECT_EQ(run[0].Payload(run.bytes()).view(), "first");
  EXPECT_EQ(run[1].type(), EntryType::kConfiguration);
  EXPECT_EQ(run[1].previous_hash(), run[0].hash());
  EXPECT_EQ(run[1].payload_size(), 0u);
  EXPECT_EQ(run.last_hash(), run[1].hash());
  EXPECT_EQ(run[1].header_checksum(), run[1].hash().low);
  EXPECT_EQ(run.At(11).bytes(), run[1].bytes());
  EXPECT_EQ(RecordLength(run[0].bytes()).value(), kRecordHeaderBytes + 5);

  absl::StatusOr<RecordRun> parsed = RecordRun::Parse(kGroup, run.bytes());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->size(), 2u);
  EXPECT_EQ(parsed->last_hash(), run.last_hash());
  EXPECT_EQ(parsed->bytes(), run.bytes());
}

// The layout of storage/block/FORMAT.md. A change here is a change of the format.
TEST(RecordTest, HeaderStandsAsTheFormatSays) {
  RecordRun run = MakeRun({"abc"});
  const char* header = run.bytes().data();
  EXPECT_EQ(run.byte_size(), 115u);
  EXPECT_EQ(LoadLittleEndian<uint32_t>(header), 0xc3a1e5b7u);
  EXPECT_EQ(LoadLittleEndian<uint8_t>(header + 4), 1);
  EXPECT_EQ(LoadLittleEndian<uint8_t>(header + 5), 2);
  EXPECT_EQ(LoadLittleEndian<uint16_t>(header + 6), 0);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 8), 7u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 16), 10u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 24), 4u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 32), 1'000'000'007u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 40), 5u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 48), 1u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 56), 0u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 64), 0x78af5f94892f3950u);  // XXH3-64 of "abc"
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 72), 22u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 80), 11u);
  EXPECT_EQ(LoadLittleEndian<uint16_t>(header + 88), 2);
  EXPECT_EQ(LoadLittleEndian<uint16_t>(header + 90), 0);
  EXPECT_EQ(LoadLittleEndian<uint32_t>(header + 92), 3u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 96), 0u);
  EXPECT_EQ(LoadLittleEndian<uint64_t>(header + 104), run.last_hash().low);
}

TEST(RecordTest, EmptyRunIsFine) {
  absl::StatusOr<RecordRun> run = RecordRun::Parse(kGroup, Bytes());
  ASSERT_TRUE(run.ok());
  EXPECT_TRUE(run->empty());
  EXPECT_TRUE(run->TermRuns().empty());
}

TEST(RecordTest, SlicesShareTheBuffer) {
  RecordRun run = MakeRun({"a", "bb", "ccc", "dddd"});
  for (Index first = 10; first <= 13; ++first) {
    for (Index last = first; last <= 13; ++last) {
      RecordRun part = run.Slice(first, last);
      ASSERT_EQ(part.size(), last - first + 1);
      EXPECT_EQ(part.first().index, first);
      EXPECT_EQ(part.last().index, last);
      EXPECT_EQ(part.last_hash(), run.At(last).hash());
      EXPECT_EQ(part.bytes().data(), run.At(first).bytes().data());
      absl::StatusOr<RecordRun> parsed = RecordRun::Parse(kGroup, part.bytes());
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_EQ(parsed->size(), part.size());
    }
  }
  EXPECT_TRUE(run.Slice(11, 10).empty());
  RecordRun nested = run.Slice(11, 13).Slice(12, 12);
  EXPECT_EQ(nested[0].Payload(nested.bytes()).view(), "ccc");
}

TEST(RecordTest, EveryFlippedByteIsNoticed) {
  Random random(1);
  RecordRun run = MakeRun({RandomBytes(random, 100), std::string(700, '\0'), "", "tail"});
  const std::string good(run.bytes().view());
  for (size_t at = 0; at < good.size(); ++at) {
    for (int pattern : {0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ pattern);
      EXPECT_TRUE(IsDataLoss(RecordRun::Parse(kGroup, Bytes::Take(bad)))) << "byte " << at;
    }
  }
}

TEST(RecordTest, EveryTruncationButAtARecordIsNoticed) {
  RecordRun run = MakeRun({"one", "", "three"});
  const std::string good(run.bytes().view());
  const std::vector<size_t> boundaries = {0, 115, 227};
  for (size_t length = 0; length < good.size(); ++length) {
    absl::StatusOr<RecordRun> parsed =
        RecordRun::Parse(kGroup, Bytes::Copy(good.substr(0, length)));
    bool boundary = std::find(boundaries.begin(), boundaries.end(), length) != boundaries.end();
    EXPECT_EQ(parsed.ok(), boundary) << "length " << length;
    EXPECT_TRUE(parsed.ok() || IsDataLoss(parsed));
  }
  EXPECT_TRUE(IsDataLoss(RecordRun::Parse(kGroup, Bytes::Take(good + '\0'))));
}

TEST(RecordTest, RandomBytesAreRefused) {
  Random random(2);
  std::string good(MakeRun({"one", "two"}).bytes().view());
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = RandomBytes(random, random.Below(600));
    // Half of them start like a record.
    if (random.OneIn(2)) bytes = good.substr(0, random.Below(good.size())) + bytes;
    absl::StatusOr<RecordRun> parsed = RecordRun::Parse(kGroup, Bytes::Take(bytes));
    EXPECT_TRUE(IsDataLoss(parsed) || bytes.empty() ||
                absl::string_view(good).substr(0, bytes.size()) == bytes);
  }
}

TEST(RecordTest, RecordsThatDoNotFollowAreRefused) {
  const std::string first(MakeRun({"x"}).bytes().view());
  auto parse_with = [&](const RecordRun& second) {
    return RecordRun::Parse(kGroup, Bytes::Take(first + std::string(second.bytes().view())));
  };
  EntryHash first_hash = MakeRun({"x"}).last_hash();
  auto follower = [&](GroupId group, LogPosition previous, EntryHash hash, Term term) {
    RecordRunBuilder builder(group, previous, hash);
    builder.Add(PreparedEntry::Make(EntryType::kCommand, "y"), term, WallTime{});
    return std::move(builder).Build();
  };
  EXPECT_TRUE(parse_with(follower(kGroup, {10, 4}, first_hash, 4)).ok());
  EXPECT_TRUE(parse_with(follower(kGroup, {10, 4}, first_hash, 5)).ok());
  EXPECT_TRUE(IsDataLoss(parse_with(follower(GroupId::kDefault, {10, 4}, first_hash, 4))));
  EXPECT_TRUE(IsDataLoss(parse_with(follower(kGroup, {11, 4}, first_hash, 4))));
  EXPECT_TRUE(IsDataLoss(parse_with(follower(kGroup, {9, 4}, first_hash, 4))));
  EXPECT_TRUE(IsDataLoss(parse_with(follower(kGroup, {10, 3}, first_hash, 3))));
  EXPECT_TRUE(IsDataLoss(parse_with(follower(kGroup, {10, 4}, kBaseHash, 4))));
  EXPECT_TRUE(IsDataLoss(RecordRun::Parse(GroupId::kDefault, Bytes::Copy(first))));
}

TEST(RecordTest, ErrorsNameOffsetAndIndex) {
  std::string bytes(MakeRun({"one", "two"}).bytes().view());
  bytes.back() ^= 1;
  absl::Status status = RecordRun::Parse(kGroup, Bytes::Take(bytes)).status();
  EXPECT_EQ(status.message(), "record at offset 115, index 11: payload checksum");
}

TEST(RecordTest, RecordLengthNeedsAGoodHeader) {
  std::string bytes(MakeRun({"payload"}).bytes().view());
  EXPECT_EQ(RecordLength(bytes.substr(0, kRecordHeaderBytes)).value(), kRecordHeaderBytes + 7);
  EXPECT_FALSE(RecordLength(bytes.substr(0, kRecordHeaderBytes - 1)).ok());
  EXPECT_FALSE(RecordLength("").ok());
  bytes[92] ^= 1;
  EXPECT_FALSE(RecordLength(bytes).ok());
}

// --- Zero runs ---

// Records of `payload` with every neighbour that makes runs longest: nothing, zeros, another one.
void ExpectNoZeroSector(const std::string& payload) {
  RecordRun run = MakeRun({payload, std::string(383, '\0'), payload, ""});
  ASSERT_LE(LongestZeroRun(run.bytes().view()), kMaxZeroRun);
  absl::StatusOr<RecordRun> parsed = RecordRun::Parse(kGroup, run.bytes());
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  ASSERT_EQ((*parsed)[0].Payload(parsed->bytes()).view(), payload);
  ASSERT_EQ((*parsed)[2].Payload(parsed->bytes()).view(), payload);
}

TEST(RecordTest, ZerosOfAnyLengthAndPlaceAreMasked) {
  for (size_t zeros = 0; zeros < 1200; zeros += 7) {
    for (size_t before : {0, 1, 7, 8, 9, 375, 376, 377, 500}) {
      for (size_t after : {0, 1, 8, 400}) {
        ExpectNoZeroSector(std::string(before, 'b') + std::string(zeros, '\0') +
                           std::string(after, 'a'));
      }
    }
  }
}

TEST(RecordTest, PayloadsWithoutLongZeroRunsStayAsTheyAre) {
  std::string payload = std::string(383, '\0') + 'x' + std::string(383, '\0');
  RecordRun run = MakeRun({payload});
  EXPECT_EQ(run[0].bytes().substr(kRecordHeaderBytes), payload);
  Bytes shared = run[0].Payload(run.bytes());
  EXPECT_EQ(shared.data(), run.bytes().data() + kRecordHeaderBytes);
}

uint64_t MaskOf(const RecordRun& run) {
  return LoadLittleEndian<uint64_t>(run.bytes().data() + 56);
}

std::string Repeat(uint64_t pattern, size_t bytes) {
  std::string text;
  while (text.size() < bytes) AppendLittleEndian(&text, pattern);
  return text;
}

// A payload that already contains long runs of the mask that would be picked, and of the next one
// that would be picked because of that, and so on.
TEST(RecordTest, PayloadsThatHoldTheMasksAreMaskedByAnother) {
  std::string payload(400, '\0');
  std::vector<uint64_t> masks;
  for (int i = 0; i < 300; ++i) {
    RecordRun run = MakeRun({payload});
    uint64_t mask = MaskOf(run);
    ASSERT_NE(mask, 0u);
    ASSERT_EQ(std::count(masks.begin(), masks.end(), mask), 0);
    ASSERT_LE(LongestZeroRun(run.bytes().view()), kMaxZeroRun);
    masks.push_back(mask);
    payload += Repeat(mask, 768);
  }
  ExpectNoZeroSector(payload);
}

TEST(RecordTest, RandomMixturesHoldNoZeroSector) {
  Random random(3);
  const uint64_t first_mask = MaskOf(MakeRun({std::string(1000, '\0')}));
  for (int i = 0; i < 3'000; ++i) {
    std::string payload;
    for (uint64_t pieces = random.Below(8); pieces > 0; --pieces) {
      size_t length = random.Below(900);
      switch (random.Below(4)) {
        case 0:
          payload += std::string(length, '\0');
          break;
        case 1:
          payload += RandomBytes(random, length);
          break;
        case 2:
          payload += Repeat(first_mask * (1 + random.Below(3)), length + 8).substr(random.Below(8));
          break;
        default:
          payload += std::string(length, static_cast<char>(random.Below(3)));
      }
    }
    ExpectNoZeroSector(payload);
  }
}

// The greatest payload, made to be as costly as possible to mask, takes no noticeable time.
TEST(RecordTest, GreatestPayloadIsMaskedAtOnce) {
  std::string payload(kMaxPayloadBytes, '\0');
  constexpr uint64_t kStep = 0x9e3779b97f4a7c15;
  uint64_t mask = kStep;
  for (size_t at = 376; at + 384 <= payload.size(); at += 376, mask += kStep) {
    for (size_t i = 0; i < 376; i += 8) StoreLittleEndian(payload.data() + at + i, mask);
  }
  payload.replace(0, 384, std::string(384, '\0'));
  RecordRun run = MakeRun({payload});
  EXPECT_NE(MaskOf(run), 0u);
  EXPECT_LE(LongestZeroRun(run.bytes().view()), kMaxZeroRun);
  EXPECT_TRUE(run[0].Payload(run.bytes()).view() == payload);
}

// One limit for who writes and who reads: what was taken can be read back.
TEST(RecordTest, PayloadsUpToTheLimitAndNoLonger) {
  for (const size_t size : {kMaxPayloadBytes - 1, kMaxPayloadBytes}) {
    const std::string payload(size, 'x');
    const RecordRun run = MakeRun({payload});
    const auto parsed = RecordRun::Parse(kGroup, run.bytes());
    ASSERT_TRUE(parsed.ok()) << parsed.status();
    EXPECT_TRUE((*parsed)[0].Payload(parsed->bytes()).view() == payload);
    EXPECT_TRUE(
        PreparedEntry::Decode(PreparedEntry::Make(EntryType::kCommand, payload).Encode()).ok());
  }
  const std::string longer(kMaxPayloadBytes + 1, 'x');
  std::string prepared = PreparedEntry::Make(EntryType::kCommand, longer.substr(1)).Encode() + "x";
  StoreLittleEndian(prepared.data() + 29, Checksum(longer));
  EXPECT_EQ(PreparedEntry::Decode(prepared).status().code(), absl::StatusCode::kInvalidArgument);
  // A record by hand, with all its checksums.
  std::string record(MakeRun({longer.substr(1)}).bytes().view());
  record += "x";
  StoreLittleEndian(record.data() + 92, static_cast<uint32_t>(longer.size()));
  StoreLittleEndian(record.data() + 64, Checksum(longer));
  StoreLittleEndian(record.data() + 104, Hash128(record.substr(0, 104)).low);
  const auto parsed = RecordRun::Parse(kGroup, Bytes::Take(std::move(record)));
  EXPECT_TRUE(IsDataLoss(parsed));
  EXPECT_NE(parsed.status().message().find("payload length"), std::string::npos) << parsed.status();
}

// Such bytes can only be made by hand.
TEST(RecordTest, PayloadsThatShouldHaveBeenMaskedAreRefused) {
  for (size_t zeros : {383, 384}) {
    const std::string payload(zeros, '\0');
    PreparedEntry entry = PreparedEntry::Make(EntryType::kCommand, std::string(zeros, 'x'));
    std::string prepared = entry.Encode();
    prepared.replace(prepared.size() - zeros, zeros, payload);
    StoreLittleEndian(prepared.data() + 29, Checksum(payload));
    EXPECT_EQ(PreparedEntry::Decode(prepared).ok(), zeros == 383);

    std::string record(MakeRun({std::string(zeros, 'x')}).bytes().view());
    record.replace(kRecordHeaderBytes, zeros, payload);
    StoreLittleEndian(record.data() + 64, Checksum(payload));
    StoreLittleEndian(record.data() + 104, Hash128(record.substr(0, 104)).low);
    EXPECT_EQ(RecordRun::Parse(kGroup, Bytes::Take(record)).ok(), zeros == 383);
  }
}

// --- Prepared entries ---

TEST(PreparedEntryTest, TravelsWhole) {
  Random random(4);
  for (size_t length : {0, 1, 300, 5000}) {
    std::string payload = RandomBytes(random, length) + std::string(length, '\0');
    PreparedEntry entry = PreparedEntry::Make(EntryType::kOpenSession, payload, {3, 4, true}, 9);
    absl::StatusOr<PreparedEntry> decoded = PreparedEntry::Decode(entry.Encode());
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->record_bytes(), entry.record_bytes());
    EXPECT_EQ(decoded->call(), entry.call());
    RecordRunBuilder builder(kGroup, {}, {});
    builder.Add(*decoded, 1, WallTime{});
    RecordRun run = std::move(builder).Build();
    EXPECT_EQ(run.byte_size(), entry.record_bytes());
    EXPECT_EQ(run[0].type(), EntryType::kOpenSession);
    EXPECT_EQ(run[0].apply_version(), 9);
    EXPECT_EQ(run[0].payload_checksum(), entry.payload_checksum());
    EXPECT_TRUE(run[0].Payload(run.bytes()).view() == payload);
  }
}

TEST(PreparedEntryTest, DamageIsRefused) {
  std::string good = PreparedEntry::Make(EntryType::kCommand, "some payload").Encode();
  for (size_t length = 0; length < good.size(); ++length) {
    absl::Status status = PreparedEntry::Decode(good.substr(0, length)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << length;
  }
  EXPECT_FALSE(PreparedEntry::Decode(good + "x").ok());
  for (size_t at : {0, 1, 20, 29, 37, 41, 52}) {  // version, type, flags, checksum, length, payload
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    EXPECT_FALSE(PreparedEntry::Decode(bad).ok()) << at;
  }
}

TEST(RecordDeathTest, OwnMistakesAreChecked) {
  RecordRun run = MakeRun({"a", "b"});
  EXPECT_DEATH(run.At(12), "check failed");
  EXPECT_DEATH(run.At(9), "check failed");
  EXPECT_DEATH(run.Slice(11, 12), "check failed");
  EXPECT_DEATH(RecordRun().first(), "check failed");
  EXPECT_DEATH(run[0].Payload(Bytes::Copy("other")), "not in the bytes");
  EXPECT_DEATH(PreparedEntry::Make(EntryType::kCommand, std::string(kMaxPayloadBytes + 1, 'x')),
               "check failed");
  RecordRunBuilder builder(kGroup, {1, 5}, {});
  EXPECT_DEATH(builder.Add(PreparedEntry::Make(EntryType::kNoop, ""), 4, WallTime{}),
               "check failed");
}

}  // namespace
}  // namespace cairn
