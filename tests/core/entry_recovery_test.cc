// Every way in which the disks of a group can have lost entries, at once: the
// group recovers where the model says that it can, and stops where it cannot,
// and never forgets what was committed (fault catalogue 6.7; CTRL's figures: 4
// entries on 3 nodes, 2,401 recover and 1,695 halt).
//
// The nodes are Rafts with their effects carried out in memory, all of them up.
// What stands for raft/repair/ here fills a hole from any member that can read
// the entry.

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "raft/core/invariants.h"
#include "raft/core/quorum.h"
#include "raft/core/raft.h"

namespace cairn {
namespace {

constexpr Index kBase = 1;  // of every log; entries stand behind it

// One node's disk before the start. Index 0 is the entry at kBase + 1.
struct Disk {
  std::vector<Term> terms;
  std::vector<bool> good;
  bool torn = false;  // what is bad at the end a power cut may have done
};
using Disks = std::vector<Disk>;

std::string Describe(const Disks& disks) {
  std::string text;
  for (const Disk& disk : disks) {
    absl::StrAppend(&text, text.empty() ? "" : " | ");
    for (size_t i = 0; i < disk.terms.size(); ++i) {
      absl::StrAppend(&text, disk.terms[i], disk.good[i] ? " " : disk.torn ? "? " : "x ");
    }
  }
  return text;
}

Configuration MembersOf(size_t count) {
  Configuration members;
  for (uint64_t id = 1; id <= count; ++id) {
    members.voters.push_back({NodeId{id}, Incarnation::kUnknown, absl::StrCat("n", id)});
  }
  return members;
}

// Who the members are: `base` from the start on, and `joint` from where it
// stands in the log.
struct Members {
  Configuration base;
  Index joint_at = kMaxIndex;  // of the log's entries; kMaxIndex: none
  Configuration joint = {};
  std::set<NodeId> observers = {};  // vote and never campaign
};

// Whether these nodes are a majority, of both halves of a joint configuration.
bool Decide(const Configuration& configuration, const std::vector<NodeId>& nodes) {
  const auto vote = [&](NodeId voter) {
    return std::optional<bool>(std::find(nodes.begin(), nodes.end(), voter) != nodes.end());
  };
  return CountVotes(configuration, vote) == VoteResult::kWon;
}

class Group {
 public:
  // With `luck` a repair now and then, else all at once.
  explicit Group(const Disks& disks, Members members, Random* luck = nullptr)
      : members_(std::move(members)), luck_(luck) {
    // Who led a term was elected by a quorum; let all have heard of it.
    Term term = 1;
    for (const Disk& disk : disks) {
      if (!disk.terms.empty()) term = std::max(term, disk.terms.back());
    }
    for (size_t i = 0; i < disks.size(); ++i) Start(i, disks[i], term);
  }

  // Until a leader has committed in its term, no configuration is joint, and
  // the logs of all members are equal and whole, or for `limit`.
  bool Recovers(Duration limit) {
    const Instant end = now_ + limit;
    while (now_ < end) {
      Settle();
      if (Recovered()) return true;
      Instant next = kDistantFuture;
      for (const auto& node : nodes_) next = std::min(next, node->raft->NextWakeup());
      if (next == kDistantFuture) return false;
      now_ = std::max(now_ + Milliseconds(1), next);
      for (auto& node : nodes_) Step(*node, Tick{});
    }
    return false;
  }

  // Of the entries that all members agree on: up to which index they are those
  // of `disk`.
  Index KeptOf(const Disk& disk) const {
    Index kept = kBase;
    while (kept - kBase < disk.terms.size() &&
           Leader()->TermAt(kept + 1) == disk.terms[kept - kBase]) {
      ++kept;
    }
    return kept;
  }
  const std::string& violation() const { return violation_; }

