// The pieces of docs/embedding.md, run: the page shows lines of this file (snippets_test.py).

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "base/system_clock.h"
#include "cairn/server.h"
#include "gtest/gtest.h"
#include "service/cli/free_ports.h"

namespace {

// A counter that keeps its state in a file, so that a start needs no replay of the whole log.
class DurableCounter : public cairn::StateMachine {
 public:
  explicit DurableCounter(std::string path) : path_(std::move(path)) {}

  absl::StatusOr<cairn::LogPosition> Open(const cairn::OpenContext& context) override {
    sessions_ = context.archive;
    std::ifstream file(path_, std::ios::binary);
    if (!file) return cairn::LogPosition{};  // nothing yet: the log is applied from its start
    std::string bytes(std::istreambuf_iterator<char>(file), {});
    cairn::Decoder decoder(bytes);
    cairn::LogPosition position;
    position.index = decoder.Read<uint64_t>();
    position.term = decoder.Read<uint64_t>();
    value_ = static_cast<int64_t>(decoder.Read<uint64_t>());
    absl::Status restored = sessions_->Restore(decoder.ReadBytes(decoder.remaining()));
    if (!restored.ok()) return restored;
    return position;
  }

  void Apply(cairn::ApplyBatch& batch) override {
    for (cairn::ApplyEntry& entry : batch) {
      int64_t amount = 0;
      if (absl::SimpleAtoi(entry.command().view(), &amount)) value_ += amount;
      entry.Reply(absl::StrCat(value_.load()));
    }
  }

  // State, position and sessions go to disk together. An older file is fine: the log has the rest.
  void AppliedUpTo(cairn::LogPosition position, cairn::WallTime) override {
    std::string bytes;
    cairn::AppendLittleEndian(&bytes, position.index);
    cairn::AppendLittleEndian(&bytes, position.term);
    cairn::AppendLittleEndian(&bytes, static_cast<uint64_t>(value_));
    bytes += sessions_->Save();
    std::ofstream(path_ + ".new", std::ios::binary) << bytes;
    std::rename((path_ + ".new").c_str(), path_.c_str());
  }

  int64_t value() const { return value_; }

 private:
  const std::string path_;
  cairn::ReplicaArchive* sessions_ = nullptr;
  std::atomic<int64_t> value_ = 0;
};

// What became of a command, in words.
std::string Describe(const cairn::ProposalResult& result) {
  if (const auto* applied = std::get_if<cairn::ProposalApplied>(&result)) {
    return absl::StrCat("applied at ", applied->at.index, ": ", applied->reply.view());
  }
  if (const auto* refused = std::get_if<cairn::ProposalNotApplied>(&result)) {
    return absl::StrCat("not applied: ", cairn::NameOf(refused->reason));
  }
  return "unknown: " + std::get<cairn::ProposalUnknown>(result).message;
}

// The session's id, or nothing if that could not be had.
std::optional<uint64_t> OpenSession(cairn::Group& group) {
  std::promise<cairn::ProposalResult> done;
  group.OpenSession("embedding", {},
                    [&done](cairn::ProposalResult result) { done.set_value(std::move(result)); });
  cairn::ProposalResult result = done.get_future().get();
  const auto* applied = std::get_if<cairn::ProposalApplied>(&result);
  if (applied == nullptr) return std::nullopt;
  return applied->at.index;
}

// Adds `amount` once, however often it takes to learn that it was added.
cairn::ProposalResult AddOnce(cairn::Group& group, uint64_t session, uint64_t number, int amount) {
  while (true) {
    cairn::ProposeOptions options;
    options.session = {.session = session, .number = number};
    options.deadline = cairn::SystemClock().Now() + cairn::Seconds(10);
    cairn::ProposalResult result = group.Propose(absl::StrCat(amount), options)->Wait();
    if (!std::holds_alternative<cairn::ProposalUnknown>(result)) return result;
  }
}

class EmbeddingTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::vector<int>> ports = cairn::FreePorts(1);
    ASSERT_TRUE(ports.ok()) << ports.status();
    cluster_ = absl::StrCat("1=127.0.0.1:", ports->front());
    const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
    directory_ = absl::StrCat(getenv("TEST_TMPDIR"), "/", test.name());
  }

  absl::Status Start() {
    auto members = cairn::ParseInitialCluster(cluster_);
    if (!members.ok()) return members.status();
    cairn::ServerOptions options;
    options.node = cairn::NodeId{1};
    options.data_directory = directory_;
    options.initial_members = *members;
    options.stopped = [this](cairn::GroupId, cairn::NodeState state, const absl::Status& why) {
      stopped_ = absl::StrCat(cairn::NameOf(state), ": ", why.ToString());
    };
    auto server = cairn::Server::Start(options);
    if (!server.ok()) return server.status();  // NOT_FOUND, ALREADY_EXISTS, …
    auto machine = std::make_unique<DurableCounter>(directory_ + "/counter");
    counter_ = machine.get();
    auto group = (*server)->Open(cairn::GroupId::kDefault, std::move(machine));
    if (!group.ok()) return group.status();
    absl::Status listening = (*server)->Listen();
    if (!listening.ok()) return listening;
    server_ = *std::move(server);
    group_.emplace(*group);
    return absl::OkStatus();
  }

  void StartAndLead() {
    absl::Status started = Start();
    ASSERT_TRUE(started.ok()) << started;
    auto leads = std::make_shared<std::promise<void>>();
    std::future<void> led = leads->get_future();
    group_->WatchLeadership([leads, told = false](const cairn::GroupStatus& status) mutable {
      if (status.serving_leader && !std::exchange(told, true)) leads->set_value();
    });
    ASSERT_EQ(led.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  }

  void Stop() {
    server_->Shutdown(cairn::Seconds(5));
    server_.reset();
  }

  // The value as of now, or nothing if no quorum says what is now.
  std::optional<int64_t> Value() {
    auto deadline = cairn::SystemClock().Now() + cairn::Seconds(10);
    cairn::ReadResult ready = group_->Linearize(deadline)->Wait();
    if (!std::holds_alternative<cairn::ReadReady>(ready)) return std::nullopt;
    return counter_->value();
  }

  std::string cluster_;
  std::string directory_;
  std::string stopped_;
  DurableCounter* counter_ = nullptr;  // the group owns it
  std::unique_ptr<cairn::Server> server_;
  std::optional<cairn::Group> group_;
};

