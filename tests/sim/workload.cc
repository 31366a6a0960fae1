#include "tests/sim/workload.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/sim/list_machine.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {
namespace {

constexpr int kMostTries = 12;

}  // namespace

class Workload::Client {
 public:
  Client(SimCluster& cluster, Calls& calls, const bool& stopped, uint64_t number)
      : cluster_(cluster),
        calls_(calls),
        stopped_(stopped),
        options_(cluster.plan().workload),
        random_(SubSeed(cluster.plan().seed, "client", number)),
        group_(static_cast<GroupId>(1 + random_.Below(cluster.plan().groups))),
        node_(cluster.AnyPresent(random_).id()),
        wants_session_(random_.Chance(options_.sessions, 1000)),
        wants_order_(random_.OneIn(2)) {}

  // Begins an operation if there is room, now and then.
  void Run() {
    if (stopped_) return;
    if (under_way_ < options_.window) Begin();
    cluster_.world().events.After(Think(), [this] { Run(); });
  }

 private:
  // One append, from its first proposal until the client knows or gives up.
  struct Append {
    CommandId id = 0;
    std::string command;
    SessionCall call;
    Term fence = 0;    // 0: none
    int tries = 0;     // answers to any but the last one come too late
    int answered = 0;  // the last one that had an answer
    bool over = false;
  };
  using AppendPointer = std::shared_ptr<Append>;

  Duration Think() {
    uint64_t bound = static_cast<uint64_t>(options_.longest_think.nanoseconds) + 1;
    return Nanoseconds(static_cast<int64_t>(random_.Below(bound)));
  }

  NodeId PickNode() {
    if (random_.Chance(options_.moves, 1000)) Move();
    return node_;
  }
  void Move() { node_ = cluster_.AnyPresent(random_).id(); }

  std::optional<Instant> DrawDeadline(NodeId node) {
    if (!random_.Chance(options_.deadlines, 1000)) return std::nullopt;
    int64_t longest = options_.timeout.nanoseconds;
    int64_t wait = static_cast<int64_t>(random_.Below(static_cast<uint64_t>(longest)));
    return cluster_.node(node).Now() + Nanoseconds(wait);
  }

  ProposeOptions DrawOptions(NodeId node) {
    ProposeOptions options;
    options.deadline = DrawDeadline(node);
    options.forward = !random_.Chance(options_.no_forward, 1000);
    return options;
  }

  void Begin() {
    if (random_.Chance(options_.reads, 1000)) return BeginRead();
    if (wants_session_ && session_ == 0) return BeginSession();
    if (session_ != 0 && random_.OneIn(100)) return EndSession();
    auto append = std::make_shared<Append>();
    append->id = calls_.NewCommand();
    append->command = MakeCommand(append->id, DrawFilling());
    if (session_ != 0) {
      append->call = {.session = session_, .number = ++session_number_, .in_order = wants_order_};
    }
    if (random_.Chance(options_.fenced, 1000)) append->fence = DrawFence();
    ++under_way_;
    Try(append);
  }

  // As if it had read something from a state of that term.
  Term DrawFence() {
    Group* handle = cluster_.node(node_).group(group_);
    const Term term = handle == nullptr ? 0 : handle->Status().term;
    return random_.OneIn(8) ? term + 1 : term;
  }

  std::string DrawFilling() {
    std::string filling(random_.Below(options_.longest_filling + 1), '\0');
    // Some are zeroes, which a store must not take for what was never written.
    if (random_.OneIn(4)) return filling;
    for (char& letter : filling) letter = static_cast<char>('a' + random_.Below(26));
    return filling;
  }

  void BeginRead() {
    ++under_way_;
    auto over = std::make_shared<bool>(false);
    auto end = [this, over](bool) {
      if (!std::exchange(*over, true)) --under_way_;
    };
    ReadOptions read;
    read.lease = random_.Chance(options_.lease_reads, 1000);
    bool stale = !read.lease && random_.Chance(options_.stale_reads, 1000);
    Duration age = stale ? options_.timeout / 4 : Duration{};
    cluster_.world().events.After(options_.timeout + age, [end] { end(false); });
    NodeId node = PickNode();
    Index horizon = calls_.ReadHorizon(group_);
    // What is known now must be seen by a read that may be so old, so long from now; half as old,
    // because the node's clock may run slower.
    if (stale) read.max_staleness = age / 2;
    auto ask = [this, node, read, horizon, end]() mutable {
      read.deadline = DrawDeadline(node);
      calls_.Read(group_, node, read, horizon, end);
    };
    if (!stale) return ask();
    cluster_.world().counters.Count("read that may be old");
    cluster_.world().events.After(age, ask);
  }