  // Two more entries are acknowledged by all and committed, which the others have not heard yet.
  // The first of them turns out unreadable at each of those, and all that was ever answered is
  // answered to them again: none forgets anything or halts. Gives how many had asked before.
  size_t DamageAgain() {
    Node* leader = nullptr;
    for (auto& node : nodes_) {
      if (node->raft->leads_with_commit()) leader = node.get();
    }
    const Index last = leader->raft->last().index;
    quiet_ = true;
    Step(*leader, Propose{.payload = 1, .count = 2, .bytes = 2});
    Settle();
    if (leader->raft->commit() != last + 2) Violate("two more entries are not committed");
    size_t asked = 0;
    for (auto& node : nodes_) {
      if (node.get() == leader) continue;
      if (node->raft->commit() > last) Violate("it has heard of the commit");
      node->good[last + 1] = false;
      Step(*node, EntriesDamaged{{last + 1, last + 1}});
      const std::deque<Message> answers = answers_;
      bool some = false;
      for (const Message& answer : answers) {
        if (answer.to != node->raft->node()) continue;
        some = true;
        Step(*node, Receive{answer, 0});
        if (node->fenced) Violate("halts by old answers");
        if (node->raft->last().index != last + 2) Violate("forgets by old answers");
      }
      if (some) ++asked;
    }
    quiet_ = false;
    return asked;
  }

 private:
  struct Node {
    std::unique_ptr<Raft> raft;
    InvariantChecker checker;
    std::vector<bool> good;  // by index
    bool fenced = false;
  };

  void Start(size_t i, const Disk& disk, Term term) {
    RaftOptions options;
    options.node = NodeId{i + 1};
    options.seed = 7;
    options.never_campaigns = members_.observers.contains(options.node);
    RecoveredRaft recovered;
    recovered.base = {kBase, 1};
    recovered.base_configuration_position = recovered.base;
    recovered.base_configuration = members_.base;
    recovered.applied = kBase;
    auto node = std::make_unique<Node>();
    node->good.assign(kBase + 1, true);
    Index last_good = kBase;
    for (size_t at = 0; at < disk.terms.size(); ++at) {
      const Index index = kBase + 1 + at;
      recovered.runs.push_back({disk.terms[at], index});
      node->good.push_back(disk.good[at]);
      if (disk.good[at]) last_good = index;
      if (!disk.good[at]) recovered.holes.push_back({index, index});
    }
    if (disk.torn && last_good < node->good.size() - 1) recovered.torn_from = last_good + 1;
    if (const Index at = members_.joint_at; at < node->good.size() && node->good[at]) {
      recovered.configurations.push_back({{at, disk.terms[at - kBase - 1]}, members_.joint});
    }
    recovered.hard_state.term = term;
    node->raft = std::make_unique<Raft>(options, std::move(recovered), now_, nullptr);
    nodes_.push_back(std::move(node));
    Take(*nodes_.back());
  }

  void Step(Node& node, Event event) {
    node.raft->Step(now_, std::move(event));
    if (auto broken = node.checker.AfterStep(*node.raft)) Violate(*broken);
    Take(node);
  }

  void Take(Node& node) {
    for (Effects effects = node.raft->TakeEffects(); !effects.empty();
         effects = node.raft->TakeEffects()) {
      if (auto broken = node.checker.AfterEffects(*node.raft, effects)) Violate(*broken);
      if (effects.fence) node.fenced = true;
      for (const LogBatch& batch : effects.log_batches) {
        if (batch.truncate_from) node.good.resize(*batch.truncate_from);
        for (const AppendRun& run : batch.runs) {
          node.good.resize(run.last_index + 1, true);
          if (run.configuration) appended_.emplace_back(run.first, *run.configuration);
        }
        node.raft->Step(now_, LogSynced{batch.ticket});
      }
      for (const SendEntries& send : effects.send_entries) Send(node, send);
      for (Message& message : effects.messages) queue_.push_back(std::move(message));
      if (effects.ask_torn) asked_.emplace_back(node.raft->node(), *effects.ask_torn);
      if (effects.apply_up_to != 0) {
        for (Index index = 1; index <= effects.apply_up_to; ++index) {
          if (!node.good[index]) Violate(absl::StrCat("applies entry ", index, ", unreadable"));
        }
        node.raft->Step(now_, Applied{effects.apply_up_to});
      }
    }
  }

  void Send(Node& node, const SendEntries& send) {
    Index last = send.previous.index;
    while (last < send.last.index && node.good[last + 1]) ++last;
    if (last > send.previous.index) {
      AppendEntries append{.term = send.term,
                           .previous = send.previous,
                           .commit = send.commit,
                           .acknowledged = send.acknowledged};
      for (Index index = send.previous.index + 1; index <= last; ++index) {
        const LogPosition at = {index, node.raft->TermAt(index)};
        append.runs.push_back({at.term, index});
        for (auto& each : ConfigurationsAt(at)) append.configurations.push_back(std::move(each));
      }
      queue_.push_back({node.raft->node(), send.to, append});
    }
    node.raft->Step(now_, EntriesSent{send.to, send.request, last, 1});
  }

