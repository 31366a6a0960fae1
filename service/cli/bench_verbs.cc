#include <memory>
#include <string>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "cairn/v1/streams.grpc.pb.h"
#include "client/channels.h"
#include "client/errors.h"
#include "client/grpc_status.h"
#include "grpcpp/grpcpp.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/load.h"
#include "service/cli/output.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

struct BenchFlags {
  std::string stream = "bench";
  size_t inflight = 64;
  size_t batch = 1;
  size_t bytes = 256;
  Duration seconds = Seconds(5);
  bool unary = false;
};

// One unary call and what it needs until it ends.
template <typename Request, typename Response>
struct UnaryCall {
  grpc::ClientContext context;
  Request request;
  Response response;
  Load::Done done;
};

// The last call's answer lets the load, and then the channel, end. So the call lets go of its share
// of the channel before: a channel that ends on a thread of gRPC's own ends gRPC under its feet.
template <typename Call>
void End(std::shared_ptr<Call> call, const grpc::Status& status) {
  Load::Done done = std::move(call->done);
  call.reset();
  done(FromGrpc(status));
}

std::string MakePayload(size_t bytes) {
  Random random(1);
  std::string payload(bytes, '\0');
  for (char& c : payload) c = static_cast<char>('a' + random.Below(26));
  return payload;
}

int Report(CliContext& context, const Load& load) {
  context.output().Print(load.ToRow());
  if (load.error().ok()) return kExitOk;
  return context.Fail(load.error(), true);
}

Load::Options LoadOptions(const BenchFlags& flags, size_t inflight) {
  absl::Duration seconds = absl::Nanoseconds(flags.seconds.nanoseconds);
  return {inflight, seconds, std::min(absl::Seconds(1), seconds / 5)};
}

// The stub of the leader, so that no call is forwarded.
absl::StatusOr<std::unique_ptr<v1::Log::Stub>> LeaderStub(CliContext& context, Channels& channels) {
  absl::StatusOr<std::string> leader = channels.FindLeader(context.timeout());
  if (!leader.ok()) return leader.status();
  return v1::Log::NewStub(channels.To(*leader));
}

void AppendByStream(CliContext& context, const BenchFlags& flags, Load& load) {
  AppenderOptions options;
  options.max_entry_messages = flags.batch;
  // The load itself bounds what is under way; Append must not block in its callbacks.
  options.max_inflight_messages = flags.inflight * flags.batch * 2;
  options.max_inflight_bytes = SIZE_MAX;
  std::unique_ptr<Appender> appender = context.client().OpenAppender(flags.stream, options);
  const std::string payload = MakePayload(flags.bytes);
  load.Run([&](Load::Done done) {
    v1::NewMessage message;
    message.set_payload(payload);
    appender->Append(std::move(message),
                     [done = std::move(done)](absl::StatusOr<Appended> result) mutable {
                       done(result.status());
                     });
  });
}

void AppendByUnaryCalls(v1::Log::Stub& stub, const BenchFlags& flags, Load& load) {
  const std::string payload = MakePayload(flags.bytes);
  load.Run([&](Load::Done done) {
    auto call = std::make_shared<UnaryCall<v1::AppendRequest, v1::AppendResponse>>();
    call->done = std::move(done);
    call->request.set_stream(flags.stream);
    for (size_t i = 0; i < flags.batch; ++i) call->request.add_messages()->set_payload(payload);
    stub.async()->Append(
        &call->context, &call->request, &call->response,
        [call](const grpc::Status& status) mutable { End(std::move(call), status); });
  });
}

int RunAppend(CliContext& context, const BenchFlags& flags) {
  v1::StreamDefinition definition;
  definition.set_name(flags.stream);
  absl::StatusOr<v1::Stream> stream = context.client().CreateStream(definition);
  if (!stream.ok()) return context.Fail(stream.status());
  if (flags.unary) {
    Channels channels(context.endpoints());
    absl::StatusOr<std::unique_ptr<v1::Log::Stub>> stub = LeaderStub(context, channels);
    if (!stub.ok()) return context.Fail(stub.status());
    Load load(LoadOptions(flags, flags.inflight));
    AppendByUnaryCalls(**stub, flags, load);
    return Report(context, load);
  }
  // One op is one message.
  Load load(LoadOptions(flags, flags.inflight * flags.batch));
  AppendByStream(context, flags, load);
  return Report(context, load);
}

