#include "service/grpc_transport.h"

#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "gtest/gtest.h"
#include "raft/sender_check.h"
#include "service/peer_service.h"
#include "storage/record.h"
#include "tests/service/random_envelope.h"

namespace cairn {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
// Nodes up to this one are listened to without further ado.
constexpr NodeId kOpenTo = NodeId{2};

ClusterId Cluster(uint8_t byte) {
  ClusterId cluster;
  cluster.bytes.fill(byte);
  return cluster;
}

class RecordingSink final : public LogSink {
 public:
  void Log(LogLevel, absl::string_view text) override {
    MutexLock lock(mutex_);
    absl::StrAppend(&text_, text, "\n");
  }
  std::string text() {
    MutexLock lock(mutex_);
    return text_;
  }

 private:
  Mutex mutex_;
  std::string text_ CAIRN_GUARDED_BY(mutex_);
};

// A node's transport with its server, and what it received.
class TestNode {
 public:
  TestNode(uint64_t id, ClusterId cluster) : id_(id), cluster_(cluster) {
    GrpcTransportOptions options;
    options.cluster = cluster;
    options.node = NodeId{id};
    options.incarnation = Incarnation{77};
    options.max_queued_bytes = size_t{1} << 20;
    options.log = &sink_;
    options.executor = &executor_;
    options.clock = &clock_;
    transport_ = std::make_unique<GrpcTransport>(options);
    Serve(0);
    transport_->Start({[this](Envelope envelope) {
                         MutexLock lock(mutex_);
                         const Lane lane = LaneOf(envelope);
                         while (lane == Lane::kAppend && holds_appends_) changed_.Wait(mutex_);
                         received_.push_back(std::move(envelope));
                         changed_.NotifyAll();
                       },
                       [this](NodeId) {
                         std::function<void()> on_lost;
                         {
                           MutexLock lock(mutex_);
                           ++lost_;
                           changed_.NotifyAll();
                           on_lost = on_lost_;
                         }
                         if (on_lost != nullptr) on_lost();
                       }});
  }
  ~TestNode() {
    transport_->Stop();
    StopServing();
  }

  void Serve(int port) {
    PeerServiceOptions options;
    options.listener = {cluster_, NodeId{id_}, [this](NodeId node, const auto* introduced) {
                          const Standing standing = transport_->Hear(
                              node, introduced, [this](NodeId, const Introduction& introduction) {
                                MutexLock lock(mutex_);
                                return introduction.at.index > believes_behind_;
                              });
                          return NodeId{node} > kOpenTo ? standing : Standing::kPeer;
                        }};
    options.listener.vet = [this](const Envelope&) {
      MutexLock lock(mutex_);
      return refusal_;
    };
    options.deliver = [this](Envelope envelope) { transport_->Deliver(std::move(envelope)); };
    options.log = &sink_;
    options.by_sender = &transport_->sender_calls();
    calls_ = std::make_unique<CallRegistry>();
    options.calls = calls_.get();
    service_ = MakePeerService(std::move(options));
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }
  void StopServing() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }
  // Waits for the calls of peers, which end because they are told to.
  void StopServingInOrder() {
    calls_->Stop();
    server_->Shutdown();
    server_.reset();
  }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int port() const { return port_; }
  GrpcTransport& transport() { return *transport_; }
  std::string log() { return sink_.text(); }

  // It believes introductions by configurations behind `index` only.
  void BelieveBehind(Index index) {
    MutexLock lock(mutex_);
    believes_behind_ = index;
  }

  // It takes no entries for as long as this holds.
  void HoldAppends(bool holds) {
    MutexLock lock(mutex_);
    holds_appends_ = holds;
    changed_.NotifyAll();
  }

  // What it answers to every envelope from now on.
  void Refuse(absl::Status refusal) {
    MutexLock lock(mutex_);
    refusal_ = std::move(refusal);
  }

  // Also done whenever something was lost, from now on.
  void OnLost(std::function<void()> on_lost) {
    MutexLock lock(mutex_);
    on_lost_ = std::move(on_lost);
  }

