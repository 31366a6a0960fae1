#include "service/stream_command.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/coding.h"
#include "storage/stream/subject_filter.h"

namespace cairn {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kExpectsSequence = 1;  // flag of an append

enum class ReplyKind : uint8_t { kAppended = 1, kCreated = 2, kRefused = 3 };

bool IsNameCharacter(char c) { return absl::ascii_isalnum(c) || c == '_' || c == '-'; }

bool IsLineText(absl::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return c == '\n' || c == '\r' || c == '\0'; });
}

void AppendHead(std::string* to, CommandKind kind) {
  AppendLittleEndian(to, kVersion);
  AppendLittleEndian(to, static_cast<uint8_t>(kind));
}

template <std::unsigned_integral Length>
void AppendShort(std::string* to, absl::string_view bytes) {
  AppendLittleEndian(to, static_cast<Length>(bytes.size()));
  to->append(bytes.data(), bytes.size());
}

template <std::unsigned_integral Length>
absl::string_view ReadShort(Decoder& decoder) {
  return decoder.ReadBytes(decoder.Read<Length>());
}

absl::Status BadCommand(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("stream command: ", why));
}

// Reads version and kind; false if they are not `kind` of this version.
bool ReadHead(Decoder& decoder, CommandKind kind) {
  auto version = decoder.Read<uint8_t>();
  auto found = decoder.Read<uint8_t>();
  return decoder.ok() && version == kVersion && found == static_cast<uint8_t>(kind);
}

void ReadMessage(Decoder& decoder, MessageView& message) {
  message.subject = ReadShort<uint16_t>(decoder);
  auto headers = decoder.Read<uint16_t>();
  message.headers.clear();
  for (uint16_t i = 0; i < headers && decoder.ok(); ++i) {
    HeaderView header;
    header.key = ReadShort<uint16_t>(decoder);
    header.value = ReadShort<uint32_t>(decoder);
    message.headers.push_back(header);
  }
  message.payload = ReadShort<uint32_t>(decoder);
}

void AppendTime(std::string* to, WallTime time) {
  AppendLittleEndian(to, static_cast<uint64_t>(time.nanoseconds));
}

WallTime ReadTime(Decoder& decoder) { return {static_cast<int64_t>(decoder.Read<uint64_t>())}; }

}  // namespace

absl::Status CheckStreamName(absl::string_view name) {
  if (!name.empty() && name.size() <= kMaxStreamNameBytes &&
      std::all_of(name.begin(), name.end(), IsNameCharacter)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("stream name \"", absl::CHexEscape(name.substr(0, 64)), "\": it is 1 to ",
                   kMaxStreamNameBytes, " of A-Z a-z 0-9 _ -"));
}

absl::Status Check(const StreamDefinition& definition) {
  if (absl::Status status = CheckStreamName(definition.name); !status.ok()) return status;
  if (definition.subjects.size() > kMaxSubjectsOfStream) {
    return absl::InvalidArgumentError(
        absl::StrCat("a stream has at most ", kMaxSubjectsOfStream, " subjects"));
  }
  return SubjectFilters::Parse(definition.subjects).status();
}

absl::Status Check(const MessageView& message) {
  if (!message.subject.empty()) {
    if (absl::Status status = CheckSubject(message.subject); !status.ok()) return status;
  }
  if (message.headers.size() > kMaxHeaders) {
    return absl::InvalidArgumentError(
        absl::StrCat("a message has at most ", kMaxHeaders, " headers"));
  }
  for (const HeaderView& header : message.headers) {
    if (header.key.empty() || header.key.size() > kMaxHeaderKeyBytes || !IsLineText(header.key)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "header key \"", absl::CHexEscape(header.key.substr(0, 64)), "\": it is 1 to ",
          kMaxHeaderKeyBytes, " bytes without line breaks and NUL"));
    }
    if (!IsLineText(header.value)) {
      return absl::InvalidArgumentError(absl::StrCat("value of header \"",
                                                     absl::CHexEscape(header.key.substr(0, 64)),
                                                     "\": it has line breaks or NUL"));
    }
  }
  return absl::OkStatus();
}