// Messages at random places of a stream.
class RandomReads {
 public:
  RandomReads(const BenchFlags& flags, const v1::StreamState& state)
      : flags_(flags), state_(state) {}

  v1::ReadRequest Next() {
    v1::ReadRequest request;
    request.set_stream(flags_.stream);
    request.set_max_messages(flags_.batch);
    MutexLock lock(mutex_);
    request.set_from_sequence(state_.first_sequence() + random_.Below(state_.messages()));
    return request;
  }

 private:
  const BenchFlags& flags_;
  const v1::StreamState& state_;
  Mutex mutex_;
  Random random_ CAIRN_GUARDED_BY(mutex_){1};
};

void ReadByStream(CliContext& context, const BenchFlags& flags, RandomReads& reads, Load& load) {
  // The load itself bounds what is under way; Read must not block in its callbacks.
  const std::unique_ptr<Reader> reader =
      context.client().OpenReader({.max_inflight = flags.inflight * 2});
  load.Run([&](Load::Done done) {
    reader->Read(reads.Next(),
                 [done = std::move(done)](absl::StatusOr<v1::ReadResponse> result) mutable {
                   done(result.status());
                 });
  });
}

void ReadByUnaryCalls(v1::Log::Stub& stub, RandomReads& reads, Load& load) {
  load.Run([&](Load::Done done) {
    auto call = std::make_shared<UnaryCall<v1::ReadRequest, v1::ReadResponse>>();
    call->done = std::move(done);
    call->request = reads.Next();
    stub.async()->Read(
        &call->context, &call->request, &call->response,
        [call](const grpc::Status& status) mutable { End(std::move(call), status); });
  });
}

int RunRead(CliContext& context, const BenchFlags& flags) {
  absl::StatusOr<v1::Stream> stream = context.client().GetStream(flags.stream);
  if (!stream.ok()) return context.Fail(stream.status());
  if (stream->state().messages() == 0) {
    return context.Fail(absl::FailedPreconditionError(
        absl::StrCat("the stream ", flags.stream, " is empty: run cairn bench append first")));
  }
  RandomReads reads(flags, stream->state());
  Load load(LoadOptions(flags, flags.inflight));
  if (flags.unary) {
    Channels channels(context.endpoints());
    absl::StatusOr<std::unique_ptr<v1::Log::Stub>> stub = LeaderStub(context, channels);
    if (!stub.ok()) return context.Fail(stub.status());
    ReadByUnaryCalls(**stub, reads, load);
    return Report(context, load);
  }
  ReadByStream(context, flags, reads, load);
  return Report(context, load);
}

void AddCommonFlags(CLI::App& verb, BenchFlags& flags) {
  verb.add_option("--stream", flags.stream, "the stream to use")->capture_default_str();
  verb.add_option("--inflight", flags.inflight, "calls, or reads, under way at once")
      ->check(CLI::Range(size_t{1}, size_t{1} << 16))
      ->capture_default_str();
  AddDurationFlag(verb, "--seconds", &flags.seconds, "measured, after a short warm-up");
}

}  // namespace

void AddBenchVerbs(CLI::App& app, CliContext& context) {
  CLI::App* bench = app.add_subcommand("bench", "measures this cluster from here");
  bench->require_subcommand(1);
  bench->fallthrough();

  auto append_flags = std::make_shared<BenchFlags>();
  CLI::App& append =
      context.AddVerb(*bench, "append", "appends messages in a closed loop; one op is one message",
                      [&context, append_flags] { return RunAppend(context, *append_flags); });
  AddCommonFlags(append, *append_flags);
  append.add_option("--batch", append_flags->batch, "messages that make one entry")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  append.add_option("--bytes", append_flags->bytes, "of each message")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  append.add_flag("--unary", append_flags->unary,
                  "a call for each entry instead of one stream of them; one op is one call");

  auto read_flags = std::make_shared<BenchFlags>();
  CLI::App& read =
      context.AddVerb(*bench, "read", "reads at random places, linearizably; one op is one read",
                      [&context, read_flags] { return RunRead(context, *read_flags); });
  AddCommonFlags(read, *read_flags);
  read.add_option("--batch", read_flags->batch, "messages a read gives")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  read.add_flag("--unary", read_flags->unary, "a call for each read instead of one stream of them");
}

}  // namespace cairn
