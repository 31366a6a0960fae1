// What consensus itself costs: a leader of three takes a batch of proposals all the way to "apply",
// with the disk and the two followers answering at once. The core knows the shape of the log and
// not its entries, so a batch of 256 should cost what a batch of 1 costs.

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/time.h"
#include "base/types.h"
#include "benchmark/benchmark.h"
#include "raft/core/effects.h"
#include "raft/core/events.h"
#include "raft/core/messages.h"
#include "raft/core/options.h"
#include "raft/core/raft.h"

namespace cairn {
namespace {

constexpr uint64_t kMembers = 3;
constexpr uint64_t kLargeBatch = 256;
constexpr size_t kEntryBytes = 256;

RaftOptions Options() {
  RaftOptions options;
  options.node = NodeId{1};
  return options;
}

RecoveredRaft EmptyLog() {
  RecoveredRaft recovered;
  for (uint64_t node = 1; node <= kMembers; ++node) {
    recovered.base_configuration.voters.push_back({NodeId{node}, Incarnation::kUnknown, ""});
  }
  return recovered;
}

// The leader of a group whose disk and followers do all they are asked, at once.
class Leader {
 public:
  Leader() : raft_(Options(), EmptyLog(), Instant{}, nullptr) {
    now_ = raft_.NextWakeup();
    raft_.Step(now_, Tick{});
    Settle();
    CAIRN_CHECK(raft_.leads_with_commit());
  }

  // Proposes a batch and settles all that follows from it.
  void Commit(uint64_t count) {
    raft_.Step(now_, Propose{.payload = ++payload_, .count = count, .bytes = count * kEntryBytes});
    Settle();
  }

  Index applied() const { return raft_.applied(); }

 private:
  void Settle() {
    for (Effects effects = raft_.TakeEffects(); !effects.empty(); effects = raft_.TakeEffects()) {
      for (const Message& message : effects.messages) Answer(message);
      for (const SendEntries& send : effects.send_entries) Replicate(send);
      if (!effects.log_batches.empty()) {
        raft_.Step(now_, LogSynced{.ticket = effects.log_batches.back().ticket});
      }
      if (effects.apply_up_to != 0) raft_.Step(now_, Applied{.index = effects.apply_up_to});
    }
  }

  void Replicate(const SendEntries& send) {
    uint64_t entries = send.last.index - send.previous.index;
    raft_.Step(now_, EntriesSent{.to = send.to,
                                 .request = send.request,
                                 .last = send.last.index,
                                 .bytes = entries * kEntryBytes});
    Reply(send.to, AppendReply{.term = send.term, .success = true, .match = send.last.index});
  }

  void Answer(const Message& message) {
    if (const auto* ask = std::get_if<PreVoteRequest>(&message.body)) {
      Reply(message.to,
            PreVoteReply{.term = ask->term, .granted = true, .campaign = ask->campaign});
    } else if (const auto* vote = std::get_if<VoteRequest>(&message.body)) {
      Reply(message.to, VoteReply{.term = vote->term, .granted = true, .campaign = vote->campaign});
    } else if (const auto* sign = std::get_if<Heartbeat>(&message.body)) {
      Reply(message.to, HeartbeatReply{.term = sign->term, .context = sign->context});
    }
  }

  void Reply(NodeId from, MessageBody body) {
    raft_.Step(now_, Receive{.message = {.from = from, .to = NodeId{1}, .body = std::move(body)}});
  }

  Raft raft_;
  Instant now_;
  PayloadId payload_ = 0;
};

void CommitBatch(benchmark::State& state) {
  Leader leader;
  Index before = leader.applied();
  auto count = static_cast<uint64_t>(state.range(0));
  uint64_t batches = 0;
  for (auto _ : state) {
    leader.Commit(count);
    ++batches;
  }
  CAIRN_CHECK(leader.applied() == before + batches * count);
  state.SetItemsProcessed(static_cast<int64_t>(batches * count));
}
BENCHMARK(CommitBatch)->ArgName("entries")->Arg(1)->Arg(static_cast<int64_t>(kLargeBatch));

// Of this thread: what else the machine does is not counted.
double CpuNanoseconds() {
  timespec used = {};
  CAIRN_CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0);
  return 1e9 * static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec);
}

double CpuOfBatches(Leader& leader, uint64_t count) {
  constexpr int kBatches = 1000;
  double start = CpuNanoseconds();
  for (int i = 0; i < kBatches; ++i) leader.Commit(count);
  return (CpuNanoseconds() - start) / kBatches;
}

// Both by turns, so that a changing clock rate falls on both alike. `ratio`: the cost of a batch of
// 256 in batches of 1; the design holds it at 2 or less.
void LargeBatchAgainstSmall(benchmark::State& state) {
  Leader leader;
  double small = 0;
  double large = 0;
  int64_t rounds = 0;
  for (auto _ : state) {
    small += CpuOfBatches(leader, 1);
    large += CpuOfBatches(leader, kLargeBatch);
    ++rounds;
  }
  auto turns = static_cast<double>(rounds);
  state.counters["batch_of_1_cpu_ns"] = small / turns;
  state.counters["batch_of_256_cpu_ns"] = large / turns;
  state.counters["ratio"] = large / small;
}
BENCHMARK(LargeBatchAgainstSmall);

}  // namespace
}  // namespace cairn

BENCHMARK_MAIN();
