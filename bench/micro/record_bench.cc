// What the one encoding costs: stamping entries of 256 bytes into a run (the leader, once), and
// verifying a run (every hop).

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/time.h"
#include "base/types.h"
#include "benchmark/benchmark.h"
#include "storage/record.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};
constexpr size_t kPayloadBytes = 256;

std::string PayloadOf(uint64_t number) {
  std::string payload = std::to_string(number);
  payload.resize(kPayloadBytes, 'x');
  return payload;
}

std::vector<PreparedEntry> Prepare(int64_t count) {
  std::vector<PreparedEntry> entries;
  for (int64_t i = 0; i < count; ++i) {
    entries.push_back(
        PreparedEntry::Make(EntryType::kCommand, PayloadOf(static_cast<uint64_t>(i))));
  }
  return entries;
}

RecordRun Stamp(const std::vector<PreparedEntry>& entries) {
  RecordRunBuilder builder(kGroup, LogPosition{}, EntryHash{});
  for (const PreparedEntry& entry : entries) builder.Add(entry, Term{1}, WallTime{1});
  return std::move(builder).Build();
}

void CountWork(benchmark::State& state, size_t run_bytes) {
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(run_bytes));
}

// On the thread a command comes in on: the mask and the payload's checksum.
void PrepareEntry(benchmark::State& state) {
  std::string payload = PayloadOf(1);
  for (auto _ : state) {
    benchmark::DoNotOptimize(PreparedEntry::Make(EntryType::kCommand, payload));
  }
  state.SetItemsProcessed(state.iterations());
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(kPayloadBytes));
}
BENCHMARK(PrepareEntry);

void BuildRun(benchmark::State& state) {
  std::vector<PreparedEntry> entries = Prepare(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(Stamp(entries));
  CountWork(state, Stamp(entries).byte_size());
}
BENCHMARK(BuildRun)->ArgName("entries")->Arg(1)->Arg(16)->Arg(256);

void ParseRun(benchmark::State& state) {
  Bytes bytes = Stamp(Prepare(state.range(0))).bytes();
  for (auto _ : state) {
    auto run = RecordRun::Parse(kGroup, bytes);
    CAIRN_CHECK(run.ok());
    benchmark::DoNotOptimize(run);
  }
  CountWork(state, bytes.size());
}
BENCHMARK(ParseRun)->ArgName("entries")->Arg(1)->Arg(16)->Arg(256);

}  // namespace
}  // namespace cairn

BENCHMARK_MAIN();
