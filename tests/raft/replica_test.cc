#include "raft/replica.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/raft/call_log.h"
#include "tests/raft/records.h"

namespace cairn {
namespace {

using Strings = std::vector<std::string>;

// Writes down what it is given. May hold state from before, and restore sessions with it.
class RecordingMachine final : public StateMachine {
 public:
  struct Journal {
    Strings applied;  // "index: command @ time"
    std::vector<size_t> batches;
    Strings up_to;  // "index @ time"
    LogPosition held;
    std::string saved_sessions;  // restored at Open if not empty
  };
  explicit RecordingMachine(Journal* journal) : journal_(journal) {}

  absl::StatusOr<LogPosition> Open(const OpenContext& context) override {
    sessions_ = context.archive;
    if (!journal_->saved_sessions.empty()) {
      absl::Status status = sessions_->Restore(journal_->saved_sessions);
      if (!status.ok()) return status;
    }
    return journal_->held;
  }
  void Apply(ApplyBatch& batch) override {
    journal_->batches.push_back(batch.size());
    for (ApplyEntry& entry : batch) {
      journal_->applied.push_back(std::to_string(entry.position().index) + ": " +
                                  std::string(entry.command().view()) + " @ " +
                                  std::to_string(entry.time().nanoseconds));
      if (entry.command().view() != "silent") {
        entry.Reply("reply " + std::to_string(entry.position().index));
      }
    }
  }
  void AppliedUpTo(LogPosition position, WallTime time) override {
    journal_->up_to.push_back(ToString(position) + " @ " + std::to_string(time.nanoseconds));
    last_save = sessions_->Save();
  }

  std::string last_save;

 private:
  Journal* const journal_;
  ReplicaArchive* sessions_ = nullptr;
};

// Makes runs entry by entry.
class LogMaker {
 public:
  LogMaker& Add(EntryType type, const std::string& payload, SessionCall call = {},
                int64_t time = 0) {
    if (builder_ == nullptr) {
      builder_ = std::make_unique<RecordRunBuilder>(kTestGroup, last_, last_hash_);
    }
    builder_->Add(PreparedEntry::Make(type, payload, call), 1, WallTime{time});
    return *this;
  }
  LogMaker& Command(const std::string& payload, SessionCall call = {}, int64_t time = 0) {
    return Add(EntryType::kCommand, payload, call, time);
  }
  RecordRun Take() {
    RecordRun run = std::move(*builder_).Build();
    builder_.reset();
    last_ = run.last();
    last_hash_ = run.last_hash();
    return run;
  }

 private:
  LogPosition last_;
  EntryHash last_hash_;
  std::unique_ptr<RecordRunBuilder> builder_;
};

class ReplicaTest : public ::testing::Test {
 protected:
  std::unique_ptr<Replica> Make() {
    auto machine = std::make_unique<RecordingMachine>(&journal_);
    machine_ = machine.get();
    auto replica = std::make_unique<Replica>(std::move(machine), 10);
    EXPECT_TRUE(replica->Open({.group = kTestGroup}).ok());
    return replica;
  }
  Strings Apply(Replica& replica, const RecordRun& run) {
    std::vector<ProposalResult> results;
    replica.Apply(run, &results);
    replica.Announce();
    Strings texts;
    for (const ProposalResult& result : results) texts.push_back(Describe(result));
    return texts;
  }

