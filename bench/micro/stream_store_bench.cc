// The streams' store: what applying an append costs, and a read of one message at a random place,
// with the files in the page cache. No log and no network.
//
// By environment: CAIRN_BENCH_DIRECTORY, where to write (the working directory).

#include <stdlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/random.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "benchmark/benchmark.h"
#include "storage/posix_file_system.h"
#include "storage/stream/stream_store.h"

namespace cairn {
namespace {

constexpr size_t kPayloadBytes = 270;  // a message of 256 bytes as it stands in a command
constexpr uint64_t kBatch = 256;

// A store in a directory of its own, which goes with it.
class Bench {
 public:
  explicit Bench(uint64_t streams) : background_(clock_, "background") {
    const char* parent = getenv("CAIRN_BENCH_DIRECTORY");
    directory_ = std::string(parent == nullptr ? "." : parent) + "/stream_store_bench-XXXXXX";
    CAIRN_CHECK(mkdtemp(directory_.data()) != nullptr) << directory_;
    StreamStoreOptions options;
    options.file_system = &file_system_;
    options.directory = directory_;
    options.group = GroupId::kDefault;
    options.background = &background_;
    auto store = StreamStore::Open(options);
    CAIRN_CHECK(store.ok()) << store.status();
    store_ = *std::move(store);
    for (uint64_t i = 0; i < streams; ++i) store_->Create("stream", WallTime{1});
  }
  ~Bench() {
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  // A batch of entries, spread over the streams.
  void Append() {
    for (uint64_t i = 0; i < kBatch; ++i) {
      ++index_;
      const auto stream = static_cast<StreamId>(1 + index_ % store_->size());
      store_->Append({stream, {index_, 1}, WallTime{1}, 1, kPayloadBytes, payload_});
    }
    store_->AppliedUpTo({index_, 1}, [] { return std::string(); });
  }

  StreamStore& store() { return *store_; }

 private:
  SystemClock clock_;
  ThreadExecutor background_;
  PosixFileSystem file_system_;
  std::string directory_;
  std::unique_ptr<StreamStore> store_;
  const std::string payload_ = std::string(kPayloadBytes, 'x');
  uint64_t index_ = 0;
};

void BM_Append(benchmark::State& state) {
  Bench bench(static_cast<uint64_t>(state.range(0)));
  for (auto _ : state) bench.Append();
  state.SetItemsProcessed(static_cast<int64_t>(kBatch) * state.iterations());
  state.SetBytesProcessed(static_cast<int64_t>(kBatch * kPayloadBytes) * state.iterations());
}
BENCHMARK(BM_Append)->ArgName("streams")->Arg(1)->Arg(1000)->UseRealTime();

void BM_RandomRead(benchmark::State& state) {
  constexpr uint64_t kMessages = 1'000'000;
  const auto streams = static_cast<uint64_t>(state.range(0));
  Bench bench(streams);
  for (uint64_t i = 0; i < kMessages / kBatch; ++i) bench.Append();
  Random random(1);
  for (auto _ : state) {
    const auto stream = static_cast<StreamId>(1 + random.Below(streams));
    const uint64_t sequence = 1 + random.Below(bench.store().Row(stream).last_sequence);
    uint64_t found = 0;
    absl::Status status =
        bench.store().Read(stream, sequence, SIZE_MAX, [&found](const StoredStreamRecord& stored) {
          found = stored.record.first_sequence;
          return false;
        });
    CAIRN_CHECK(status.ok()) << status;
    CAIRN_CHECK_EQ(found, sequence);
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["index_bytes_per_message"] =
      static_cast<double>(bench.store().index_bytes()) / static_cast<double>(kMessages);
}
BENCHMARK(BM_RandomRead)->ArgName("streams")->Arg(1)->Arg(4)->Arg(1000);

}  // namespace
}  // namespace cairn

BENCHMARK_MAIN();