TEST_F(EmbeddingTest, EachCommandHasATypedOutcome) {
  StartAndLead();
  EXPECT_EQ(Describe(group_->Propose("3")->Wait()).substr(0, 11), "applied at ");
  std::promise<std::string> said;
  group_->Propose("4", {}, [&said](cairn::ProposalResult result) {
    said.set_value(Describe(result));  // on a thread of Cairn's: quick, and never blocking
  });
  std::string text = said.get_future().get();
  EXPECT_EQ(text.substr(text.size() - 3), ": 7");
  cairn::ProposeOptions late;
  late.deadline = cairn::SystemClock().Now() - cairn::Seconds(1);
  EXPECT_EQ(
      Describe(group_->Propose("5", late)->Wait()),
      absl::StrCat("not applied: ", cairn::NameOf(cairn::ProposalNotApplied::Reason::kDeadline)));
  EXPECT_EQ(
      Describe(group_->Propose(std::string(2 << 20, '1'))->Wait()),
      absl::StrCat("not applied: ", cairn::NameOf(cairn::ProposalNotApplied::Reason::kTooLarge)));
  EXPECT_EQ(Value(), 7);
  cairn::Group handle = *group_;
  Stop();
  EXPECT_EQ(
      Describe(handle.Propose("1")->Wait()),
      absl::StrCat("not applied: ", cairn::NameOf(cairn::ProposalNotApplied::Reason::kStopping)));
  EXPECT_EQ(stopped_, "") << "that it was asked to stop is no failure";
}

TEST_F(EmbeddingTest, StateAndSessionsOutliveAStop) {
  StartAndLead();
  std::optional<uint64_t> session = OpenSession(*group_);
  ASSERT_TRUE(session.has_value());
  cairn::ProposalResult first = AddOnce(*group_, *session, 1, 5);
  ASSERT_TRUE(std::holds_alternative<cairn::ProposalApplied>(first)) << Describe(first);
  EXPECT_FALSE(std::get<cairn::ProposalApplied>(first).duplicate);
  Stop();
  StartAndLead();
  EXPECT_EQ(Value(), 5);
  cairn::ProposalResult again = AddOnce(*group_, *session, 1, 5);
  EXPECT_EQ(Describe(again), Describe(first));
  EXPECT_TRUE(std::get<cairn::ProposalApplied>(again).duplicate);
  EXPECT_EQ(Value(), 5);
}

TEST_F(EmbeddingTest, ManyGroupsAreOpenedTogether) {
  StartAndLead();
  std::vector<cairn::GroupToOpen> groups;
  for (uint64_t id = 10; id < 50; ++id) {
    auto machine = std::make_unique<DurableCounter>(absl::StrCat(directory_, "/counter", id));
    groups.push_back({cairn::GroupId{id}, std::move(machine)});
  }
  std::vector<absl::StatusOr<cairn::Group>> opened = server_->OpenAll(std::move(groups));
  ASSERT_EQ(opened.size(), 40u);
  for (size_t i = 0; i < opened.size(); ++i) {
    ASSERT_TRUE(opened[i].ok()) << opened[i].status();
    EXPECT_EQ(opened[i]->Status().group, cairn::GroupId{10 + i});
  }
  EXPECT_EQ(server_->StatusOfOpenings().ended, 41u);
  EXPECT_EQ(server_->StatusOfOpenings().most, 16u);
}

TEST_F(EmbeddingTest, ADirectoryHasOneServer) {
  StartAndLead();
  std::unique_ptr<cairn::Server> first = std::move(server_);
  absl::Status second = Start();
  EXPECT_TRUE(absl::IsAlreadyExists(second)) << second;
}

}  // namespace
