#include "service/stream_command.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

struct OwnedMessage {
  std::string subject;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string payload;
  friend bool operator==(const OwnedMessage&, const OwnedMessage&) = default;
};

std::string Encode(absl::string_view stream, std::optional<uint64_t> expected,
                   const std::vector<OwnedMessage>& messages) {
  AppendCommandBuilder builder(stream, expected, 0);
  for (const OwnedMessage& message : messages) {
    std::vector<HeaderView> headers;
    for (const auto& [key, value] : message.headers) headers.push_back({key, value});
    builder.Add(message.subject, headers, message.payload);
  }
  return std::move(builder).Build();
}

std::vector<OwnedMessage> Messages(const AppendCommand& command) {
  std::vector<OwnedMessage> messages;
  command.ForEach([&messages](const MessageView& view) {
    OwnedMessage& message = messages.emplace_back();
    message.subject = std::string(view.subject);
    message.payload = std::string(view.payload);
    for (const HeaderView& header : view.headers) {
      message.headers.emplace_back(std::string(header.key), std::string(header.value));
    }
    return true;
  });
  return messages;
}

std::string RandomBytes(Random& random, size_t bound) {
  std::string bytes(random.Below(bound), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random.Next());
  return bytes;
}

std::string RandomText(Random& random, size_t least, size_t bound) {
  std::string text(least + random.Below(bound), 'a');
  for (char& c : text) c = static_cast<char>('a' + random.Below(26));
  return text;
}

std::vector<OwnedMessage> RandomMessages(Random& random) {
  std::vector<OwnedMessage> messages(1 + random.Below(5));
  for (OwnedMessage& message : messages) {
    if (random.OneIn(2)) message.subject = RandomText(random, 1, 20);
    for (uint64_t n = random.Below(4); n > 0; --n) {
      message.headers.emplace_back(RandomText(random, 1, 10), RandomText(random, 0, 30));
    }
    message.payload = RandomBytes(random, 300);
  }
  return messages;
}

TEST(StreamCommandTest, AppendsSurviveTheirEncoding) {
  Random random(11);
  for (int round = 0; round < 2000; ++round) {
    std::string stream = RandomText(random, 1, 255);
    std::optional<uint64_t> expected;
    if (random.OneIn(2)) expected = random.Next();
    std::vector<OwnedMessage> messages = RandomMessages(random);
    std::string bytes = Encode(stream, expected, messages);
    ASSERT_EQ(KindOf(bytes), CommandKind::kAppend);
    absl::StatusOr<AppendCommand> decoded = DecodeAppend(bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->stream(), stream);
    EXPECT_EQ(decoded->expected_last_sequence(), expected);
    EXPECT_EQ(decoded->message_count(), messages.size());
    ASSERT_EQ(Messages(*decoded), messages);
  }
}

TEST(StreamCommandTest, ASmallAppendIsSmall) {
  EXPECT_LE(Encode("orders", std::nullopt, {{"", {}, std::string(256, 'x')}}).size(), 256u + 24u);
}

TEST(StreamCommandTest, CreationsSurviveTheirEncoding) {
  StreamDefinition definition = {"orders_2", {"orders.>", "a.*.b"}};
  std::string bytes = EncodeCreateStream(definition);
  EXPECT_EQ(KindOf(bytes), CommandKind::kCreateStream);
  absl::StatusOr<StreamDefinition> decoded = DecodeCreateStream(bytes);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_EQ(*decoded, definition);
}

// Whatever bytes come: an answer, never more than what is there (the sanitizers watch).
TEST(StreamCommandTest, DamagedBytesAreRefusedOrDecodeWithinThemselves) {
  Random random(12);
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = random.OneIn(4) ? EncodeCreateStream({"s", {"a.>", "b"}})
                                        : Encode("stream", 7, RandomMessages(random));
    if (random.OneIn(3)) bytes.resize(random.Below(bytes.size()));
    for (uint64_t n = random.Below(4); n > 0 && !bytes.empty(); --n) {
      bytes[random.Below(bytes.size())] = static_cast<char>(random.Next());
    }
    if (random.OneIn(5)) bytes += RandomBytes(random, 5);
    absl::StatusOr<AppendCommand> append = DecodeAppend(bytes);
    absl::StatusOr<StreamDefinition> create = DecodeCreateStream(bytes);
    ASSERT_FALSE(append.ok() && create.ok());
    if (append.ok()) {
      EXPECT_EQ(Messages(*append).size(), append->message_count());
    }
    refused += append.ok() || create.ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 10'000);
}

