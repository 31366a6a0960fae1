#include "tests/sim/sim_network.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "raft/sender_check.h"
#include "tests/sim/envelope_text.h"

namespace cairn::sim {
namespace {

constexpr size_t kOldEnvelopes = 512;

RecordRun WireCopy(const RecordRun& run) {
  if (run.empty()) return RecordRun();
  absl::StatusOr<RecordRun> copy =
      RecordRun::Parse(run[0].group(), Bytes::Copy(run.bytes().view()));
  CAIRN_CHECK(copy.ok()) << copy.status().ToString();
  return *std::move(copy);
}

void CopyResults(ForwardedResults& results) {
  for (ProposalResult& result : results.results) {
    if (auto* applied = std::get_if<ProposalApplied>(&result)) {
      applied->reply = Bytes::Copy(applied->reply.view());
    }
  }
}

void CopyEntries(ForwardedProposals& proposals) {
  for (PreparedEntry& entry : proposals.entries) {
    absl::StatusOr<PreparedEntry> copy = PreparedEntry::Decode(entry.Encode());
    CAIRN_CHECK(copy.ok()) << copy.status().ToString();
    entry = *std::move(copy);
  }
}

}  // namespace

Envelope WireCopy(const Envelope& envelope) {
  Envelope copy = envelope;
  for (RecordRun& run : copy.entries) run = WireCopy(run);
  if (auto* body = std::get_if<MessageBody>(&copy.body)) {
    if (auto* append = std::get_if<AppendEntries>(body)) {
      append->runs.clear();
      append->configurations.clear();
    }
  } else if (auto* proposals = std::get_if<ForwardedProposals>(&copy.body)) {
    CopyEntries(*proposals);
  } else if (auto* results = std::get_if<ForwardedResults>(&copy.body)) {
    CopyResults(*results);
  }
  return copy;
}

class SimTransport final : public Transport {
 public:
  SimTransport(SimNetwork& network, NodeId node, uint64_t start)
      : network_(network), node_(node), start_(start) {}
  ~SimTransport() override { Stop(); }

  void SetPeer(NodeId node, const std::string& address) override {
    SimNetwork::Endpoint& endpoint = network_.endpoints_[node_];
    if (endpoint.start == start_) endpoint.book.Name(node, address);
  }

  void Introduce(NodeId node, const Introduction& self) override {
    introductions_[node][self.group] = self;
  }

  void Send(Envelope envelope) override {
    CAIRN_CHECK(envelope.from == node_);
    std::vector<Introduction> introductions;
    for (const auto& [group, introduction] : introductions_[envelope.to]) {
      introductions.push_back(introduction);
    }
    network_.Send(std::move(envelope), std::move(introductions), start_);
  }

  void Start(Receiver receiver) override {
    SimNetwork::Endpoint& endpoint = network_.endpoints_[node_];
    if (endpoint.start != start_) return;
    endpoint.receiver = std::move(receiver);
    endpoint.running = true;
  }

  void Stop() override {
    SimNetwork::Endpoint& endpoint = network_.endpoints_[node_];
    if (endpoint.start != start_) return;
    endpoint.running = false;
    endpoint.receiver = {};
  }

