// Whole hosts in virtual time: logs are compacted, members are brought back by snapshots, and state
// machines of both kinds restored.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/coding.h"
#include "gtest/gtest.h"
#include "raft/host.h"
#include "storage/memory_log_store.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/loopback_network.h"
#include "tests/raft/manual_executor.h"
#include "tests/raft/text_machine.h"

namespace cairn {
namespace {

constexpr GroupId kGroup{1};

// Writes the text to a file of its own, with the archive, at every tenth entry.
class FileMachine final : public TextMachine {
 public:
  using TextMachine::TextMachine;
  bool durable() const override { return true; }
  absl::StatusOr<LogPosition> Open(const OpenContext& context) override {
    context_ = context;
    absl::StatusOr<std::string> saved = ReadWholeFile(*context.file_system, Path());
    if (absl::IsNotFound(saved.status())) return LogPosition{};
    if (!saved.ok()) return saved.status();
    Decoder decoder(*saved);
    LogPosition at = {decoder.Read<uint64_t>(), decoder.Read<uint64_t>()};
    absl::Status status = context.archive->Restore(decoder.ReadLengthPrefixed());
    *commands_ = std::string(decoder.ReadLengthPrefixed());
    return status.ok() ? absl::StatusOr<LogPosition>(at) : status;
  }
  void AppliedUpTo(LogPosition position, WallTime) override {
    if (position.index / 10 == saved_ / 10) return;
    SaveAt(position);
    context_.durable(position);
  }
  absl::Status Restore(const SnapshotReader& snapshot, LogPosition position) override {
    absl::Status status = TextMachine::Restore(snapshot, position);
    if (status.ok()) SaveAt(position);
    return status;
  }

 private:
  std::string Path() const { return context_.directory + "/state"; }
  void SaveAt(LogPosition position) {
    std::string saved;
    AppendLittleEndian(&saved, position.index);
    AppendLittleEndian(&saved, position.term);
    AppendLengthPrefixed(&saved, context_.archive->Save());
    AppendLengthPrefixed(&saved, *commands_);
    EXPECT_TRUE(WriteFileAtomically(*context_.file_system, Path(), saved).ok());
    saved_ = position.index;
  }

  OpenContext context_;
  Index saved_ = 0;
};

GroupOptions SmallLogs() {
  GroupOptions options;
  options.compaction.snapshot_entries = 20;
  options.compaction.retained_entries = 5;
  return options;
}

struct Kind {
  const char* name;
  std::function<std::unique_ptr<StateMachine>(std::string*)> make;
};

class SnapshotClusterTest : public testing::TestWithParam<Kind> {
 protected:
  SnapshotClusterTest() {
    for (uint64_t node = 1; node <= 3; ++node) {
      members_.voters.push_back({NodeId{node}, Incarnation::kUnknown, absl::StrCat("node", node)});
    }
    for (uint64_t node = 1; node <= 3; ++node) Start(node);
  }
  ~SnapshotClusterTest() override {
    for (auto& [id, node] : nodes_) node.host.reset();
  }

  void Start(uint64_t id) {
    Node& node = nodes_[id];
    NodeIdentity wanted;
    wanted.initial_members = members_;
    wanted.cluster = MakeClusterId(members_, "test");
    wanted.node = NodeId{id};
    wanted.incarnation = Incarnation{100 + id};
    wanted.log_store = "memory";
    bool formatted = false;
    ASSERT_TRUE(node.files->MakeDirectory("/data").ok());
    NodeIdentity identity = LoadOrCreateIdentity(*node.files, "/data", wanted, &formatted).value();
    node.disk = std::make_unique<MemoryLogDisk>(node.medium);
    node.transport = network_.MakeTransport(NodeId{id});
    HostDependencies dependencies;
    dependencies.clock = &world_;
    dependencies.file_system = node.files.get();
    dependencies.data_directory = "/data";
    dependencies.log_disk = node.disk.get();
    dependencies.transport = node.transport.get();
    dependencies.make_executor = [this](const std::string&) {
      return std::make_unique<ManualExecutor>(&world_);
    };
    dependencies.seed = ++seeds_;
    dependencies.stopped = [&node](GroupId, NodeState, const absl::Status& status) {
      node.stopped = status;
    };
    node.host = Host::Start(identity, std::move(dependencies)).value();
    node.group = node.host->Open(kGroup, GetParam().make(&node.commands), SmallLogs()).value();
  }
  // A power cut: only what was synced is there.
  void Stop(uint64_t id) {
    Node& node = nodes_.at(id);
    node.host.reset();
    node.transport.reset();
    node.disk.reset();
    node.medium->Crash(0);
    node.files->Crash(CrashChoice());
  }