size_t CountedBytes(const MessageView& message, size_t subject_bytes) {
  size_t bytes = subject_bytes + message.payload.size();
  for (const HeaderView& header : message.headers) bytes += header.key.size() + header.value.size();
  return bytes;
}

std::string EncodeCreateStream(const StreamDefinition& definition) {
  std::string bytes;
  AppendHead(&bytes, CommandKind::kCreateStream);
  AppendShort<uint8_t>(&bytes, definition.name);
  AppendLittleEndian(&bytes, static_cast<uint16_t>(definition.subjects.size()));
  for (const std::string& subject : definition.subjects) AppendShort<uint16_t>(&bytes, subject);
  return bytes;
}

absl::StatusOr<StreamDefinition> DecodeCreateStream(absl::string_view bytes) {
  Decoder decoder(bytes);
  if (!ReadHead(decoder, CommandKind::kCreateStream)) return BadCommand("no creation");
  StreamDefinition definition;
  definition.name = std::string(ReadShort<uint8_t>(decoder));
  auto subjects = decoder.Read<uint16_t>();
  for (uint16_t i = 0; i < subjects && decoder.ok(); ++i) {
    definition.subjects.emplace_back(ReadShort<uint16_t>(decoder));
  }
  if (!decoder.Done()) return BadCommand("a creation of another length");
  if (absl::Status status = Check(definition); !status.ok()) return status;
  return definition;
}

AppendCommandBuilder::AppendCommandBuilder(absl::string_view stream,
                                           std::optional<uint64_t> expected_last_sequence,
                                           size_t size_hint) {
  CAIRN_CHECK_LE(stream.size(), kMaxStreamNameBytes);
  bytes_.reserve(size_hint + stream.size() + 32);
  AppendHead(&bytes_, CommandKind::kAppend);
  AppendLittleEndian(&bytes_, expected_last_sequence ? kExpectsSequence : uint8_t{0});
  AppendShort<uint8_t>(&bytes_, stream);
  if (expected_last_sequence) AppendLittleEndian(&bytes_, *expected_last_sequence);
  count_at_ = bytes_.size();
  AppendLittleEndian(&bytes_, uint32_t{0});
}

void AppendCommandBuilder::Add(absl::string_view subject, absl::Span<const HeaderView> headers,
                               absl::string_view payload) {
  AppendShort<uint16_t>(&bytes_, subject);
  AppendLittleEndian(&bytes_, static_cast<uint16_t>(headers.size()));
  for (const HeaderView& header : headers) {
    AppendShort<uint16_t>(&bytes_, header.key);
    AppendShort<uint32_t>(&bytes_, header.value);
  }
  AppendShort<uint32_t>(&bytes_, payload);
  ++count_;
}

std::string AppendCommandBuilder::Build() && {
  StoreLittleEndian(bytes_.data() + count_at_, count_);
  return std::move(bytes_);
}

bool ForEachMessage(absl::string_view messages, uint32_t count,
                    absl::FunctionRef<bool(const MessageView&)> visit) {
  Decoder decoder(messages);
  MessageView message;
  for (uint32_t i = 0; i < count; ++i) {
    ReadMessage(decoder, message);
    if (!decoder.ok()) return false;
    if (!visit(message)) return true;
  }
  return true;
}

void AppendCommand::ForEach(absl::FunctionRef<bool(const MessageView&)> visit) const {
  ForEachMessage(messages_, message_count_, visit);
}

CommandKind KindOf(absl::string_view bytes) {
  Decoder decoder(bytes);
  auto version = decoder.Read<uint8_t>();
  auto kind = static_cast<CommandKind>(decoder.Read<uint8_t>());
  if (!decoder.ok() || version != kVersion) return CommandKind::kUnknown;
  return kind == CommandKind::kCreateStream || kind == CommandKind::kAppend ? kind
                                                                            : CommandKind::kUnknown;
}