TEST(StreamCommandTest, EveryPrefixIsRefused) {
  std::string bytes = Encode("stream", 7, {{"a.b", {{"k", "v"}}, "payload"}, {"", {}, "x"}});
  for (size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_FALSE(DecodeAppend(absl::string_view(bytes).substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(DecodeAppend(bytes + "x").ok());
}

TEST(StreamCommandTest, UnknownVersionsAndKindsAreUnknown) {
  std::string bytes = Encode("stream", 7, {{"", {}, "x"}});
  bytes[0] = 2;
  EXPECT_EQ(KindOf(bytes), CommandKind::kUnknown);
  EXPECT_FALSE(DecodeAppend(bytes).ok());
  EXPECT_EQ(KindOf(""), CommandKind::kUnknown);
  EXPECT_EQ(KindOf(absl::string_view("\x01\x09", 2)), CommandKind::kUnknown);
}

TEST(StreamCommandTest, NamesOfRow23) {
  for (absl::string_view bad :
       {absl::string_view("../../x"), absl::string_view("/etc/passwd"),
        absl::string_view("a\0b", 3), absl::string_view(""), absl::string_view("a\r\nb"),
        absl::string_view("\xe2\x80\xae"
                          "abc"),
        absl::string_view("a.b"), absl::string_view("a b")}) {
    absl::Status status = CheckStreamName(bad);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
    EXPECT_EQ(status.message().find('\xe2'), absl::string_view::npos);
  }
  EXPECT_FALSE(CheckStreamName(std::string(4096, 'a')).ok());
  EXPECT_FALSE(CheckStreamName(std::string(256, 'a')).ok());
  EXPECT_TRUE(CheckStreamName(std::string(255, 'a')).ok());
  EXPECT_TRUE(CheckStreamName("Orders_eu-2").ok());
}

TEST(StreamCommandTest, MessagesAreChecked) {
  EXPECT_TRUE(Check(MessageView{"a.b", {{"k", "v"}}, "x"}).ok());
  EXPECT_TRUE(Check(MessageView{"", {}, ""}).ok());
  EXPECT_FALSE(Check(MessageView{"a.*", {}, ""}).ok());
  EXPECT_FALSE(Check(MessageView{"", {{"", "v"}}, ""}).ok());
  EXPECT_FALSE(Check(MessageView{"", {{"k\n", "v"}}, ""}).ok());
  EXPECT_FALSE(Check(MessageView{"", {{"k", "v\rw"}}, ""}).ok());
  EXPECT_FALSE(
      Check(MessageView{"", std::vector<HeaderView>(kMaxHeaders + 1, {"k", "v"}), ""}).ok());
}

TEST(StreamCommandTest, RepliesSurviveTheirEncoding) {
  const std::vector<StreamReply> replies = {
      AppendedReply{7, 9, WallTime{-5}},
      CreatedReply{true, {1, 20, 20, 300, WallTime{5}, WallTime{6}}},
      CreatedReply{false, {}},
      RefusedReply{RefusedReply::Reason::kConflict, 17, ""},
      RefusedReply{RefusedReply::Reason::kSubjectNotTaken, 0, "a.b"},
  };
  for (const StreamReply& reply : replies) {
    std::string bytes = EncodeReply(reply);
    absl::StatusOr<StreamReply> decoded = DecodeReply(bytes);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, reply);
    for (size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_EQ(DecodeReply(absl::string_view(bytes).substr(0, length)).status().code(),
                absl::StatusCode::kDataLoss);
    }
    EXPECT_FALSE(DecodeReply(bytes + "x").ok());
  }
}

}  // namespace
}  // namespace cairn
