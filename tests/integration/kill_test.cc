// Real processes, real disks, SIGKILL: three cairnd under load lose nothing they acknowledged.

#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/random.h"
#include "client/client.h"
#include "client/retry.h"
#include "gtest/gtest.h"
#include "service/cli/cluster_view.h"
#include "service/cli/demo_cluster.h"

namespace cairn {
namespace {

constexpr int kRounds = 20;
constexpr uint64_t kMessagesPerRound = 300;
constexpr absl::Duration kPatience = absl::Seconds(60);

// Appends numbered messages to one stream, on and on, and remembers what became of each.
class Writer {
 public:
  Writer(Client& client, std::string stream) : stream_(std::move(stream)) {
    AppenderOptions options;
    options.max_inflight_messages = 256;
    options.max_entry_messages = 4;
    appender_ = client.OpenAppender(stream_, options);
  }

  // Appends the next `count` messages.
  void Append(uint64_t count) {
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t number = next_++;
      v1::NewMessage message;
      message.set_payload(absl::StrCat(number));
      appender_->Append(std::move(message), [this, number](absl::StatusOr<Appended> result) {
        MutexLock lock(mutex_);
        if (result.ok()) {
          acknowledged_[number] = result->first_sequence;
        } else {
          failures_.push_back(absl::StrCat(number, ": ", result.status().ToString()));
        }
      });
    }
  }

  void Close() {
    appender_->Flush().IgnoreError();  // each failure is in failures_
    appender_.reset();
  }

  const std::string& stream() const { return stream_; }
  uint64_t appended() const { return next_; }
  std::map<uint64_t, uint64_t> acknowledged() const {
    MutexLock lock(mutex_);
    return acknowledged_;
  }
  std::vector<std::string> failures() const {
    MutexLock lock(mutex_);
    return failures_;
  }

 private:
  const std::string stream_;
  std::unique_ptr<Appender> appender_;
  uint64_t next_ = 0;
  mutable Mutex mutex_;
  std::map<uint64_t, uint64_t> acknowledged_ CAIRN_GUARDED_BY(mutex_);  // number -> sequence
  std::vector<std::string> failures_ CAIRN_GUARDED_BY(mutex_);
};

class KillTest : public testing::Test {
 protected:
  void SetUp() override {
    DemoOptions options;
    options.directory = absl::StrCat(getenv("TEST_TMPDIR"), "/",
                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    options.first_port = 0;
    options.cairnd = "service/cairnd";
    options.extra_flags = {"--election_timeout_ms=300", "--heartbeat_interval_ms=30"};
    absl::StatusOr<std::unique_ptr<DemoCluster>> cluster = DemoCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = std::move(*cluster);
    ClientOptions client_options;
    client_options.endpoints = cluster_->endpoints();
    client_options.timeout = Seconds(60);
    client_ = Client::Create(client_options);
  }

  int WaitForLeader() {
    Retry retry(absl::Now() + kPatience);
    while (true) {
      ClusterView::Leader leader = ViewCluster(*client_, cluster_->endpoints()).leader();
      if (leader.node != 0) return static_cast<int>(leader.node);
      if (!retry.Pause()) return 0;
    }
  }

  // What the stream holds has every acknowledged message at its place, each message at most once,
  // and all in the order they were appended.
  void Verify(const Writer& writer) {
    std::map<uint64_t, uint64_t> found;  // number -> sequence
    uint64_t last_number = 0;
    v1::ReadRequest request;
    request.set_stream(writer.stream());
    absl::Status status = client_->ReadRange(request, [&](const v1::StoredMessage& message) {
      uint64_t number = 0;
      EXPECT_TRUE(absl::SimpleAtoi(message.payload(), &number)) << message.payload();
      EXPECT_EQ(message.sequence(), found.size() + 1);
      EXPECT_TRUE(found.empty() || number > last_number)
          << number << " stands behind " << last_number;
      EXPECT_TRUE(found.emplace(number, message.sequence()).second) << number << " stands twice";
      last_number = number;
      return !HasFailure();
    });
    ASSERT_TRUE(status.ok()) << status;
    for (const auto& [number, sequence] : writer.acknowledged()) {
      ASSERT_EQ(found.count(number), 1u) << "acknowledged and lost: " << number;
      ASSERT_EQ(found[number], sequence) << number << " stands elsewhere";
    }
    EXPECT_LE(found.size(), writer.appended());
  }

  std::unique_ptr<DemoCluster> cluster_;
  std::unique_ptr<Client> client_;
};

// Reads on and on over one call, and looks whether each sees what was acknowledged before it.
class Watcher {
 public:
  Watcher(Client& client, std::string stream)
      : stream_(std::move(stream)), reader_(client.OpenReader({.max_inflight = 64})) {}