  bool Await(const std::function<bool()>& done, Duration most = Seconds(20)) {
    const Instant end = world_.Now() + most;
    while (!done() && world_.Now() < end) world_.RunFor(Milliseconds(5));
    return done();
  }
  uint64_t Leader() {
    uint64_t leader = 0;
    EXPECT_TRUE(Await([&] {
      for (auto& [id, node] : nodes_) {
        if (node.host != nullptr && node.group->Status().serving_leader) leader = id;
      }
      return leader != 0;
    }));
    return leader;
  }
  void Propose(uint64_t leader, int count) {
    for (int i = 0; i < count; ++i) {
      std::optional<ProposalResult> result;
      nodes_.at(leader).group->Propose(absl::StrCat("c", ++commands_), {},
                                       [&](ProposalResult r) { result = std::move(r); });
      ASSERT_TRUE(Await([&] { return result.has_value(); }));
      ASSERT_TRUE(std::holds_alternative<ProposalApplied>(*result));
    }
  }
  GroupStatus Status(uint64_t id) { return nodes_.at(id).group->Status(); }
  bool Same(uint64_t a, uint64_t b) {
    return nodes_.at(a).commands == nodes_.at(b).commands &&
           Status(a).applied_index == Status(b).applied_index;
  }

  struct Node {
    std::shared_ptr<MemoryLogMedium> medium = std::make_shared<MemoryLogMedium>();
    std::unique_ptr<SimulatedFileSystem> files = std::make_unique<SimulatedFileSystem>();
    std::unique_ptr<MemoryLogDisk> disk;
    std::unique_ptr<Transport> transport;
    std::unique_ptr<Host> host;
    std::optional<Group> group;
    std::string commands;
    absl::Status stopped;
  };
  ManualWorld world_;
  ManualExecutor network_executor_{&world_};
  LoopbackNetwork network_{&network_executor_, &world_, Milliseconds(1)};
  Configuration members_;
  std::map<uint64_t, Node> nodes_;
  uint64_t seeds_ = 0;
  int commands_ = 0;
};

TEST_P(SnapshotClusterTest, LogsAreCompacted) {
  const uint64_t leader = Leader();
  Propose(leader, 100);
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_TRUE(Await([&] { return Status(node).first_index > 60; })) << node;
    EXPECT_LE(Status(node).first_index, Status(node).last_index - 3);
    EXPECT_TRUE(nodes_.at(node).stopped.ok());
  }
}

TEST_P(SnapshotClusterTest, AMemberFarBehindIsBroughtBack) {
  const uint64_t leader = Leader();
  Propose(leader, 10);
  const uint64_t behind = leader == 1 ? 2 : 1;
  network_.CutOff(NodeId{behind});
  Propose(leader, 90);
  ASSERT_TRUE(Await([&] { return Status(leader).first_index > 60; }));
  network_.Rejoin(NodeId{behind});
  ASSERT_TRUE(Await([&] { return Same(leader, behind); }));
  EXPECT_GT(Status(behind).first_index, 60u);
  Propose(leader, 5);
  EXPECT_TRUE(Await([&] { return Same(leader, behind); }));
  // And again after a power cut there.
  Stop(behind);
  Propose(leader, 3);
  Start(behind);
  EXPECT_TRUE(Await([&] { return Same(leader, behind); }));
  EXPECT_TRUE(nodes_.at(behind).stopped.ok()) << nodes_.at(behind).stopped;
}

// Fault catalogue 5.2, row 19.
TEST_P(SnapshotClusterTest, OffersOfNoUseAreAnswered) {
  std::optional<SnapshotOffer> offered;
  std::vector<std::pair<NodeId, SnapshotAnswer>> answers;
  network_.SetFilter([&](Envelope& envelope) {
    if (const auto* offer = std::get_if<SnapshotOffer>(&envelope.body)) offered = *offer;
    if (const auto* answer = std::get_if<SnapshotAnswer>(&envelope.body)) {
      answers.emplace_back(envelope.from, *answer);
    }
    return true;
  });
  const uint64_t leader = Leader();
  const uint64_t behind = leader == 1 ? 2 : 1;
  network_.CutOff(NodeId{behind});
  Propose(leader, 90);
  ASSERT_TRUE(Await([&] { return Status(leader).first_index > 60; }));
  network_.Rejoin(NodeId{behind});
  ASSERT_TRUE(Await([&] { return Same(leader, behind); }));
  ASSERT_TRUE(offered.has_value());
  EXPECT_TRUE(offered->answer_wanted);
  const SnapshotOffer offer = *offered;

  const auto offer_again = [&](bool answer_wanted) {
    answers.clear();
    Envelope envelope;
    envelope.cluster = MakeClusterId(members_, "test");
    envelope.group = kGroup;
    envelope.from = NodeId{leader};
    envelope.to = NodeId{behind};
    envelope.from_incarnation = Incarnation{100 + leader};
    envelope.body = offer;
    std::get<SnapshotOffer>(envelope.body).answer_wanted = answer_wanted;
    nodes_.at(leader).transport->Send(std::move(envelope));
    world_.RunFor(Milliseconds(20));
  };
  const auto expect_answer = [&](SnapshotAnswer::Verdict verdict) {
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0].first, NodeId{behind});
    const SnapshotAnswer& answer = answers[0].second;
    EXPECT_EQ(answer.id, offer.id);
    EXPECT_EQ(answer.verdict, verdict) << NameOf(answer.verdict);
    EXPECT_EQ(answer.term, Status(behind).term);
    EXPECT_GE(answer.commit, offer.position.index);
  };
  offer_again(true);
  expect_answer(SnapshotAnswer::Verdict::kAlreadyHave);
  offer_again(false);
  EXPECT_TRUE(answers.empty()) << "who does not know answers gets none";

  Stop(leader);
  ASSERT_TRUE(Await([&] { return Status(behind).term > offer.term; }));
  Start(leader);
  Leader();
  const std::string before = nodes_.at(behind).commands;
  offer_again(true);
  expect_answer(SnapshotAnswer::Verdict::kStaleTerm);
  EXPECT_EQ(nodes_.at(behind).commands, before);
}

