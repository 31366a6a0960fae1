#include "storage/stream/stream_record.h"

#include <cstdint>
#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace cairn {
namespace {

const StreamRecord kRecord = {.place = {3, 1000},
                              .previous = {2, 77},
                              .first_sequence = 9,
                              .at = {100, 4},
                              .time = {-5},
                              .stream = 12,
                              .messages = 2,
                              .marked = true};

std::string Encode(const StreamRecord& record, const std::string& payload, uint64_t tag) {
  std::string bytes(kStreamRecordHeaderBytes + payload.size(), '\0');
  StoreStreamRecord(record, payload, tag, bytes.data());
  return bytes;
}

TEST(StreamRecordTest, GivesBackWhatWasStored) {
  const uint64_t tag = StreamTag(GroupId{7});
  for (const char* payload : {"", "some messages"}) {
    const std::string bytes = Encode(kRecord, payload, tag);
    EXPECT_EQ(StreamRecordLength(bytes), bytes.size());
    absl::StatusOr<StreamRecord> loaded = LoadStreamRecord(bytes, kRecord.place, tag);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(*loaded, kRecord);
  }
}

TEST(StreamRecordTest, IsNoOtherPlacesAndNoOtherGroups) {
  const uint64_t tag = StreamTag(GroupId{7});
  const std::string bytes = Encode(kRecord, "payload", tag);
  EXPECT_TRUE(absl::IsDataLoss(LoadStreamRecord(bytes, {3, 1001}, tag).status()));
  EXPECT_TRUE(absl::IsDataLoss(LoadStreamRecord(bytes, {4, 1000}, tag).status()));
  EXPECT_TRUE(
      absl::IsDataLoss(LoadStreamRecord(bytes, kRecord.place, StreamTag(GroupId{8})).status()));
  EXPECT_TRUE(CheckStreamBlockHeader(EncodeStreamBlockHeader(GroupId{7}, 3), GroupId{7}, 3).ok());
  EXPECT_FALSE(CheckStreamBlockHeader(EncodeStreamBlockHeader(GroupId{7}, 3), GroupId{7}, 4).ok());
  EXPECT_FALSE(CheckStreamBlockHeader(EncodeStreamBlockHeader(GroupId{7}, 3), GroupId{8}, 3).ok());
  EXPECT_FALSE(CheckStreamBlockHeader("", GroupId{7}, 3).ok());
}

TEST(StreamRecordTest, EachFlippedBitIsNoticed) {
  const uint64_t tag = StreamTag(GroupId{7});
  const std::string bytes = Encode(kRecord, "payload", tag);
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(absl::IsDataLoss(LoadStreamRecord(damaged, kRecord.place, tag).status())) << bit;
  }
}

// A length that is a lie is refused before anybody makes room for it.
TEST(StreamRecordTest, NoRecordIsLongerThanTheLimit) {
  std::string bytes = Encode(kRecord, "", 0);
  bytes[64 + 3] = 1;
  EXPECT_EQ(StreamRecordLength(bytes), kStreamRecordHeaderBytes + kMaxStreamPayloadBytes);
  bytes[64] = 1;
  EXPECT_EQ(StreamRecordLength(bytes), std::nullopt);
}

TEST(StreamRecordTest, FootersGiveBackTheirMarksAndNoticeEachFlip) {
  const uint64_t tag = StreamTag(GroupId{7});
  const StreamFooter footer = {
      .block = 3, .data_end = 5000, .marks = {{1, 32, 1}, {2, 4000, uint64_t{1} << 40}}};
  const std::string bytes = EncodeStreamFooter(footer, tag);
  EXPECT_EQ(StreamFooterLength(bytes.substr(bytes.size() - kStreamTrailerBytes)), bytes.size());
  const uint64_t length = 5000 + bytes.size();
  absl::StatusOr<StreamFooter> decoded = DecodeStreamFooter(bytes, 3, length, tag);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(decoded->marks, footer.marks);
  EXPECT_EQ(decoded->data_end, footer.data_end);
  EXPECT_FALSE(DecodeStreamFooter(bytes, 4, length, tag).ok());
  EXPECT_FALSE(DecodeStreamFooter(bytes, 3, length + 1, tag).ok());
  EXPECT_FALSE(DecodeStreamFooter(bytes, 3, length, tag + 1).ok());
  EXPECT_FALSE(DecodeStreamFooter(bytes.substr(1), 3, length - 1, tag).ok());
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_FALSE(DecodeStreamFooter(damaged, 3, length, tag).ok()) << bit;
  }
}

}  // namespace
}  // namespace cairn
