// Client: a C++ program's way to a Cairn cluster. Finds the leader, retries what is safe to retry
// and tells apart what is not.

#ifndef CLIENT_CLIENT_H_
#define CLIENT_CLIENT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/time.h"
#include "cairn/v1/cluster.pb.h"
#include "cairn/v1/streams.pb.h"

namespace cairn {

struct ClientOptions {
  std::vector<std::string> endpoints;  // host:port, at least one; any members of the cluster
  Duration timeout = Seconds(10);      // of each call, retries included
  std::string name = "cairn-client";   // for people who look at the cluster's sessions
};

// Where a message, or the messages of one call, came to stand.
struct Appended {
  uint64_t first_sequence = 0;
  uint64_t last_sequence = 0;
  uint64_t index = 0;
  uint64_t term = 0;
  bool duplicate = false;  // an earlier try had done it already
};

struct AppenderOptions {
  // Append waits while so much is unanswered.
  size_t max_inflight_messages = 16'384;
  size_t max_inflight_bytes = size_t{16} << 20;
  // Messages that wait are put together: so many make one entry of the Raft log, applied wholly or
  // not at all. 1: every message is an entry of its own.
  size_t max_entry_messages = 64;
  size_t max_entry_bytes = size_t{256} << 10;
  // Append only in this term of the group; 0: in any. Once it is over everything fails: what was
  // not sent yet with reason TERM_CHANGED, what was sent and not answered as OutcomeUnknown.
  uint64_t expected_term = 0;
};

// A pipelined stream of appends to one stream, each applied exactly once and in the order of the
// calls, over broken connections and changes of leader.
//
// Threads: any. Callbacks run on threads of the library, in order, never under a lock, and must not
// block.
class Appender {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<Appended>)>;
  virtual ~Appender() = default;

  // Sends `message`; `done` is called once, with its own sequence, when it is durable on a majority
  // or when it failed (OutcomeUnknown tells how). Blocks while too much is in flight.
  virtual void Append(v1::NewMessage message, Done done) = 0;

  // Waits until everything appended so far was answered. The first error since the last Flush.
  virtual absl::Status Flush() = 0;
};

struct ReaderOptions {
  // Read waits while so many are unanswered.
  size_t max_inflight = 4'096;
};

// Pipelined reads over one call to the leader: for who reads little at a time and often. A read is
// repeated over broken connections and changes of leader, until it is answered or
// ClientOptions::timeout is over.
//
// Threads: any. Callbacks run on threads of the library, in the order of the answers, never under a
// lock, and must not block.
class Reader {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<v1::ReadResponse>)>;
  // Reads that are not answered fail as CANCELLED.
  virtual ~Reader() = default;

  // As Client::Read; `done` is called once. Blocks while too many are in flight.
  virtual void Read(v1::ReadRequest request, Done done) = 0;
};

// Threads: any; calls block until answered or timed out.
class Client {
 public:
  static std::unique_ptr<Client> Create(ClientOptions options);
  virtual ~Client() = default;

  virtual absl::StatusOr<v1::Stream> CreateStream(const v1::StreamDefinition& definition) = 0;
  virtual absl::StatusOr<v1::Stream> GetStream(const std::string& name) = 0;
  virtual absl::StatusOr<std::vector<v1::Stream>> ListStreams() = 0;

  // Appends the messages as one entry, exactly once: it is retried inside a session of this client.
  virtual absl::StatusOr<Appended> Append(const std::string& stream,
                                          std::vector<v1::NewMessage> messages) = 0;
  virtual absl::StatusOr<Appended> Append(v1::AppendRequest request) = 0;

  virtual std::unique_ptr<Appender> OpenAppender(const std::string& stream,
                                                 AppenderOptions options) = 0;

  // Gives the messages of one response of Read.
  virtual absl::StatusOr<v1::ReadResponse> Read(const v1::ReadRequest& request) = 0;

  virtual std::unique_ptr<Reader> OpenReader(ReaderOptions options) = 0;

  // Gives every message up to the end the stream has now, over as many calls and members as it
  // takes; ends early when `message` returns false. request.max_messages counts all of them.
  virtual absl::Status ReadRange(v1::ReadRequest request,
                                 absl::FunctionRef<bool(const v1::StoredMessage&)> message) = 0;

  // Gives messages as they come, each once and in order, over broken connections; ends when
  // `message` returns false, or with an error that trying again does not help.
  virtual absl::Status Subscribe(v1::SubscribeRequest request,
                                 absl::FunctionRef<bool(const v1::StoredMessage&)> message) = 0;

  // Members and leadership; the leader is found and asked. What is so already is fine, so all but
  // TransferLeadership(0) may be repeated.
  virtual absl::StatusOr<v1::ListMembersResponse> ListMembers() = 0;
  virtual absl::StatusOr<v1::ChangeMembersResponse> AddMember(
      const v1::AddMemberRequest& request) = 0;
  virtual absl::StatusOr<v1::ChangeMembersResponse> PromoteMember(uint64_t node) = 0;
  virtual absl::StatusOr<v1::ChangeMembersResponse> RemoveMember(uint64_t node) = 0;
  virtual absl::StatusOr<v1::ChangeMembersResponse> CancelMemberChange() = 0;
  // To the voter that holds most if `node` is 0. Gives who leads now.
  virtual absl::StatusOr<uint64_t> TransferLeadership(uint64_t node) = 0;

  // Asks the member at `endpoint`, and it alone: a majority is lost (docs/operations.md).
  virtual absl::StatusOr<v1::UnsafeRecoverResponse> UnsafeRecover(
      const std::string& endpoint, const v1::UnsafeRecoverRequest& request) = 0;

  // What the member at `endpoint` says of itself.
  virtual absl::StatusOr<v1::GetStatusResponse> GetStatus(const std::string& endpoint) = 0;
  // Has the member at `endpoint` save its state now.
  virtual absl::StatusOr<v1::TakeSnapshotResponse> TakeSnapshot(const std::string& endpoint) = 0;
};

}  // namespace cairn

#endif  // CLIENT_CLIENT_H_