absl::StatusOr<AppendCommand> DecodeAppend(absl::string_view bytes) {
  Decoder decoder(bytes);
  if (!ReadHead(decoder, CommandKind::kAppend)) return BadCommand("no append");
  AppendCommand command;
  auto flags = decoder.Read<uint8_t>();
  if ((flags & ~kExpectsSequence) != 0) return BadCommand("unknown flags");
  command.stream_ = ReadShort<uint8_t>(decoder);
  if ((flags & kExpectsSequence) != 0) command.expected_last_sequence_ = decoder.Read<uint64_t>();
  command.message_count_ = decoder.Read<uint32_t>();
  if (!decoder.ok()) return BadCommand("an append of another length");
  if (absl::Status status = CheckStreamName(command.stream_); !status.ok()) return status;
  if (command.message_count_ == 0) return BadCommand("an append without messages");
  command.messages_ = bytes.substr(bytes.size() - decoder.remaining());
  MessageView message;
  for (uint32_t i = 0; i < command.message_count_; ++i) {
    ReadMessage(decoder, message);
    if (!decoder.ok()) return BadCommand("an append of another length");
    if (absl::Status status = Check(message); !status.ok()) return status;
  }
  if (!decoder.Done()) return BadCommand("an append of another length");
  return command;
}

std::string EncodeReply(const StreamReply& reply) {
  std::string bytes;
  AppendLittleEndian(&bytes, kVersion);
  if (const auto* appended = std::get_if<AppendedReply>(&reply)) {
    AppendLittleEndian(&bytes, static_cast<uint8_t>(ReplyKind::kAppended));
    AppendLittleEndian(&bytes, appended->first_sequence);
    AppendLittleEndian(&bytes, appended->last_sequence);
    AppendTime(&bytes, appended->time);
  } else if (const auto* created = std::get_if<CreatedReply>(&reply)) {
    AppendLittleEndian(&bytes, static_cast<uint8_t>(ReplyKind::kCreated));
    AppendLittleEndian(&bytes, created->created ? uint8_t{1} : uint8_t{0});
    AppendLittleEndian(&bytes, created->state.first_sequence);
    AppendLittleEndian(&bytes, created->state.last_sequence);
    AppendLittleEndian(&bytes, created->state.messages);
    AppendLittleEndian(&bytes, created->state.bytes);
    AppendTime(&bytes, created->state.create_time);
    AppendTime(&bytes, created->state.last_time);
  } else {
    const auto& refused = std::get<RefusedReply>(reply);
    AppendLittleEndian(&bytes, static_cast<uint8_t>(ReplyKind::kRefused));
    AppendLittleEndian(&bytes, static_cast<uint8_t>(refused.reason));
    AppendLittleEndian(&bytes, refused.actual_sequence);
    AppendShort<uint16_t>(&bytes, refused.subject);
  }
  return bytes;
}

absl::StatusOr<StreamReply> DecodeReply(absl::string_view bytes) {
  Decoder decoder(bytes);
  auto version = decoder.Read<uint8_t>();
  auto kind = static_cast<ReplyKind>(decoder.Read<uint8_t>());
  StreamReply reply;
  bool known = version == kVersion;
  if (kind == ReplyKind::kAppended) {
    AppendedReply appended;
    appended.first_sequence = decoder.Read<uint64_t>();
    appended.last_sequence = decoder.Read<uint64_t>();
    appended.time = ReadTime(decoder);
    reply = appended;
  } else if (kind == ReplyKind::kCreated) {
    CreatedReply created;
    auto flag = decoder.Read<uint8_t>();
    known = known && flag <= 1;
    created.created = flag == 1;
    created.state.first_sequence = decoder.Read<uint64_t>();
    created.state.last_sequence = decoder.Read<uint64_t>();
    created.state.messages = decoder.Read<uint64_t>();
    created.state.bytes = decoder.Read<uint64_t>();
    created.state.create_time = ReadTime(decoder);
    created.state.last_time = ReadTime(decoder);
    reply = created;
  } else if (kind == ReplyKind::kRefused) {
    RefusedReply refused;
    auto reason = decoder.Read<uint8_t>();
    known =
        known && reason >= 1 && reason <= static_cast<uint8_t>(RefusedReply::Reason::kBadCommand);
    refused.reason = static_cast<RefusedReply::Reason>(reason);
    refused.actual_sequence = decoder.Read<uint64_t>();
    refused.subject = std::string(ReadShort<uint16_t>(decoder));
    reply = std::move(refused);
  } else {
    known = false;
  }
  if (!known || !decoder.Done()) return absl::DataLossError("reply of a stream cannot be decoded");
  return reply;
}

}  // namespace cairn