 private:
  SimNetwork& network_;
  NodeId node_;
  uint64_t start_;
  std::map<NodeId, std::map<GroupId, Introduction>> introductions_;
};

SimNetwork::SimNetwork(EventQueue& events, EventLog& log, Counters& counters, uint64_t seed,
                       const NetworkOptions& options)
    : events_(events), log_(log), counters_(counters), random_(seed), options_(options) {}

void SimNetwork::CutOff(NodeId node) {
  Endpoint& endpoint = endpoints_[node];
  ++endpoint.start;
  endpoint.running = false;
  endpoint.receiver = {};
  endpoint.host = nullptr;
  endpoint.book = {};
}

std::unique_ptr<Transport> SimNetwork::MakeTransport(NodeId node) {
  CutOff(node);
  return std::make_unique<SimTransport>(*this, node, endpoints_[node].start);
}

void SimNetwork::Block(NodeId from, NodeId to) { ++blocked_[{from, to}]; }

void SimNetwork::Unblock(NodeId from, NodeId to) {
  auto found = blocked_.find({from, to});
  if (found != blocked_.end() && --found->second == 0) blocked_.erase(found);
}

void SimNetwork::Send(Envelope envelope, std::vector<Introduction> introductions, uint64_t start) {
  const Endpoint& sender = endpoints_[envelope.from];
  if (sender.start != start || !sender.running) return;
  for (const auto& observer : observers_) observer(envelope);
  log_.Add(envelope.from, "send", {ToInteger(envelope.to), envelope.body.index()}, [&] {
    return absl::StrCat("to n", ToInteger(envelope.to), " ", EnvelopeText(envelope));
  });
  if (sender.host != nullptr && sender.book.AddressOf(envelope.to).empty()) {
    return counters_.Count("network: nobody knows where to");
  }
  auto shared = std::make_shared<const Sent>(Sent{std::move(envelope), std::move(introductions)});
  Launch(shared, true);
  if (Happens(options_.duplicates)) {
    counters_.Count("network: envelope duplicated");
    Launch(shared, true);
  }
  if (!old_.empty() && Happens(options_.replays)) {
    counters_.Count("network: old envelope replayed");
    Launch(old_[random_.Below(old_.size())], false);
  }
  Keep(shared);
}

void SimNetwork::Keep(const std::shared_ptr<const Sent>& sent) {
  if (options_.replays == 0 || !random_.OneIn(8)) return;
  if (old_.size() < kOldEnvelopes) {
    old_.push_back(sent);
  } else {
    old_[random_.Below(old_.size())] = sent;
  }
}

bool SimNetwork::Listens(Endpoint& endpoint, const Sent& sent) {
  if (endpoint.host == nullptr) return true;
  for (const auto& [node, introduction] : endpoint.book.introduced()) {
    if (!endpoint.host->Believes(node, introduction)) endpoint.book.Drop(node, introduction);
  }
  const NodeId from = sent.envelope.from;
  std::vector<Introduction> believed;
  for (const Introduction& introduction : sent.introductions) {
    if (endpoint.host->Believes(from, introduction)) believed.push_back(introduction);
  }
  endpoint.book.Meet(from, std::move(believed));
  const Standing standing = endpoint.book.Hear(from);
  if (standing == Standing::kPeer) return true;
  if (standing == Standing::kUnknown) {
    if (endpoint.host->WasRemoved(from)) return true;
    counters_.Count("network: a stranger was not believed");
    return false;
  }
  counters_.Count("network: a stranger was believed");
  return MayStrangerSay(sent.envelope.body);
}

Duration SimNetwork::DrawDelay(bool may_be_slow) {
  Duration longest = options_.longest_delay;
  if (may_be_slow && Happens(options_.slow)) longest = std::max(longest, options_.slowest_delay);
  int64_t spread = std::max<int64_t>((longest - options_.shortest_delay).nanoseconds, 1);
  return options_.shortest_delay +
         Nanoseconds(static_cast<int64_t>(random_.Below(static_cast<uint64_t>(spread))));
}

void SimNetwork::Launch(const std::shared_ptr<const Sent>& sent, bool may_be_slow) {
  const Envelope* envelope = &sent->envelope;
  Link link = {envelope->from, envelope->to};
  LinkState& state = links_[link];
  if (Blocked(envelope->from, envelope->to)) return Lose(*envelope, "blocked");
  if (state.under_way >= options_.link_capacity) return Lose(*envelope, "link full");
  if (Happens(options_.loss)) return Lose(*envelope, "lost");
  Instant arrival = events_.now() + DrawDelay(may_be_slow);
  Instant& last_arrival = state.last_arrival[static_cast<size_t>(LaneOf(*envelope))];
  if (options_.ordered) arrival = std::max(arrival, last_arrival + Nanoseconds(1));
  if (arrival < last_arrival) counters_.Count("network: envelope overtaken");
  last_arrival = std::max(last_arrival, arrival);
  ++state.under_way;
  events_.At(arrival, [this, link, sent] {
    --links_[link].under_way;
    Arrive(*sent);
  });
}

void SimNetwork::Arrive(const Sent& sent) {
  const Envelope& envelope = sent.envelope;
  if (options_.cuts_stop_arrivals && Blocked(envelope.from, envelope.to)) {
    return Lose(envelope, "blocked");
  }
  Endpoint& endpoint = endpoints_[envelope.to];
  if (!endpoint.running) return Lose(envelope, "nobody listens");
  if (!Listens(endpoint, sent)) return;
  log_.Add(envelope.to, "receive", {ToInteger(envelope.from), envelope.body.index()}, [&] {
    return absl::StrCat("from n", ToInteger(envelope.from), " ", EnvelopeText(envelope));
  });
  endpoint.receiver.receive(WireCopy(envelope));
}

void SimNetwork::Lose(const Envelope& envelope, const char* why) {
  log_.Add(envelope.from, "lose", {ToInteger(envelope.to), envelope.body.index()}, [&] {
    return absl::StrCat("to n", ToInteger(envelope.to), " ", EnvelopeText(envelope), ": ", why);
  });
  counters_.Count("network: envelope lost");
  if (!Happens(options_.noticed_losses)) return;
  events_.After(DrawDelay(false), [this, from = envelope.from, to = envelope.to,
                                   start = endpoints_[envelope.from].start] {
    Endpoint& endpoint = endpoints_[from];
    if (endpoint.running && endpoint.start == start) endpoint.receiver.lost(to);
  });
}

}  // namespace cairn::sim
