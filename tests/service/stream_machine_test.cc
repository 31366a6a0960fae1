#include "service/stream_machine.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/raft/manual_executor.h"

namespace cairn {
namespace {

struct Message {
  uint64_t sequence = 0;
  Index index = 0;
  std::string subject;
  std::string payload;
  friend bool operator==(const Message&, const Message&) = default;
};

class StreamMachineTest : public testing::Test {
 protected:
  StreamMachineTest() { OpenMachine(file_system_); }

  void OpenMachine(SimulatedFileSystem& file_system) {
    machine_ = std::make_unique<StreamMachine>(std::make_unique<ManualExecutor>(&world_));
    OpenContext context;
    context.group = GroupId::kDefault;
    context.file_system = &file_system;
    context.directory = "/machine";
    ASSERT_TRUE(file_system.MakeDirectory(context.directory).ok());
    absl::StatusOr<LogPosition> position = machine_->Open(context);
    ASSERT_TRUE(position.ok()) << position.status();
    last_ = position->index;
  }

  ApplyEntry Entry(std::string command) {
    ++last_;
    return ApplyEntry({last_, 1}, WallTime{static_cast<int64_t>(1000 * last_)},
                      Bytes::Take(std::move(command)));
  }
  StreamReply ApplyCommand(std::string command) {
    std::vector<ApplyEntry> entries;
    entries.push_back(Entry(std::move(command)));
    ApplyBatch batch(std::move(entries));
    machine_->Apply(batch);
    machine_->AppliedUpTo({last_, 1}, WallTime{});
    return DecodeReply(batch.begin()->reply()).value();
  }
  // An entry that reaches the log and not the machine: a no-op, a repeated call.
  void Skip() { machine_->AppliedUpTo({++last_, 1}, WallTime{}); }

  StreamReply Create(const std::string& name, std::vector<std::string> subjects = {}) {
    return ApplyCommand(EncodeCreateStream({name, std::move(subjects)}));
  }

  static std::string AppendOf(const std::string& stream, const std::vector<std::string>& payloads,
                              const std::string& subject = "",
                              std::optional<uint64_t> expected = std::nullopt) {
    AppendCommandBuilder builder(stream, expected, 0);
    for (const std::string& payload : payloads) builder.Add(subject, {}, payload);
    return std::move(builder).Build();
  }
  StreamReply Append(const std::string& stream, const std::vector<std::string>& payloads,
                     const std::string& subject = "",
                     std::optional<uint64_t> expected = std::nullopt) {
    return ApplyCommand(AppendOf(stream, payloads, subject, expected));
  }

  std::vector<Message> Read(const std::string& stream, uint64_t from, size_t most = SIZE_MAX) {
    std::vector<Message> messages;
    absl::StatusOr<StreamMachine::ReadEnd> end =
        machine_->Read(stream, from, SIZE_MAX, [&messages, most](const StoredMessageView& view) {
          if (messages.size() == most) return false;
          messages.push_back({view.sequence, view.at.index, std::string(view.subject),
                              std::string(view.message.payload)});
          return true;
        });
    EXPECT_TRUE(end.ok()) << end.status();
    if (end.ok() && !messages.empty()) {
      EXPECT_EQ(end->next_sequence, messages.back().sequence + 1);
    }
    return messages;
  }