  // Waits until `holds` of what was received and how often something was lost.
  bool Await(const std::function<bool(const std::vector<Envelope>&, int lost)>& holds) {
    MutexLock lock(mutex_);
    while (!holds(received_, lost_)) {
      if (!changed_.WaitFor(mutex_, kPatience)) return holds(received_, lost_);
    }
    return true;
  }
  std::vector<Envelope> received() {
    MutexLock lock(mutex_);
    return received_;
  }

 private:
  const uint64_t id_;
  const ClusterId cluster_;
  RecordingSink sink_;
  SystemClock clock_;
  ThreadExecutor executor_{clock_, "transport"};
  int port_ = 0;
  std::unique_ptr<GrpcTransport> transport_;
  std::unique_ptr<CallRegistry> calls_;
  std::unique_ptr<grpc::Service> service_;
  std::unique_ptr<grpc::Server> server_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<Envelope> received_ CAIRN_GUARDED_BY(mutex_);
  int lost_ CAIRN_GUARDED_BY(mutex_) = 0;
  bool holds_appends_ CAIRN_GUARDED_BY(mutex_) = false;
  std::function<void()> on_lost_ CAIRN_GUARDED_BY(mutex_);
  absl::Status refusal_ CAIRN_GUARDED_BY(mutex_);
  Index believes_behind_ CAIRN_GUARDED_BY(mutex_) = 0;
};

Envelope HeartbeatOf(Index commit, uint64_t from = 1, uint64_t to = 2) {
  Envelope envelope;
  envelope.cluster = Cluster(7);
  envelope.group = GroupId::kDefault;
  envelope.from = NodeId{from};
  envelope.to = NodeId{to};
  envelope.from_incarnation = Incarnation{77};
  envelope.body = MessageBody(Heartbeat{3, commit, 9});
  return envelope;
}

Envelope AppendOf(Index previous, size_t payload_bytes) {
  Envelope envelope = HeartbeatOf(0);
  RecordRunBuilder builder(envelope.group, {previous, 2}, {});
  builder.Add(PreparedEntry::Make(EntryType::kCommand, std::string(payload_bytes, 'x')), 2, {});
  envelope.entries = {std::move(builder).Build()};
  envelope.body = MessageBody(AppendEntries{3, {previous, 2}, {}, {}, 0});
  return envelope;
}

Index CommitOf(const Envelope& envelope) {
  return std::get<Heartbeat>(std::get<MessageBody>(envelope.body)).commit;
}

void Connect(TestNode& a, TestNode& b) {
  a.transport().SetPeer(NodeId{2}, b.address());
  b.transport().SetPeer(NodeId{1}, a.address());
}

TEST(GrpcTransportTest, EnvelopesArriveInOrderOnEachLane) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Connect(a, b);
  // While nobody listens little is kept, so the flood begins when both lanes are open.
  a.transport().Send(HeartbeatOf(1));
  a.transport().Send(AppendOf(1, 1000));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 2; }));
  const Index count = 300;
  for (Index i = 2; i <= count; ++i) {
    a.transport().Send(HeartbeatOf(i));
    if (i % 50 == 0) a.transport().Send(AppendOf(i, 1000));
  }
  a.transport().Send(AppendOf(1000, 900'000));  // in fragments
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 300 + 7 + 1; }));
  Index commit = 0;
  std::vector<Index> appended;
  for (const Envelope& envelope : b.received()) {
    if (LaneOf(envelope) == Lane::kControl) {
      EXPECT_EQ(CommitOf(envelope), ++commit);
    } else {
      appended.push_back(envelope.entries[0].first().index);
    }
  }
  EXPECT_EQ(commit, count);
  EXPECT_EQ(appended, (std::vector<Index>{2, 51, 101, 151, 201, 251, 301, 1001}));
  EXPECT_EQ(b.received().back().from_incarnation, Incarnation{77});
}

