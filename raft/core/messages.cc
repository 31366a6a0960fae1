#include "raft/core/messages.h"

namespace cairn {
namespace {

constexpr const char* Name(const PreVoteRequest&) { return "PreVoteRequest"; }
constexpr const char* Name(const PreVoteReply&) { return "PreVoteReply"; }
constexpr const char* Name(const VoteRequest&) { return "VoteRequest"; }
constexpr const char* Name(const VoteReply&) { return "VoteReply"; }
constexpr const char* Name(const AppendEntries&) { return "AppendEntries"; }
constexpr const char* Name(const AppendReply&) { return "AppendReply"; }
constexpr const char* Name(const Heartbeat&) { return "Heartbeat"; }
constexpr const char* Name(const HeartbeatReply&) { return "HeartbeatReply"; }
constexpr const char* Name(const ReadIndexRequest&) { return "ReadIndexRequest"; }
constexpr const char* Name(const ReadIndexReply&) { return "ReadIndexReply"; }
constexpr const char* Name(const TailQuery&) { return "TailQuery"; }
constexpr const char* Name(const TailReply&) { return "TailReply"; }
constexpr const char* Name(const TimeoutNow&) { return "TimeoutNow"; }
constexpr const char* Name(const RemovedNotice&) { return "RemovedNotice"; }
constexpr const char* Name(const RejoinRequest&) { return "RejoinRequest"; }
constexpr const char* Name(const RejoinReply&) { return "RejoinReply"; }

}  // namespace

Term TermOf(const MessageBody& body) {
  return std::visit([](const auto& message) { return message.term; }, body);
}

const char* NameOf(const MessageBody& body) {
  return std::visit([](const auto& message) { return Name(message); }, body);
}

}  // namespace cairn
