// What the streams' state machine is told and what it answers: our own compact encoding, versioned
// by its first byte. Commands are the payloads of log entries, replies are kept with sessions, so
// both live as long as a log does.
//
// Layout, integers little-endian: docs/protocol.md, "Commands".

#ifndef SERVICE_STREAM_COMMAND_H_
#define SERVICE_STREAM_COMMAND_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/time.h"

namespace cairn {

inline constexpr size_t kMaxStreamNameBytes = 255;
inline constexpr size_t kMaxSubjectsOfStream = 64;
inline constexpr size_t kMaxHeaders = 1024;
inline constexpr size_t kMaxHeaderKeyBytes = 1024;
inline constexpr size_t kMaxStreams = 100'000;  // of a group; the same on every member

// 1 to 255 of A-Z a-z 0-9 _ - (fault catalogue 5.2, row 23). INVALID_ARGUMENT otherwise, with the
// name escaped.
absl::Status CheckStreamName(absl::string_view name);

struct StreamDefinition {
  std::string name;
  std::vector<std::string> subjects;  // filters; empty: exactly the subject that is the name
  friend auto operator<=>(const StreamDefinition&, const StreamDefinition&) = default;
};

// Name, number of subjects and each of them. INVALID_ARGUMENT otherwise.
absl::Status Check(const StreamDefinition& definition);

struct StreamState {
  uint64_t first_sequence = 1;
  uint64_t last_sequence = 0;
  uint64_t messages = 0;
  uint64_t bytes = 0;  // of subjects, headers and payloads
  WallTime create_time;
  WallTime last_time;  // {} if nothing was appended yet
  friend auto operator<=>(const StreamState&, const StreamState&) = default;
};

struct HeaderView {
  absl::string_view key;
  absl::string_view value;
  friend bool operator==(const HeaderView&, const HeaderView&) = default;
};

// A message inside a command, which its views refer to.
struct MessageView {
  absl::string_view subject;  // empty: the stream's name
  std::vector<HeaderView> headers;
  absl::string_view payload;
  friend bool operator==(const MessageView&, const MessageView&) = default;
};

// Keys and values have no line breaks and no NUL, keys are not empty; subject as CheckSubject, or
// empty; limits above. INVALID_ARGUMENT otherwise.
absl::Status Check(const MessageView& message);
// Bytes a message counts for in limits and figures. `subject_bytes`: of the subject it goes under.
size_t CountedBytes(const MessageView& message, size_t subject_bytes);

std::string EncodeCreateStream(const StreamDefinition& definition);

// Writes an append command message by message.
class AppendCommandBuilder {
 public:
  // CHECKs the length of the name.
  AppendCommandBuilder(absl::string_view stream, std::optional<uint64_t> expected_last_sequence,
                       size_t size_hint);
  // The message passed Check.
  void Add(absl::string_view subject, absl::Span<const HeaderView> headers,
           absl::string_view payload);
  size_t size() const { return bytes_.size(); }
  std::string Build() &&;

 private:
  std::string bytes_;
  size_t count_at_ = 0;
  uint32_t count_ = 0;
};

// An append command, decoded in place.
class AppendCommand {
 public:
  absl::string_view stream() const { return stream_; }
  std::optional<uint64_t> expected_last_sequence() const { return expected_last_sequence_; }
  uint32_t message_count() const { return message_count_; }
  // All of them as they stand in the command: what ForEachMessage reads.
  absl::string_view messages() const { return messages_; }

  // Visits the messages in order until `visit` gives false. The MessageView is reused.
  void ForEach(absl::FunctionRef<bool(const MessageView&)> visit) const;

 private:
  friend absl::StatusOr<AppendCommand> DecodeAppend(absl::string_view bytes);
  absl::string_view stream_;
  std::optional<uint64_t> expected_last_sequence_;
  uint32_t message_count_ = 0;
  absl::string_view messages_;
};

// Visits `count` messages that stand in a row, until `visit` gives false. The MessageView is
// reused. False if the bytes do not hold them.
bool ForEachMessage(absl::string_view messages, uint32_t count,
                    absl::FunctionRef<bool(const MessageView&)> visit);

enum class CommandKind : uint8_t { kUnknown = 0, kCreateStream = 1, kAppend = 2 };
// Kind of a command of a version this build knows, kUnknown for anything else.
CommandKind KindOf(absl::string_view bytes);

// INVALID_ARGUMENT for bytes that no builder above makes. Everything is checked (names, subjects,
// limits, lengths), so what passes can be taken as it is.
absl::StatusOr<StreamDefinition> DecodeCreateStream(absl::string_view bytes);
absl::StatusOr<AppendCommand> DecodeAppend(absl::string_view bytes);

// Replies.
struct AppendedReply {
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  WallTime time;
  friend auto operator<=>(const AppendedReply&, const AppendedReply&) = default;
};
struct CreatedReply {
  bool created = false;  // false: a stream of this definition was there
  StreamState state;
  friend auto operator<=>(const CreatedReply&, const CreatedReply&) = default;
};
// The command has no effect.
struct RefusedReply {
  enum class Reason : uint8_t {
    kStreamNotFound = 1,
    kStreamExists = 2,     // of another definition
    kConflict = 3,         // expected_last_sequence; `actual` is the stream's
    kSubjectNotTaken = 4,  // `subject` is not one of the stream's
    kTooManyStreams = 5,
    kBadCommand = 6,  // cannot be decoded by the version that applies it
  };
  Reason reason = Reason::kBadCommand;
  uint64_t actual_sequence = 0;
  std::string subject;
  friend auto operator<=>(const RefusedReply&, const RefusedReply&) = default;
};
using StreamReply = std::variant<AppendedReply, CreatedReply, RefusedReply>;

std::string EncodeReply(const StreamReply& reply);
// DATA_LOSS for bytes EncodeReply does not make.
absl::StatusOr<StreamReply> DecodeReply(absl::string_view bytes);

}  // namespace cairn

#endif  // SERVICE_STREAM_COMMAND_H_