// Fault catalogue N5. 64 KiB, which HTTP/2 lets under way by itself, are half a second of 1 Mbit/s.
TEST(GrpcTransportTest, EntriesThatArriveSlowlyAreFewOnTheirWay) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Connect(a, b);
  a.transport().Send(HeartbeatOf(1));
  a.transport().Send(AppendOf(1, 10));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 2; }));
  b.HoldAppends(true);
  const Index count = 15;
  for (Index i = 1; i <= count; ++i) a.transport().Send(AppendOf(i, 60'000));
  // Whatever of the entries can go has gone by then: each heartbeat is heard before the next is
  // sent.
  for (Index i = 2; i <= 100; ++i) {
    a.transport().Send(HeartbeatOf(i));
    ASSERT_TRUE(b.Await([&](const auto& received, int) { return received.size() == i + 1; }));
  }
  const uint64_t before = a.transport().frames();
  b.HoldAppends(false);
  EXPECT_TRUE(b.Await([&](const auto& received, int) { return received.size() == 101 + count; }));
  // All but the 16 KiB that are the window of a new call waited, and go in frames that become
  // larger with it. Without it they have long been in two large ones.
  EXPECT_GE(a.transport().frames() - before, 4U);
}

// Established connections of the server at this port.
int ConnectionsTo(int port) {
  const std::string local = absl::StrFormat(":%04X", port);
  constexpr char kEstablished[] = "01";
  int count = 0;
  for (const char* path : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream table(path);
    std::string line;
    while (std::getline(table, line)) {
      const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
      const bool is_it = fields.size() > 3 && absl::EndsWith(fields[1], local);
      if (is_it && fields[3] == kEstablished) ++count;
    }
  }
  return count;
}

TEST(GrpcTransportTest, AllLanesAndGroupsShareOneConnection) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Connect(a, b);
  size_t sent = 0;
  for (uint64_t group = 1; group <= 50; ++group) {
    Envelope heartbeat = HeartbeatOf(1);
    heartbeat.group = GroupId{group};
    a.transport().Send(std::move(heartbeat));
    ++sent;
  }
  a.transport().Send(AppendOf(1, 1000));
  Envelope piece = HeartbeatOf(1);
  SnapshotRequest request;
  request.bytes = 1;
  piece.body = request;
  ASSERT_EQ(LaneOf(piece), Lane::kSnapshot);
  a.transport().Send(std::move(piece));
  ASSERT_TRUE(b.Await([&](const auto& received, int) { return received.size() == sent + 2; }));
  EXPECT_EQ(ConnectionsTo(b.port()), 1);
  EXPECT_LE(ConnectionsTo(a.port()), 1);  // that of b
}

// The heartbeats of a host's groups, which are due together.
TEST(GrpcTransportTest, WhatIsSentInABurstSharesFrames) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Connect(a, b);
  a.transport().Send(HeartbeatOf(1));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 1; }));
  const uint64_t before = a.transport().frames();
  a.transport().BeginBurst();
  for (Index i = 2; i <= 101; ++i) a.transport().Send(HeartbeatOf(i));
  EXPECT_EQ(a.transport().frames(), before);
  a.transport().EndBurst();
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 101; }));
  EXPECT_EQ(a.transport().frames(), before + 1);
  // Afterwards nothing waits.
  a.transport().Send(HeartbeatOf(102));
  EXPECT_TRUE(b.Await([](const auto& received, int) { return received.size() == 102; }));
}

TEST(GrpcTransportTest, BothDirections) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Connect(a, b);
  a.transport().Send(HeartbeatOf(1));
  b.transport().Send(HeartbeatOf(2, 2, 1));
  EXPECT_TRUE(a.Await([](const auto& received, int) { return received.size() == 1; }));
  EXPECT_TRUE(b.Await([](const auto& received, int) { return received.size() == 1; }));
}

TEST(GrpcTransportTest, AnotherClusterIsRefusedAndHeardOf) {
  TestNode a(1, Cluster(7)), b(2, Cluster(8));
  b.transport().SetPeer(NodeId{1}, a.address());
  a.transport().SetPeer(NodeId{2}, b.address());
  Instant deadline = SystemClock().Now() + Seconds(30);
  while (a.transport().Refusals().empty()) {
    ASSERT_LT(SystemClock().Now(), deadline);
    a.transport().Send(HeartbeatOf(1));
  }
  EXPECT_TRUE(absl::StrContains(a.transport().Refusals()[0], "cluster"))
      << a.transport().Refusals()[0];
  EXPECT_TRUE(b.received().empty());
}

