#include "tests/sim/sim_network.h"

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"

namespace cairn::sim {
namespace {

constexpr NodeId kOne = static_cast<NodeId>(1);
constexpr NodeId kTwo = static_cast<NodeId>(2);

Envelope Numbered(NodeId from, NodeId to, uint64_t number) {
  Envelope envelope;
  envelope.group = GroupId::kDefault;
  envelope.from = from;
  envelope.to = to;
  envelope.body = MessageBody(HeartbeatReply{.term = 1, .context = number});
  return envelope;
}

class SimNetworkTest : public ::testing::Test {
 protected:
  void Build(const NetworkOptions& options) {
    network_ = std::make_unique<SimNetwork>(events_, log_, counters_, 7, options);
    one_ = network_->MakeTransport(kOne);
    one_->Start({[](Envelope) {}, [this](NodeId peer) { lost_.push_back(peer); }});
    StartTwo();
  }
  void StartTwo() {
    two_ = network_->MakeTransport(kTwo);
    two_->Start(
        {[this](Envelope envelope) { received_.push_back(std::move(envelope)); }, [](NodeId) {}});
  }
  void SendMany(int count) {
    for (int i = 0; i < count; ++i) one_->Send(Numbered(kOne, kTwo, static_cast<uint64_t>(i)));
    while (events_.RunNext()) {
    }
  }
  static uint64_t NumberOf(const Envelope& envelope) {
    return std::get<HeartbeatReply>(std::get<MessageBody>(envelope.body)).context;
  }
  bool ReceivedInOrder() const {
    for (size_t i = 1; i < received_.size(); ++i) {
      if (NumberOf(received_[i]) < NumberOf(received_[i - 1])) return false;
    }
    return true;
  }

  EventQueue events_;
  EventLog log_{events_, nullptr};
  Counters counters_;
  std::unique_ptr<SimNetwork> network_;
  std::unique_ptr<Transport> one_;
  std::unique_ptr<Transport> two_;
  std::vector<Envelope> received_;
  std::vector<NodeId> lost_;
};

TEST_F(SimNetworkTest, DeliversInOrderUnlessAskedNotTo) {
  Build({.slow = 300, .ordered = true});
  SendMany(100);
  EXPECT_EQ(received_.size(), 100u);
  EXPECT_TRUE(ReceivedInOrder());
  EXPECT_TRUE(lost_.empty());
}

TEST_F(SimNetworkTest, EnvelopesOvertakeEachOther) {
  Build({.ordered = false});
  SendMany(100);
  EXPECT_EQ(received_.size(), 100u);
  EXPECT_FALSE(ReceivedInOrder());
}

TEST_F(SimNetworkTest, LosesAndTellsTheSender) {
  Build({.loss = 300, .noticed_losses = 1000});
  SendMany(200);
  EXPECT_LT(received_.size(), 200u);
  EXPECT_GT(received_.size(), 50u);
  EXPECT_EQ(received_.size() + lost_.size(), 200u);
}

TEST_F(SimNetworkTest, DuplicatesAndReplays) {
  Build({.duplicates = 500, .replays = 500});
  SendMany(200);
  EXPECT_GT(received_.size(), 300u);
  EXPECT_GT(counters_.Get("network: old envelope replayed"), 0u);
}

TEST_F(SimNetworkTest, BlocksOneWayAndCountsBlocks) {
  Build({.noticed_losses = 0});
  network_->Block(kOne, kTwo);
  network_->Block(kOne, kTwo);
  network_->Block(kTwo, kOne);
  network_->Unblock(kOne, kTwo);
  SendMany(3);
  EXPECT_TRUE(received_.empty());
  network_->Unblock(kOne, kTwo);
  SendMany(3);
  EXPECT_EQ(received_.size(), 3u);
}

TEST_F(SimNetworkTest, LinksAreBounded) {
  Build({.link_capacity = 5, .noticed_losses = 1000});
  SendMany(20);
  EXPECT_EQ(received_.size(), 5u);
  EXPECT_EQ(lost_.size(), 15u);
}

TEST_F(SimNetworkTest, NewProcessHearsWhatWasSentToTheOldOne) {
  Build({});
  one_->Send(Numbered(kOne, kTwo, 1));
  std::unique_ptr<Transport> old = std::move(two_);
  StartTwo();
  old->Stop();  // no longer his
  SendMany(0);
  EXPECT_EQ(received_.size(), 1u);
  network_->CutOff(kTwo);
  SendMany(1);
  EXPECT_EQ(received_.size(), 1u);
}

TEST_F(SimNetworkTest, WireCopySharesNothing) {
  Envelope envelope = Numbered(kOne, kTwo, 1);
  AppendEntries append{
      .term = 3, .previous = {}, .runs = {{3, 1}}, .configurations = {}, .commit = 0};
  envelope.body = MessageBody(append);
  RecordRunBuilder builder(GroupId::kDefault, {}, {});
  builder.Add(PreparedEntry::Make(EntryType::kCommand, "payload"), 3, {});
  envelope.entries.push_back(std::move(builder).Build());
  Envelope copy = WireCopy(envelope);
  const auto& copied = std::get<AppendEntries>(std::get<MessageBody>(copy.body));
  EXPECT_TRUE(copied.runs.empty());
  ASSERT_EQ(copy.entries.size(), 1u);
  EXPECT_EQ(copy.entries[0].bytes(), envelope.entries[0].bytes());
  EXPECT_NE(copy.entries[0].bytes().data(), envelope.entries[0].bytes().data());
}

}  // namespace
}  // namespace cairn::sim