  // A read that must see the message of this sequence.
  void Read(uint64_t acknowledged) {
    v1::ReadRequest request;
    request.set_stream(stream_);
    request.set_from_sequence(acknowledged);
    request.set_max_messages(1);
    ++asked_;
    reader_->Read(std::move(request), [this, acknowledged](absl::StatusOr<v1::ReadResponse> read) {
      MutexLock lock(mutex_);
      ++answered_;
      if (!read.ok()) {
        wrong_.push_back(read.status().ToString());
      } else if (read->messages_size() != 1 || read->messages(0).sequence() != acknowledged) {
        wrong_.push_back(
            absl::StrCat(acknowledged, " is not seen, the last one is ", read->last_sequence()));
      }
      changed_.NotifyAll();
    });
  }
  // What was wrong with the answers, when all are there.
  std::vector<std::string> Finish() {
    MutexLock lock(mutex_);
    while (answered_ < asked_) changed_.Wait(mutex_);
    return wrong_;
  }

 private:
  const std::string stream_;
  uint64_t asked_ = 0;
  Mutex mutex_;
  CondVar changed_;
  uint64_t answered_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> wrong_ CAIRN_GUARDED_BY(mutex_);
  const std::unique_ptr<Reader> reader_;
};

TEST_F(KillTest, PipelinedReadsSeeWhatWasAcknowledged) {
  ASSERT_NE(WaitForLeader(), 0);
  v1::StreamDefinition definition;
  definition.set_name("watched");
  ASSERT_TRUE(client_->CreateStream(definition).ok());
  Watcher watcher(*client_, "watched");
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 100; ++i) {
      v1::NewMessage message;
      message.set_payload("seen");
      const absl::StatusOr<Appended> appended = client_->Append("watched", {message});
      ASSERT_TRUE(appended.ok()) << appended.status();
      for (int reads = 0; reads < 5; ++reads) watcher.Read(appended->last_sequence);
      if (i != 50) continue;
      const int leader = WaitForLeader();
      ASSERT_TRUE(cluster_->Kill(leader).ok());
      ASSERT_TRUE(cluster_->Restart(leader).ok());
    }
  }
  EXPECT_EQ(watcher.Finish(), std::vector<std::string>());
}

TEST_F(KillTest, NothingAcknowledgedIsLost) {
  uint64_t seed = static_cast<uint64_t>(absl::ToUnixNanos(absl::Now()));
  std::cout << "seed " << seed << std::endl;  // which nodes were killed; timing is the machine's
  Random random(seed);
  std::vector<std::unique_ptr<Writer>> writers;
  ASSERT_NE(WaitForLeader(), 0);
  for (const char* stream : {"first", "second"}) {
    v1::StreamDefinition definition;
    definition.set_name(stream);
    absl::StatusOr<v1::Stream> made = client_->CreateStream(definition);
    ASSERT_TRUE(made.ok()) << made.status();
    writers.push_back(std::make_unique<Writer>(*client_, stream));
  }
  auto append = [&](uint64_t count) {
    for (std::unique_ptr<Writer>& writer : writers) writer->Append(count);
  };

  for (int round = 0; round < kRounds; ++round) {
    append(kMessagesPerRound);
    int victim = round % 2 == 0 ? WaitForLeader() : static_cast<int>(1 + random.Below(3));
    ASSERT_NE(victim, 0) << "no leader in round " << round;
    ASSERT_TRUE(cluster_->Kill(victim).ok());
    // The window is smaller than this: it ends only when the others have acknowledged some.
    append(kMessagesPerRound);
    absl::Status restarted = cluster_->Restart(victim);
    ASSERT_TRUE(restarted.ok()) << restarted;
  }
  for (std::unique_ptr<Writer>& writer : writers) writer->Close();

  for (int node = 1; node <= 3; ++node) ASSERT_TRUE(cluster_->Kill(node).ok());
  for (int node = 1; node <= 3; ++node) {
    absl::Status restarted = cluster_->Restart(node);
    ASSERT_TRUE(restarted.ok()) << restarted;
  }
  ASSERT_NE(WaitForLeader(), 0);
  for (const std::unique_ptr<Writer>& writer : writers) {
    EXPECT_EQ(writer->failures(), std::vector<std::string>());
    EXPECT_EQ(writer->acknowledged().size(), writer->appended());
    Verify(*writer);
  }
}

}  // namespace
}  // namespace cairn