// Fault catalogue 5.2, row 12: it is for Raft to say what follows from it.
TEST(GrpcTransportTest, ARefusalOfARemovedNodeIsAMessage) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Configuration configuration;
  configuration.removed = {NodeId{1}};
  Envelope question = HeartbeatOf(1);
  question.body = MessageBody(PreVoteRequest{.term = 3, .last = {4, 2}, .campaign = 1});
  b.Refuse(CheckRemoved(question, {.self = Incarnation{78},
                                   .term = 6,
                                   .configuration = configuration,
                                   .at = {5, 2},
                                   .last = {9, 6}}));
  a.transport().SetPeer(NodeId{2}, b.address());
  Instant deadline = SystemClock().Now() + Seconds(30);
  while (a.received().empty()) {
    ASSERT_LT(SystemClock().Now(), deadline);
    a.transport().Send(question);
  }
  const Envelope told = a.received()[0];
  EXPECT_EQ(told.from, NodeId{2});
  EXPECT_EQ(told.from_incarnation, Incarnation{78});
  EXPECT_EQ(told.group, GroupId::kDefault);
  const auto& notice = std::get<RemovedNotice>(std::get<MessageBody>(told.body));
  EXPECT_EQ(notice.at, (LogPosition{5, 2}));
  EXPECT_TRUE(b.received().empty());
}

// Fault catalogue 5.2, row 16: what is wrong is found behind the door.
TEST(GrpcTransportTest, WhoSaidWhatCannotBeIsTold) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Connect(a, b);
  a.transport().Send(AppendOf(1, 10));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 1; }));
  b.transport().Refuse(NodeId{3}, absl::FailedPreconditionError("OTHER: of nobody here"));
  b.transport().Refuse(NodeId{1}, absl::FailedPreconditionError("COMMITTED_CONFLICT: of entry 7"));
  ASSERT_TRUE(a.Await([](const auto&, int lost) { return lost >= 1; }));
  a.transport().Send(AppendOf(2, 10));
  EXPECT_TRUE(b.Await([](const auto& received, int) { return received.size() == 2; }))
      << "another call is fine";
  EXPECT_TRUE(absl::StrContains(a.log(), "refuses our frames: COMMITTED_CONFLICT: of entry 7"));
  EXPECT_FALSE(absl::StrContains(a.log(), "OTHER"));
}

TEST(GrpcTransportTest, ComesBackAfterThePeerWasAway) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Connect(a, b);
  a.transport().Send(HeartbeatOf(1));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 1; }));
  // Which calls end when, and whether a new one still meets the old connection, is gRPC's affair;
  // but whatever is lost is told, so that it can be said again.
  a.OnLost([&a] { a.transport().Send(HeartbeatOf(2)); });
  int port = b.port();
  b.StopServing();
  ASSERT_TRUE(a.Await([](const auto&, int lost) { return lost >= 1; }));
  b.Serve(port);
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() >= 2; }));
  EXPECT_EQ(CommitOf(b.received().back()), Index{2});
}

// Without that a server that stops in an orderly way waits until its patience is over.
TEST(GrpcTransportTest, AServerThatStopsEndsTheCallsOfItsPeers) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  Connect(a, b);
  a.transport().Send(HeartbeatOf(1));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 1; }));
  b.StopServingInOrder();
  EXPECT_TRUE(a.Await([](const auto&, int lost) { return lost >= 2; }));  // of three lanes
}

Introduction AtIndex(Index index, const std::string& address) {
  return {GroupId::kDefault, {index, 3}, address};
}

TEST(GrpcTransportTest, AStrangerThatIntroducesItselfIsHeardAndAnswered) {
  TestNode a(4, Cluster(7)), b(2, Cluster(7));
  a.transport().SetPeer(NodeId{2}, b.address());
  Instant deadline = SystemClock().Now() + Seconds(30);
  while (a.transport().Refusals().empty()) ASSERT_LT(SystemClock().Now(), deadline);
  EXPECT_TRUE(absl::StrContains(a.transport().Refusals()[0], "no peer of node 2"));

  // Now node 2 hears why it should listen.
  a.transport().Introduce(NodeId{2}, AtIndex(8, a.address()));
  while (!a.transport().Refusals().empty()) ASSERT_LT(SystemClock().Now(), deadline);
  a.transport().Send(HeartbeatOf(1, 4));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 1; }));
  b.transport().Send(HeartbeatOf(2, 2, 4));
  ASSERT_TRUE(a.Await([](const auto& received, int) { return received.size() == 1; }));

  // It is forgotten when node 2 knows better, and comes back when it has news.
  b.BelieveBehind(8);
  while (a.transport().Refusals().empty()) {
    ASSERT_LT(SystemClock().Now(), deadline);
    a.transport().Send(HeartbeatOf(3, 4));
  }
  b.transport().Send(HeartbeatOf(4, 2, 4));
  a.transport().Introduce(NodeId{2}, AtIndex(9, a.address()));
  while (!a.transport().Refusals().empty()) ASSERT_LT(SystemClock().Now(), deadline);
  b.transport().Send(HeartbeatOf(5, 2, 4));
  ASSERT_TRUE(a.Await([](const auto& received, int) { return received.size() == 2; }));
  EXPECT_EQ(CommitOf(a.received().back()), Index{5});

  // A configuration makes it a peer, which stays.
  b.transport().SetPeer(NodeId{4}, a.address());
  b.BelieveBehind(9);
  b.transport().Send(HeartbeatOf(6, 2, 4));
  EXPECT_TRUE(a.Await([](const auto& received, int) { return received.size() == 3; }));
}