  SimulatedFileSystem file_system_;
  ManualWorld world_;
  std::unique_ptr<StreamMachine> machine_;
  Index last_ = 0;
};

TEST_F(StreamMachineTest, SequencesCountFromOne) {
  EXPECT_TRUE(std::get<CreatedReply>(Create("orders")).created);
  EXPECT_EQ(std::get<AppendedReply>(Append("orders", {"a", "b"})).last_sequence, 2u);
  AppendedReply reply = std::get<AppendedReply>(Append("orders", {"c"}));
  EXPECT_EQ(reply.first_sequence, 3u);
  EXPECT_EQ(reply.time, WallTime{3000});
  EXPECT_EQ(
      Read("orders", 0),
      (std::vector<Message>{{1, 2, "orders", "a"}, {2, 2, "orders", "b"}, {3, 3, "orders", "c"}}));
  EXPECT_EQ(Read("orders", 2, 1), (std::vector<Message>{{2, 2, "orders", "b"}}));
  StreamState state = machine_->Find("orders")->state;
  EXPECT_EQ(state.messages, 3u);
  EXPECT_EQ(state.bytes, 3u + 3 * 6);
  EXPECT_EQ(state.create_time, WallTime{1000});
  EXPECT_EQ(state.last_time, WallTime{3000});
}

TEST_F(StreamMachineTest, CreatingTwiceIsFineIfItIsTheSame) {
  Create("s", {"a.>"});
  Append("s", {"x"}, "a.b");
  CreatedReply again = std::get<CreatedReply>(Create("s", {"a.>"}));
  EXPECT_FALSE(again.created);
  EXPECT_EQ(again.state.last_sequence, 1u);
  EXPECT_EQ(std::get<RefusedReply>(Create("s", {"b"})).reason, RefusedReply::Reason::kStreamExists);
}

TEST_F(StreamMachineTest, RefusesAndChangesNothing) {
  using Reason = RefusedReply::Reason;
  EXPECT_EQ(std::get<RefusedReply>(Append("none", {"x"})).reason, Reason::kStreamNotFound);
  Create("s", {"a.*", "b"});
  EXPECT_EQ(std::get<RefusedReply>(Append("s", {"x"})).reason, Reason::kSubjectNotTaken);
  RefusedReply refused = std::get<RefusedReply>(Append("s", {"x"}, "c.d"));
  EXPECT_EQ(refused.reason, Reason::kSubjectNotTaken);
  EXPECT_EQ(refused.subject, "c.d");
  EXPECT_EQ(std::get<RefusedReply>(ApplyCommand("nonsense")).reason, Reason::kBadCommand);
  EXPECT_EQ(machine_->Find("s")->state.messages, 0u);
  EXPECT_TRUE(Read("s", 1).empty());
  EXPECT_EQ(std::get<AppendedReply>(Append("s", {"x"}, "a.1")).first_sequence, 1u);
}

TEST_F(StreamMachineTest, ExpectedSequenceDecidesAmongWriters) {
  Create("s");
  EXPECT_TRUE(std::holds_alternative<AppendedReply>(Append("s", {"x", "y"}, "", 0)));
  RefusedReply conflict = std::get<RefusedReply>(Append("s", {"z"}, "", 0));
  EXPECT_EQ(conflict.reason, RefusedReply::Reason::kConflict);
  EXPECT_EQ(conflict.actual_sequence, 2u);
  EXPECT_TRUE(std::holds_alternative<AppendedReply>(Append("s", {"z"}, "", 2)));
}

// A refused append, and what the session table kept from the machine, is not counted.
TEST_F(StreamMachineTest, ReadersSkipWhatWasNotApplied) {
  Create("s");
  Append("s", {"a"});
  Append("s", {"refused"}, "", 99);
  Skip();
  Skip();
  Append("s", {"b"});
  EXPECT_EQ(Read("s", 0), (std::vector<Message>{{1, 2, "s", "a"}, {2, 6, "s", "b"}}));
}

TEST_F(StreamMachineTest, EveryMessageIsFoundAmongManyStreams) {
  Random random(5);
  const std::vector<std::string> names = {"busy", "calm", "rare"};
  std::map<std::string, std::vector<Message>> expected;
  for (const std::string& name : names) Create(name);
  for (int i = 0; i < 12'000; ++i) {
    std::string name = random.OneIn(3000) ? "rare" : random.OneIn(40) ? "calm" : "busy";
    if (random.OneIn(50)) Skip();
    std::vector<std::string> payloads;
    for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
      payloads.push_back(absl::StrCat(name, i, "-", n));
    }
    Append(name, payloads);
    for (const std::string& payload : payloads) {
      expected[name].push_back({expected[name].size() + 1, last_, name, payload});
    }
  }
  for (const std::string& name : names) EXPECT_EQ(Read(name, 0), expected[name]) << name;
  for (int i = 0; i < 500; ++i) {
    const std::string& name = names[random.Below(names.size())];
    if (expected[name].empty()) continue;
    uint64_t from = 1 + random.Below(expected[name].size());
    ASSERT_EQ(Read(name, from, 1), (std::vector<Message>{expected[name][from - 1]}));
  }
}

// One message costs about as much as any other, however far in the stream and however far apart.
TEST_F(StreamMachineTest, AReadTouchesAPageOrTwo) {
  Create("s");
  Create("other");
  Append("other", {"first"});
  for (int i = 0; i < 20'000; ++i) {
    Append("s", {std::string(400, 'x')});
    if (i % 5000 == 0) Append("other", {"again"});
  }
  world_.RunReady();
  uint64_t reads = 0;
  file_system_.set_fault_hook([&reads](const FileAccess& access) {
    if (access.operation == FileAccess::Operation::kRead) ++reads;
    return FileFault();
  });
  Random random(3);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(Read("s", 1 + random.Below(10'000), 1).size(), 1u);
  EXPECT_GT(reads, 40u);  // they do come from the disk
  EXPECT_LE(reads, 100u + 2);
  reads = 0;
  EXPECT_EQ(Read("other", 1).size(), 5u);
  EXPECT_LE(reads, 12u);
}

TEST_F(StreamMachineTest, ReadsEndWhereTheStreamDoes) {
  Create("s");
  Append("s", {"a"});
  auto read = [this](absl::string_view stream, uint64_t from) {
    return machine_->Read(stream, from, SIZE_MAX, [](const StoredMessageView&) { return true; });
  };
  EXPECT_EQ(read("s", 2)->next_sequence, 2u);
  EXPECT_EQ(read("s", 3).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(read("t", 1).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StreamMachineTest, ALimitedReadSaysWhereToGoOn) {
  Create("s");
  for (int i = 0; i < 1000; ++i) Append("s", {std::string(1000, 'x')});
  uint64_t visited = 0;
  auto end = machine_->Read("s", 1, 50'000, [&visited](const StoredMessageView&) {
    ++visited;
    return true;
  });
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->next_sequence, visited + 1);
  EXPECT_EQ(end->last_sequence, 1000u);
  EXPECT_LT(visited, 1000u);
  EXPECT_GE(visited, 40u);
}

TEST_F(StreamMachineTest, WatchesAreCalledOncePerBatchUntilTheirEnd) {
  EXPECT_EQ(machine_->WatchAppends("s", [] {}), nullptr);
  Create("s");
  Create("t");
  int called = 0;
  auto watch = machine_->WatchAppends("s", [&called] { ++called; });
  Append("s", {"a"});
  EXPECT_EQ(called, 1);
  Append("t", {"a"});
  Append("s", {"a"}, "", 99);
  EXPECT_EQ(called, 1);
  std::vector<ApplyEntry> entries;
  for (int i = 0; i < 5; ++i) entries.push_back(Entry(AppendOf("s", {"b"})));
  ApplyBatch batch(std::move(entries));
  machine_->Apply(batch);
  EXPECT_EQ(called, 1);
  machine_->AppliedUpTo({last_, 1}, WallTime{});
  EXPECT_EQ(called, 2);
  watch.reset();
  Append("s", {"c"});
  EXPECT_EQ(called, 2);
}

TEST_F(StreamMachineTest, ListsByNameInPages) {
  for (const char* name : {"c", "a", "b"}) Create(name);
  EXPECT_EQ(machine_->List("", 2).size(), 2u);
  EXPECT_EQ(machine_->List("", 2)[0].definition.name, "a");
  EXPECT_EQ(machine_->List("b", 10)[0].definition.name, "c");
  EXPECT_TRUE(machine_->List("c", 10).empty());
}

// The snapshot of one machine, saved into files of another's disk.
class SavedSnapshot final : public SnapshotReader {
 public:
  SavedSnapshot(const SnapshotSource& source, SimulatedFileSystem& file_system)
      : file_system_(file_system), files_(source.files()) {
    EXPECT_TRUE(file_system.MakeDirectory("/snapshot").ok());
    for (size_t i = 0; i < files_.size(); ++i) {
      std::string content = source.Read(i, 0, files_[i].bytes).value();
      EXPECT_TRUE(WriteFileAtomically(file_system, PathOf(i), content).ok());
    }
  }
  const std::vector<SnapshotFile>& files() const override { return files_; }
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override {
    absl::StatusOr<std::string> whole = ReadWholeFile(file_system_, PathOf(file));
    if (!whole.ok()) return whole.status();
    return whole->substr(offset, bytes);
  }
  std::string PathOf(size_t file) const override {
    return absl::StrCat("/snapshot/", files_[file].name);
  }

 private:
  SimulatedFileSystem& file_system_;
  const std::vector<SnapshotFile> files_;
};

TEST_F(StreamMachineTest, ASnapshotMakesTheSameStreamsElsewhere) {
  Create("s", {"s.>"});
  Create("t");
  for (int i = 0; i < 300; ++i) Append("s", {std::string(300, 'a'), absl::StrCat(i)}, "s.x");
  Append("t", {"t"});
  std::unique_ptr<SnapshotSource> frozen = machine_->Freeze();
  const Index position = last_;
  Append("t", {"not in the snapshot"});
  const std::vector<Message> s = Read("s", 0);
  std::unique_ptr<StreamMachine> source = std::move(machine_);

  SimulatedFileSystem other;
  OpenMachine(other);
  Create("s", {"s.>"});
  int called = 0;
  auto watch = machine_->WatchAppends("s", [&called] { ++called; });
  SavedSnapshot saved(*frozen, other);
  absl::Status restored = machine_->Restore(saved, {position, 1});
  ASSERT_TRUE(restored.ok()) << restored;
  last_ = position;
  EXPECT_EQ(called, 1);
  EXPECT_EQ(machine_->applied_index(), position);
  EXPECT_EQ(Read("s", 0), s);
  EXPECT_EQ(Read("t", 0).size(), 1u);
  EXPECT_EQ(std::get<RefusedReply>(Append("s", {"x"}, "t")).reason,
            RefusedReply::Reason::kSubjectNotTaken);
  EXPECT_EQ(std::get<AppendedReply>(Append("s", {"x"}, "s.y")).first_sequence, 601u);
  EXPECT_EQ(called, 2);

  // And it is what the next start finds.
  watch.reset();
  OpenMachine(other);
  EXPECT_EQ(last_, position);
  EXPECT_EQ(Read("s", 0), s);
}

TEST_F(StreamMachineTest, AStartFindsWhatTheLastCheckpointHolds) {
  Create("s");
  for (int i = 0; i < 70; ++i) Append("s", {std::string(size_t{1} << 20, 'x')});
  world_.RunReady();
  const StreamState before = machine_->Find("s")->state;
  const Index applied = last_;
  OpenMachine(file_system_);
  EXPECT_GT(last_, 60u);
  EXPECT_LE(last_, applied);
  EXPECT_EQ(machine_->Find("s")->state.last_sequence, last_ - 1);
  while (last_ < applied) Append("s", {std::string(size_t{1} << 20, 'x')});
  EXPECT_EQ(machine_->Find("s")->state, before);
}

TEST_F(StreamMachineTest, AReadEndsBeforeADamagedMessageAndGoesOnBehindIt) {
  Create("s");
  for (int i = 0; i < 300; ++i) Append("s", {std::string(size_t{256} << 10, 'x')});
  world_.RunReady();
  OpenMachine(file_system_);  // nothing is in memory
  file_system_.FlipBits("/machine/00000001-00000001.block", size_t{10} << 20, 1);
  uint64_t visited = 0;
  auto visit = [&visited](const StoredMessageView&) {
    ++visited;
    return true;
  };
  auto end = machine_->Read("s", 1, SIZE_MAX, visit);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(visited, 39u);
  EXPECT_EQ(end->next_sequence, 40u);
  end = machine_->Read("s", 40, SIZE_MAX, visit);
  EXPECT_EQ(end.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(end.status().message(), "/machine/00000001-00000001.block"));
  end = machine_->Read("s", 41, SIZE_MAX, visit);
  ASSERT_TRUE(end.ok()) << end.status();
  EXPECT_EQ(end->next_sequence, end->last_sequence + 1);
}

}  // namespace
}  // namespace cairn
