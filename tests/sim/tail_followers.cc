#include "tests/sim/tail_followers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/sim/checkers/tail_checker.h"
#include "tests/sim/sub_seed.h"

namespace cairn::sim {

class TailFollowers::Follower {
 public:
  Follower(SimCluster& cluster, Calls& calls, const TailFollowers& all, uint64_t number)
      : cluster_(cluster),
        calls_(calls),
        all_(all),
        options_(cluster.plan().tails),
        random_(SubSeed(cluster.plan().seed, "tail", number)),
        group_(static_cast<GroupId>(1 + random_.Below(cluster.plan().groups))),
        node_(cluster.AnyPresent(random_).id()),
        checker_(cluster.referees().at(group_)->ledger(), cluster.world().violations,
                 cluster.world().counters) {}

  GroupId group() const { return group_; }
  void ForgetBehind(Index index) { checker_.ForgetBehind(index); }
  bool HasAll() const {
    return checker_.next() > cluster_.referees().at(group_)->ledger().commit();
  }

  void AskLater() {
    const Duration timeout = cluster_.plan().group.election_timeout;
    const Duration think = all_.hurries_ ? timeout / 100 : UpTo(options_.longest_think);
    cluster_.world().events.After(think, [this] { Ask(); });
  }

 private:
  Duration UpTo(Duration longest) {
    return Nanoseconds(
        static_cast<int64_t>(random_.Below(static_cast<uint64_t>(longest.nanoseconds) + 1)));
  }

  void Ask() {
    if (all_.stopped_) return;
    Group* handle = cluster_.node(node_).group(group_);
    if (handle == nullptr) return Move();
    const Instant deadline =
        cluster_.node(node_).Now() + UpTo(cluster_.plan().group.election_timeout * 2);
    const size_t bytes = all_.hurries_ ? size_t{1} << 20 : options_.max_bytes;
    handle->Tail(checker_.next(), bytes, deadline,
                 [this, node = node_, bytes, first = checker_.next(),
                  open = calls_.Begin(node_)](TailResult result) mutable {
                   // Where a rescue went back behind what was asked for, it says nothing of what is
                   // next.
                   if (open.Answered() && checker_.next() == first)
                     checker_.Told(node, bytes, result);
                   if (std::holds_alternative<TailRefused>(result)) return Move();
                   AskLater();
                 });
  }

  void Move() {
    node_ = cluster_.AnyPresent(random_).id();
    AskLater();
  }

  SimCluster& cluster_;
  Calls& calls_;
  const TailFollowers& all_;
  const TailOptions& options_;
  Random random_;
  GroupId group_;
  NodeId node_;  // where it asks
  TailChecker checker_;
};

TailFollowers::TailFollowers(SimCluster& cluster, Calls& calls) {
  for (uint64_t i = 0; i < cluster.plan().tails.followers; ++i) {
    followers_.push_back(std::make_unique<Follower>(cluster, calls, *this, i));
  }
}

TailFollowers::~TailFollowers() = default;

void TailFollowers::Start() {
  for (const auto& follower : followers_) follower->AskLater();
}

void TailFollowers::ForgetBehind(Index index) {
  for (const auto& follower : followers_) follower->ForgetBehind(index);
}

bool TailFollowers::HaveAll(GroupId group) const {
  return std::all_of(followers_.begin(), followers_.end(), [&](const auto& follower) {
    return follower->group() != group || follower->HasAll();
  });
}

}  // namespace cairn::sim