  void Settle() {
    do {
      while (!queue_.empty()) {
        const Message message = std::move(queue_.front());
        queue_.pop_front();
        if (std::holds_alternative<TailReply>(message.body)) answers_.push_back(message);
        if (quiet_ && std::holds_alternative<Heartbeat>(message.body)) continue;
        Node& to = *nodes_[ToInteger(message.to) - 1];
        if (!to.fenced) Step(to, Receive{message, 1});
      }
    } while (GiveTorn() || ((luck_ == nullptr || luck_->OneIn(8)) && Repair()));
  }

  // Answers a question for torn entries, by all that are wanted or, with luck, by the first of them
  // or not at all.
  bool GiveTorn() {
    if (asked_.empty()) return false;
    const auto [asker, ask] = asked_.front();
    asked_.pop_front();
    const Node& holder = *nodes_[ToInteger(ask.to) - 1];
    Node& node = *nodes_[ToInteger(asker) - 1];
    if (luck_ != nullptr && luck_->OneIn(4)) return true;
    TornEntriesGiven given = {.from = ask.to, .request = ask.request, .payload = 1};
    given.previous = {ask.first - 1, holder.raft->TermAt(ask.first - 1)};
    Index next = ask.first;
    for (const TermRun& run : ask.runs) {
      for (; next <= run.last_index; ++next) {
        if (holder.raft->TermAt(next) != run.term || !holder.good[next]) break;
        if (next > ask.first && luck_ != nullptr && luck_->OneIn(3)) break;
        if (given.runs.empty() || given.runs.back().term != run.term) given.runs.push_back(run);
        given.runs.back().last_index = next;
        for (auto& each : ConfigurationsAt({next, run.term})) {
          given.configurations.push_back(std::move(each));
        }
      }
      if (next <= run.last_index) break;
    }
    if (!given.runs.empty() && !node.fenced) Step(node, std::move(given));
    return true;
  }

  // True if something was repaired.
  bool Repair() {
    bool repaired = false;
    for (auto& node : nodes_) {
      if (node->fenced) continue;
      for (const HoleRange hole : node->raft->holes().Ranges()) {
        for (Index index = hole.first; index <= hole.last; ++index) {
          const bool somewhere = std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& other) {
            return !other->fenced && other->raft->TermAt(index) == node->raft->TermAt(index) &&
                   other->good[index] && index < other->raft->torn_from().value_or(kMaxIndex);
          });
          if (!somewhere) continue;
          node->good[index] = true;
          Step(*node, EntriesRepaired{{index, index},
                                      ConfigurationsAt({index, node->raft->TermAt(index)})});
          if (luck_ != nullptr) return true;
          repaired = true;
        }
      }
    }
    return repaired;
  }

  // The configuration that stands there, if one does.
  std::vector<std::pair<LogPosition, Configuration>> ConfigurationsAt(LogPosition at) const {
    std::vector<std::pair<LogPosition, Configuration>> found;
    const auto appended = std::find_if(appended_.begin(), appended_.end(),
                                       [&](const auto& each) { return each.first == at; });
    if (appended != appended_.end()) {
      found.push_back(*appended);
    } else if (at.index == members_.joint_at) {
      found.emplace_back(at,
                         members_.joint);  // of the logs there were; later ones are appended_
    }
    return found;
  }

  const Raft* Leader() const {
    const Raft* leader = nullptr;
    for (const auto& node : nodes_) {
      if (!node->fenced && node->raft->leads_with_commit()) leader = node->raft.get();
    }
    return leader;
  }

  bool Recovered() const {
    const Raft* leader = Leader();
    if (leader == nullptr || leader->commit() != leader->last().index) return false;
    const Configuration& members = leader->configuration();
    if (members.joint() || !members.IsVoter(leader->node())) return false;
    return std::all_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
      if (!members.IsMember(node->raft->node())) return true;
      return !node->fenced && node->raft->last() == leader->last() &&
             node->raft->applied() == leader->commit() && node->raft->holes().empty() &&
             !node->raft->torn_from();
    });
  }

  void Violate(const std::string& what) {
    if (violation_.empty()) violation_ = what;
  }

  const Members members_;
  Random* const luck_;
  std::vector<std::pair<LogPosition, Configuration>> appended_;
  Instant now_ = Instant() + Seconds(1000);
  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<Message> queue_;
  std::deque<std::pair<NodeId, AskTorn>> asked_;
  std::deque<Message> answers_;  // TailReply, all there were
  bool quiet_ = false;           // heartbeats are lost
  std::string violation_;
};