  void BeginSession() {
    if (opening_) return;
    opening_ = true;
    uint64_t attempt = ++sessions_asked_;
    auto end = [this, attempt](ProposalResult result) {
      if (attempt != sessions_asked_ || !opening_) return;
      opening_ = false;
      if (const auto* applied = std::get_if<ProposalApplied>(&result)) {
        session_ = applied->at.index;
        session_number_ = 0;
        cluster_.world().counters.Count("session opened");
      }
    };
    cluster_.world().events.After(options_.timeout, [end] { end(ProposalUnknown()); });
    NodeId node = PickNode();
    calls_.OpenSession(group_, node, DrawOptions(node), end);
  }

  void EndSession() {
    NodeId node = PickNode();
    uint64_t session = std::exchange(session_, 0);
    calls_.CloseSession(group_, node, session, DrawOptions(node), [](ProposalResult) {});
  }

  void Try(const AppendPointer& append) {
    int attempt = ++append->tries;
    NodeId node = PickNode();
    ProposeOptions options = DrawOptions(node);
    options.session = append->call;
    options.expected_term = append->fence;
    if (attempt > 1 && append->call.session != 0) {
      cluster_.world().counters.Count("session call retried");
    }
    auto answered = [this, append, attempt](ProposalResult result) {
      if (append->over || append->tries != attempt || append->answered == attempt) return;
      append->answered = attempt;
      Judge(append, result);
    };
    cluster_.world().events.After(options_.timeout, [answered] {
      answered(ProposalUnknown{{}, "the client waits no longer"});
    });
    calls_.Propose(group_, node, append->id, append->command, std::move(options), answered);
  }

  // What the client does about an answer.
  void Judge(const AppendPointer& append, const ProposalResult& result) {
    bool again = false;
    if (const auto* refused = std::get_if<ProposalNotApplied>(&result)) {
      again = Forget(*refused, *append);
      Move();
    } else if (std::holds_alternative<ProposalUnknown>(result)) {
      again = append->call.session != 0;
      Move();
    }
    if (!again || stopped_ || append->tries >= kMostTries) return End(append);
    cluster_.world().events.After(Think(), [this, append] { Try(append); });
  }

  // Draws the consequences of a refusal; true if the command may be proposed again.
  bool Forget(const ProposalNotApplied& refused, const Append& append) {
    using Reason = ProposalNotApplied::Reason;
    switch (refused.reason) {
      case Reason::kSessionExpired:
        if (session_ == append.call.session) session_ = 0;
        return false;
      case Reason::kSessionNumberReused:
        cluster_.world().violations.Report(
            "I15 exactly once", absl::StrCat("command ", append.id, " is told that its number ",
                                             append.call.number, " came with another payload"));
        return false;
      case Reason::kTermChanged:
        cluster_.world().counters.Count("fenced command refused: another term");
        if (append.fence == 0 || refused.term == append.fence) {
          cluster_.world().violations.Report(
              "answers are true", absl::StrCat("command ", append.id, " for term ", append.fence,
                                               " is refused, as it is term ", refused.term));
        }
        return false;
      case Reason::kSessionNumberTooOld:
      case Reason::kTooLarge:
        return false;
      case Reason::kSessionGap:
        // The call before may have been given up, which ends a session that is in order.
        if (append.tries > kMostTries / 2 && session_ == append.call.session) session_ = 0;
        return true;
      default:
        return true;
    }
  }

  void End(const AppendPointer& append) {
    append->over = true;
    --under_way_;
  }

  SimCluster& cluster_;
  Calls& calls_;
  const bool& stopped_;
  const WorkloadOptions& options_;
  Random random_;
  GroupId group_;
  NodeId node_;  // where it asks
  bool wants_session_;
  bool wants_order_;
  uint64_t session_ = 0;  // 0: none
  uint64_t session_number_ = 0;
  bool opening_ = false;
  uint64_t sessions_asked_ = 0;
  size_t under_way_ = 0;
};

Workload::Workload(SimCluster& cluster, Calls& calls) {
  for (uint64_t i = 0; i < cluster.plan().workload.clients; ++i) {
    clients_.push_back(std::make_unique<Client>(cluster, calls, stopped_, i));
  }
}

Workload::~Workload() = default;

void Workload::Start() {
  for (const auto& client : clients_) client->Run();
}

}  // namespace cairn::sim