// Wherever the power goes while it is brought back, it comes back.
TEST_P(SnapshotClusterTest, PowerCutsWhileAMemberIsBroughtBack) {
  const uint64_t leader = Leader();
  const uint64_t behind = leader == 1 ? 2 : 1;
  for (int64_t after = 1; after < 400; after += 13) {
    network_.CutOff(NodeId{behind});
    Propose(leader, 45);
    ASSERT_TRUE(Await([&] { return Status(leader).first_index > Status(behind).last_index + 1; }));
    network_.Rejoin(NodeId{behind});
    world_.RunFor(Milliseconds(after));
    Stop(behind);
    Start(behind);
    ASSERT_TRUE(Await([&] { return Same(leader, behind); }))
        << after << ": " << Status(behind).reason << " " << nodes_.at(behind).stopped;
  }
}

TEST_P(SnapshotClusterTest, AllMembersRestartFromWhatTheyHave) {
  Propose(Leader(), 77);
  for (uint64_t node = 1; node <= 3; ++node) {
    ASSERT_TRUE(Await([&] { return Status(node).first_index > 20; })) << node;
  }
  const std::string before = nodes_.at(Leader()).commands;
  for (uint64_t node = 1; node <= 3; ++node) Stop(node);
  for (uint64_t node = 1; node <= 3; ++node) Start(node);
  const uint64_t leader = Leader();
  EXPECT_EQ(nodes_.at(leader).commands, before);
  Propose(leader, 3);
  for (uint64_t node = 1; node <= 3; ++node) {
    EXPECT_TRUE(Await([&] { return Same(leader, node); })) << node;
  }
}

// Sessions and their answers are in the archive: a retry after all that gets its first answer.
TEST_P(SnapshotClusterTest, SessionsComeWithTheSnapshot) {
  uint64_t leader = Leader();
  std::optional<ProposalResult> opened, first, again;
  nodes_.at(leader).group->OpenSession("client", {},
                                       [&](ProposalResult r) { opened = std::move(r); });
  ASSERT_TRUE(Await([&] { return opened.has_value(); }));
  const uint64_t session = std::get<ProposalApplied>(*opened).at.index;
  ProposeOptions call;
  call.session = {session, 1, false};
  nodes_.at(leader).group->Propose("once", call, [&](ProposalResult r) { first = std::move(r); });
  ASSERT_TRUE(Await([&] { return first.has_value(); }));
  Propose(leader, 60);
  for (uint64_t node = 1; node <= 3; ++node) {
    ASSERT_TRUE(Await([&] { return Status(node).first_index > 20; })) << node;
  }
  for (uint64_t node = 1; node <= 3; ++node) Stop(node);
  for (uint64_t node = 1; node <= 3; ++node) Start(node);
  leader = Leader();
  nodes_.at(leader).group->Propose("once", call, [&](ProposalResult r) { again = std::move(r); });
  ASSERT_TRUE(Await([&] { return again.has_value(); }));
  const auto& answer = std::get<ProposalApplied>(*again);
  EXPECT_TRUE(answer.duplicate);
  EXPECT_EQ(answer.reply, std::get<ProposalApplied>(*first).reply);
}

TEST_P(SnapshotClusterTest, ASnapshotOnDemand) {
  const uint64_t leader = Leader();
  Propose(leader, 3);
  std::optional<absl::StatusOr<LogPosition>> taken;
  nodes_.at(leader).group->Snapshot(
      [&](const absl::StatusOr<LogPosition>& position) { taken = position; });
  ASSERT_TRUE(Await([&] { return taken.has_value(); }));
  ASSERT_TRUE(taken->ok()) << taken->status();
  EXPECT_EQ((*taken)->index, Status(leader).applied_index);
}

INSTANTIATE_TEST_SUITE_P(Machines, SnapshotClusterTest,
                         testing::Values(Kind{"Memory",
                                              [](std::string* commands) {
                                                return std::make_unique<TextMachine>(commands);
                                              }},
                                         Kind{"Durable",
                                              [](std::string* commands) {
                                                return std::make_unique<FileMachine>(commands);
                                              }}),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace cairn