// The model
// --------------------------------------------------------------------------------------

// What must come of these disks: the first index that is lost for good, or 0;
// and up to where all must be kept, since a quorum has acknowledged it for all
// anybody knows.
struct Fate {
  bool halts = false;
  bool open = false;  // it may halt or not
  Index keeps = kBase;
};

// Whether those who claim an entry could have committed it, and not all of a majority that takes
// may only have been cut off by a power cut.
bool MayBeCommitted(const Configuration& configuration, const std::vector<NodeId>& claims,
                    const std::vector<NodeId>& faulty) {
  const auto by_half = [&](const std::vector<Member>& voters) {
    Configuration half;
    half.voters = voters;
    return voters.empty() ||
           (Decide(half, claims) && std::any_of(faulty.begin(), faulty.end(),
                                                [&](NodeId node) { return half.IsVoter(node); }));
  };
  return by_half(configuration.voters) && by_half(configuration.outgoing_voters);
}

// Of disks whose logs are prefixes of one. What stands before a joint configuration can have been
// committed by the one before it alone, what stands there and behind it by both majorities only;
// but who cannot read a joint configuration knows of the one before it only.
Fate FateOf(const Disks& disks, const Members& members) {
  Fate fate;
  for (size_t at = 0;; ++at) {
    const Index index = kBase + 1 + at;
    const Configuration& known = index <= members.joint_at ? members.base : members.joint;
    std::vector<NodeId> claims, faulty;
    size_t good = 0, good_voters = 0;
    for (size_t i = 0; i < disks.size(); ++i) {
      const Disk& disk = disks[i];
      if (at >= disk.terms.size()) continue;
      claims.push_back(NodeId{i + 1});
      if (disk.good[at]) ++good;
      if (disk.good[at] && known.IsVoter(claims.back())) ++good_voters;
      const bool at_the_end = std::none_of(disk.good.begin() + static_cast<std::ptrdiff_t>(at),
                                           disk.good.end(), [](bool is_good) { return is_good; });
      if (!disk.good[at] && !(disk.torn && at_the_end)) faulty.push_back(claims.back());
    }
    if (claims.empty()) return fate;
    const bool needed = MayBeCommitted(known, claims, faulty);
    if (good == 0) {
      fate.halts = needed;  // else it is dropped
      return fate;
    }
    // No learner is waited for, and one may be asked in time.
    fate.open = good_voters == 0 && !needed;
    if (fate.open) return fate;
    if (Decide(index < members.joint_at ? members.base : members.joint, claims)) fate.keeps = index;
  }
}

struct Tally {
  size_t recovered = 0;
  size_t halted = 0;
};

// Counts `times` cases that differ in the nodes' numbers only.
void Check(const Disks& disks, const Members& members, Tally& tally, Random* luck = nullptr,
           size_t times = 1) {
  const Fate fate = FateOf(disks, members);
  Group group(disks, members, luck);
  const bool recovers = group.Recovers(fate.halts || fate.open ? Seconds(10) : Seconds(60));
  ASSERT_EQ(group.violation(), "") << Describe(disks);
  ASSERT_TRUE(fate.open || recovers == !fate.halts) << Describe(disks);
  if (recovers) {
    const auto longest = std::max_element(
        disks.begin(), disks.end(),
        [](const Disk& a, const Disk& b) { return a.terms.size() < b.terms.size(); });
    ASSERT_GE(group.KeptOf(*longest), fate.keeps) << Describe(disks);
  }
  (recovers ? tally.recovered : tally.halted) += times;
}

// Every subset of `entries` entries on `nodes` nodes is bad.
Tally CheckAllSubsets(size_t entries, size_t nodes) {
  Tally tally;
  for (size_t set = 0; set < size_t{1} << (entries * nodes); ++set) {
    Disks disks(nodes);
    for (size_t node = 0; node < nodes; ++node) {
      for (size_t entry = 0; entry < entries; ++entry) {
        disks[node].terms.push_back(1);
        disks[node].good.push_back((set >> (node * entries + entry) & 1) == 0);
      }
    }
    Check(disks, {MembersOf(nodes)}, tally);
    if (testing::Test::HasFatalFailure()) return tally;
  }
  return tally;
}