  RecordingMachine::Journal journal_;
  RecordingMachine* machine_ = nullptr;
  LogMaker log_;
};

TEST_F(ReplicaTest, CommandsGoToTheMachineInOneBatchARun) {
  auto replica = Make();
  RecordRun run = log_.Add(EntryType::kNoop, "")
                      .Command("a", {}, 5)
                      .Command("silent", {}, 6)
                      .Add(EntryType::kClock, "", {}, 9)
                      .Command("b", {}, 7)
                      .Take();
  EXPECT_EQ(Apply(*replica, run), (Strings{"applied 1/1", "applied 2/1 reply 2", "applied 3/1",
                                           "applied 4/1", "applied 5/1 reply 5"}));
  // The time never falls.
  EXPECT_EQ(journal_.applied, (Strings{"2: a @ 5", "3: silent @ 6", "5: b @ 9"}));
  EXPECT_EQ(journal_.batches, std::vector<size_t>{3});
  EXPECT_EQ(journal_.up_to, Strings{"5/1 @ 9"});
  EXPECT_EQ(replica->applied(), (LogPosition{5, 1}));
}

TEST_F(ReplicaTest, ASessionDecidesWhatReachesTheMachine) {
  auto replica = Make();
  Apply(*replica, log_.Add(EntryType::kOpenSession, "client").Take());
  EXPECT_EQ(replica->sessions(), 1u);
  EXPECT_EQ(Apply(*replica, log_.Command("a", {1, 1}).Take()), Strings{"applied 2/1 reply 2"});
  EXPECT_EQ(Apply(*replica, log_.Command("a", {1, 1})
                                .Command("b", {1, 1})
                                .Command("c", {7, 1})
                                .Command("d", {1, 5, true})
                                .Command("e", {1, 2, true})
                                .Add(EntryType::kCloseSession, "", {1, 0})
                                .Add(EntryType::kCloseSession, "", {1, 0})
                                .Command("f", {1, 3})
                                .Take()),
            (Strings{"applied 2/1 again reply 2", "SESSION_NUMBER_REUSED", "SESSION_EXPIRED",
                     "SESSION_GAP", "applied 7/1 reply 7", "applied 8/1", "SESSION_EXPIRED",
                     "SESSION_EXPIRED"}));
  EXPECT_EQ(journal_.applied, (Strings{"2: a @ 0", "7: e @ 0"}));
}

// The answer of the first try is not there yet when the second one is looked at.
TEST_F(ReplicaTest, ARetryInTheSameRunGetsTheFirstAnswer) {
  auto replica = Make();
  EXPECT_EQ(Apply(*replica, log_.Add(EntryType::kOpenSession, "client")
                                .Command("a", {1, 1})
                                .Command("x")
                                .Command("a", {1, 1})
                                .Command("y")
                                .Take()),
            (Strings{"applied 1/1", "applied 2/1 reply 2", "applied 3/1 reply 3",
                     "applied 2/1 again reply 2", "applied 5/1 reply 5"}));
  EXPECT_EQ(journal_.batches, (std::vector<size_t>{2, 1}));
}

TEST_F(ReplicaTest, NobodyWaitsNobodyIsAnswered) {
  auto replica = Make();
  replica->Apply(log_.Add(EntryType::kOpenSession, "").Command("a", {1, 1}).Take(), nullptr);
  EXPECT_EQ(Apply(*replica, log_.Command("a", {1, 1}).Take()),
            Strings{"applied 2/1 again reply 2"});
}

TEST_F(ReplicaTest, AMachineThatKeepsItsStateKeepsTheSessions) {
  RecordRun first = log_.Add(EntryType::kOpenSession, "").Command("a", {1, 1}, 50).Take();
  RecordRun second = log_.Command("a", {1, 1}, 20).Command("b", {1, 2}, 20).Take();
  auto before = Make();
  Apply(*before, first);
  journal_.saved_sessions = machine_->last_save;
  journal_.held = {2, 1};
  journal_.applied.clear();
  auto replica = Make();
  EXPECT_EQ(replica->applied(), (LogPosition{2, 1}));
  EXPECT_EQ(Apply(*replica, second), (Strings{"applied 2/1 again reply 2", "applied 4/1 reply 4"}));
  EXPECT_EQ(journal_.applied, Strings{"4: b @ 50"});  // the time was kept, too
}

TEST_F(ReplicaTest, WithoutTheSessionsTheyAreTakenFromTheLog) {
  RecordRun first = log_.Add(EntryType::kOpenSession, "").Command("a", {1, 1}, 50).Take();
  RecordRun second = log_.Command("a", {1, 1}).Command("b", {1, 2}).Command("x", {1, 1}).Take();
  journal_.held = {2, 1};
  auto replica = Make();
  EXPECT_EQ(replica->applied(), LogPosition());
  EXPECT_EQ(replica->machine_position(), (LogPosition{2, 1}));
  Apply(*replica, first);
  EXPECT_EQ(journal_.applied, Strings{});
  EXPECT_EQ(journal_.up_to, Strings{});
  // Not applied again, and no answer is made up.
  EXPECT_EQ(Apply(*replica, second),
            (Strings{"SESSION_NUMBER_TOO_OLD", "applied 4/1 reply 4", "SESSION_NUMBER_REUSED"}));
  EXPECT_EQ(journal_.applied, Strings{"4: b @ 50"});
}

TEST_F(ReplicaTest, DamagedSessionsAreNotRestored) {
  journal_.saved_sessions = "nonsense";
  Replica replica(std::make_unique<RecordingMachine>(&journal_), 10);
  EXPECT_TRUE(absl::IsDataLoss(replica.Open({.group = kTestGroup})));
}

TEST_F(ReplicaTest, TheArchiveHoldsTheConfiguration) {
  Replica replica(std::make_unique<RecordingMachine>(&journal_), 10);
  ASSERT_TRUE(replica.Open({.group = kTestGroup}).ok());
  RecordRunBuilder builder(kTestGroup, {}, {});
  builder.Add(PreparedEntry::Make(EntryType::kConfiguration, "members"), 3, WallTime{70});
  builder.Add(PreparedEntry::Make(EntryType::kNoop, ""), 4, WallTime{60});
  replica.Apply(std::move(builder).Build(), nullptr);
  EXPECT_EQ(replica.configuration_at(), (LogPosition{1, 3}));
  EXPECT_EQ(replica.Freeze().has_value(), false) << "the machine has no snapshots";
  Replica other(std::make_unique<RecordingMachine>(&journal_), 10);
  ASSERT_TRUE(other.Restore(replica.Save()).ok());
  EXPECT_EQ(other.configuration_at(), (LogPosition{1, 3}));
  EXPECT_EQ(other.configuration(), "members");
  EXPECT_EQ(other.Save(), replica.Save());
}

}  // namespace
}  // namespace cairn