TEST(GrpcTransportTest, AStrangerIsNotDialledJustAnywhere) {
  TestNode a(4, Cluster(7)), b(2, Cluster(7));
  a.transport().Introduce(NodeId{2}, AtIndex(8, "unix:/run/somebody"));
  a.transport().SetPeer(NodeId{2}, b.address());
  Instant deadline = SystemClock().Now() + Seconds(30);
  while (a.transport().Refusals().empty()) ASSERT_LT(SystemClock().Now(), deadline);
  // The newest groups are told of, and one that is believed is enough.
  for (uint64_t group = 2; group <= 40; ++group) {
    a.transport().Introduce(NodeId{2}, {GroupId{group}, {8, 3}, a.address()});
  }
  while (!a.transport().Refusals().empty()) ASSERT_LT(SystemClock().Now(), deadline);
}

TEST(GrpcTransportTest, APeerThatHasMovedSaysWhereItIs) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7));
  b.transport().SetPeer(NodeId{1}, "127.0.0.1:1");  // where it was
  a.transport().Introduce(NodeId{2}, AtIndex(8, a.address()));
  a.transport().SetPeer(NodeId{2}, b.address());
  a.transport().Send(HeartbeatOf(1));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 1; }));
  b.transport().SetPeer(NodeId{1}, "127.0.0.1:1");  // an older configuration says so again
  b.transport().Send(HeartbeatOf(2, 2, 1));
  EXPECT_TRUE(a.Await([](const auto& received, int) { return received.size() == 1; }));
}

TEST(GrpcTransportTest, FollowsThePeerToAnotherAddress) {
  TestNode a(1, Cluster(7)), b(2, Cluster(7)), b_moved(2, Cluster(7));
  Connect(a, b);
  b_moved.transport().SetPeer(NodeId{1}, a.address());
  a.transport().Send(HeartbeatOf(1));
  ASSERT_TRUE(b.Await([](const auto& received, int) { return received.size() == 1; }));
  a.transport().SetPeer(NodeId{2}, b_moved.address());
  ASSERT_TRUE(a.Await([](const auto&, int lost) { return lost >= 2; }));  // of three lanes
  a.transport().Send(HeartbeatOf(2));
  EXPECT_TRUE(b_moved.Await([](const auto& received, int) { return received.size() == 1; }));
}

TEST(GrpcTransportTest, AFullQueueLosesAndSaysSo) {
  TestNode a(1, Cluster(7));
  a.transport().SetPeer(NodeId{2}, "127.0.0.1:1");  // nobody there
  for (Index i = 1; i < 200; ++i) a.transport().Send(AppendOf(i, 1000));
  EXPECT_TRUE(a.Await([](const auto&, int lost) { return lost >= 1; }));
}

TEST(GrpcTransportTest, StopsWhileMuchIsUnderWay) {
  for (int round = 0; round < 10; ++round) {
    TestNode a(1, Cluster(7)), b(2, Cluster(7));
    Connect(a, b);
    for (Index i = 1; i < 500; ++i) a.transport().Send(HeartbeatOf(i));
    a.transport().Stop();
    a.transport().Send(HeartbeatOf(1000));
    a.transport().SetPeer(NodeId{3}, "127.0.0.1:1");
  }
}

}  // namespace
}  // namespace cairn