TEST(EntryRecoveryTest, FourEntriesOnThreeNodes) {
  const Tally tally = CheckAllSubsets(4, 3);
  EXPECT_EQ(tally.recovered, 2401u);
  EXPECT_EQ(tally.halted, 1695u);
}

TEST(EntryRecoveryTest, ThreeEntriesOnFiveNodes) {
  const Tally tally = CheckAllSubsets(3, 5);
  // Each entry is somewhere in 31 of 32 ways.
  EXPECT_EQ(tally.recovered, 31u * 31 * 31);
  EXPECT_EQ(tally.halted, 32768u - 31 * 31 * 31);
}

// 1,048,576 ways. Which node has lost what changes nothing but the order of
// events, so of the ways that differ in that alone one is tried, drawn.
TEST(EntryRecoveryTest, FourEntriesOnFiveNodes) {
  constexpr size_t kEntries = 4;
  constexpr size_t kSets = size_t{1} << kEntries;
  Random random(1);
  Tally tally;
  size_t tried = 0;
  // Each way as what the nodes have lost, in order.
  std::vector<size_t> lost(5, 0);
  for (;;) {
    std::vector<size_t> shuffled = lost;
    for (size_t i = 1; i < shuffled.size(); ++i)
      std::swap(shuffled[i], shuffled[random.Below(i + 1)]);
    size_t times = 120, equal = 1;
    for (size_t i = 1; i < lost.size(); ++i) {
      equal = lost[i] == lost[i - 1] ? equal + 1 : 1;
      times /= equal;
    }
    Disks disks(lost.size());
    for (size_t node = 0; node < disks.size(); ++node) {
      disks[node].terms.assign(kEntries, 1);
      for (size_t entry = 0; entry < kEntries; ++entry) {
        disks[node].good.push_back((shuffled[node] >> entry & 1) == 0);
      }
    }
    Check(disks, {MembersOf(disks.size())}, tally, nullptr, times);
    ASSERT_FALSE(HasFatalFailure());
    ++tried;
    // The next one in order.
    size_t last = lost.size();
    while (last > 0 && lost[last - 1] == kSets - 1) --last;
    if (last == 0) break;
    std::fill(lost.begin() + static_cast<std::ptrdiff_t>(last) - 1, lost.end(), lost[last - 1] + 1);
  }
  EXPECT_EQ(tried, 15'504u);
  EXPECT_EQ(tally.recovered, 923'521u);
  EXPECT_EQ(tally.halted, 125'055u);
}

// Logs of every length, of several terms, each entry good or bad, and what is
// bad at the end of a log torn or not.
Disks DrawDisks(Random& random, size_t nodes, const std::vector<Term>& terms) {
  Disks disks(nodes);
  for (Disk& disk : disks) {
    const size_t length = random.Below(terms.size() + 1);
    disk.terms.assign(terms.begin(), terms.begin() + static_cast<std::ptrdiff_t>(length));
    for (size_t at = 0; at < length; ++at) disk.good.push_back(!random.OneIn(3));
    disk.torn = random.OneIn(3);
  }
  return disks;
}

TEST(EntryRecoveryTest, LaggingLogsAndTornTails) {
  Random random(1);
  Tally tally;
  const std::vector<Term> terms = {1, 2, 2, 3};
  for (int round = 0; round < 20'000; ++round) {
    const Disks disks = DrawDisks(random, random.OneIn(4) ? 5 : 3, terms);
    Check(disks, {MembersOf(disks.size())}, tally, random.OneIn(2) ? &random : nullptr);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
  EXPECT_GT(tally.recovered, 1000u);
  EXPECT_GT(tally.halted, 1000u);
}

// Some of them never campaign. So who has torn what they alone hold may be the only one to lead.
TEST(EntryRecoveryTest, TornTailsAndObservers) {
  Random random(3);
  Tally tally;
  const std::vector<Term> terms = {1, 2, 2, 3};
  for (int round = 0; round < 10'000; ++round) {
    const size_t nodes = random.OneIn(4) ? 5 : 3;
    Disks disks = DrawDisks(random, nodes, terms);
    for (Disk& disk : disks) disk.torn = disk.torn || random.OneIn(2);
    Members members = {MembersOf(nodes)};
    while (members.observers.size() < (nodes - 1) / 2) {
      members.observers.insert(NodeId{1 + random.Below(nodes)});
    }
    Check(disks, members, tally, random.OneIn(2) ? &random : nullptr);
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
  EXPECT_GT(tally.recovered, 1000u);
  EXPECT_GT(tally.halted, 500u);
}

// What was answered about the first doubts is no answer to later ones.
TEST(EntryRecoveryTest, SecondDoubts) {
  Random random(2);
  size_t asked = 0;
  for (int round = 0; round < 2'000; ++round) {
    Disks disks(random.OneIn(4) ? 5 : 3);
    for (Disk& disk : disks) {
      disk.terms.assign(1 + random.Below(3), 1);
      for (size_t at = 0; at < disk.terms.size(); ++at) disk.good.push_back(!random.OneIn(3));
      disk.torn = random.OneIn(2);
    }
    const Members members = {MembersOf(disks.size())};
    const Fate fate = FateOf(disks, members);
    if (fate.halts || fate.open) continue;
    Group group(disks, members);
    ASSERT_TRUE(group.Recovers(Seconds(60))) << Describe(disks);
    asked += group.DamageAgain();
    ASSERT_EQ(group.violation(), "") << Describe(disks);
    ASSERT_TRUE(group.Recovers(Seconds(60))) << Describe(disks);
    ASSERT_EQ(group.violation(), "") << Describe(disks);
  }
  EXPECT_GT(asked, 100u);
}

// From the first voters to the second ones.
struct Change {
  std::vector<uint64_t> from;
  std::vector<uint64_t> to;
};
const std::vector<Change>& Changes() {
  static const auto* const changes = new std::vector<Change>{
      {{1, 2, 3}, {1, 4, 5}}, {{1, 2, 3}, {2, 3, 4}}, {{1, 2, 3}, {4, 5}},       {{1}, {1, 2, 3}},
      {{1, 2, 3}, {3}},       {{1, 2}, {3, 4, 5}},    {{1, 2, 3, 4}, {1, 2, 5}},
  };
  return *changes;
}

Members MembersIn(const Change& change, Index joint_at) {
  const auto voters_of = [](const std::vector<uint64_t>& ids) {
    std::vector<Member> voters;
    for (const uint64_t id : ids) {
      voters.push_back({NodeId{id}, Incarnation::kUnknown, absl::StrCat("n", id)});
    }
    return voters;
  };
  Members members;
  members.joint_at = joint_at;
  members.base.voters = members.joint.outgoing_voters = voters_of(change.from);
  members.joint.voters = voters_of(change.to);
  // Who is to vote learns first.
  for (const Member& member : members.joint.voters) {
    if (!members.base.IsVoter(member.node)) members.base.learners.push_back(member);
  }
  return members;
}

// Two entries behind a joint configuration that all have committed: all
// subsets.
TEST(EntryRecoveryTest, TwoEntriesOfAJointConfiguration) {
  Tally tally;
  for (const Change& change : Changes()) {
    const Members in_log = MembersIn(change, kMaxIndex);
    const Members members = {.base = in_log.joint};
    const size_t nodes = members.base.Nodes().size();
    for (size_t set = 0; set < size_t{1} << (2 * nodes); ++set) {
      Disks disks(nodes);
      for (size_t bit = 0; bit < 2 * nodes; ++bit) {
        disks[bit / 2].terms.push_back(1);
        disks[bit / 2].good.push_back((set >> bit & 1) == 0);
      }
      Check(disks, members, tally);
      ASSERT_FALSE(HasFatalFailure()) << ToString(members.base);
    }
  }
  EXPECT_GT(tally.recovered, 1000u);
  EXPECT_GT(tally.halted, 100u);
}

// Logs of every length and of several terms, in which some entry is a joint
// configuration, or that begin behind one.
TEST(EntryRecoveryTest, LaggingLogsWithAJointConfiguration) {
  Random random(1);
  Tally tally;
  const std::vector<Term> terms = {1, 2, 2, 3};
  for (int round = 0; round < 20'000; ++round) {
    const Change& change = Changes()[random.Below(Changes().size())];
    const Index joint_at = kBase + random.Below(terms.size() + 1);
    Members members = MembersIn(change, joint_at);
    if (joint_at == kBase) members = {.base = members.joint};
    const Disks disks = DrawDisks(random, members.base.Nodes().size(), terms);
    Check(disks, members, tally, random.OneIn(2) ? &random : nullptr);
    ASSERT_FALSE(HasFatalFailure())
        << "round " << round << ", joint at " << joint_at << ": " << ToString(members.joint);
  }
  EXPECT_GT(tally.recovered, 1000u);
  EXPECT_GT(tally.halted, 1000u);
}

}  // namespace
}  // namespace cairn
