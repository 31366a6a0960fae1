// The words every part of Cairn speaks: terms, indexes, positions and identities.

#ifndef BASE_TYPES_H_
#define BASE_TYPES_H_

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "base/bytes.h"

namespace cairn {

// A Raft term. 0 means "none"; the first election makes term 1.
using Term = uint64_t;

// The place of an entry in a group's log. The first entry has index 1; 0 is "before the log".
using Index = uint64_t;

// Names one log batch of one group. Grows by one a batch; 0 means "none". See
// raft/core/durability.h for why durability is told by tickets and not by indexes.
using Ticket = uint64_t;

// Wire and disk accept no term or index above this: far below overflow, far above any honest value.
inline constexpr uint64_t kMaxTerm = uint64_t{1} << 62;
inline constexpr uint64_t kMaxIndex = uint64_t{1} << 62;

enum class NodeId : uint64_t { kNone = 0 };
enum class GroupId : uint64_t { kNone = 0, kDefault = 1 };

// Drawn at random when a data directory is formatted: tells a node from a wiped node that starts
// under the same id.
enum class Incarnation : uint64_t { kUnknown = 0 };

constexpr uint64_t ToInteger(NodeId id) { return static_cast<uint64_t>(id); }
constexpr uint64_t ToInteger(GroupId id) { return static_cast<uint64_t>(id); }
constexpr uint64_t ToInteger(Incarnation id) { return static_cast<uint64_t>(id); }

// Hash of the initial members and the cluster token; the same on every node of a cluster.
struct ClusterId {
  std::array<uint8_t, 16> bytes = {};
  friend auto operator<=>(const ClusterId&, const ClusterId&) = default;
};

// The id in the usual 8-4-4-4-12 hexadecimal form.
std::string ToString(const ClusterId& id);

struct LogPosition {
  Index index = 0;
  Term term = 0;
  friend auto operator<=>(const LogPosition&, const LogPosition&) = default;
};

// "index/term", as traces and errors print a position.
std::string ToString(LogPosition position);

// Raft's "at least as up-to-date" (paper 5.4.1): the later last term wins, then the longer log.
constexpr bool AtLeastAsUpToDate(LogPosition candidate, LogPosition own) {
  return candidate.term != own.term ? candidate.term > own.term : candidate.index >= own.index;
}

// The entries of one term that stand in a row; a list of runs is the shape of a log. A run starts
// behind the last index of the run before it.
struct TermRun {
  Term term = 0;
  Index last_index = 0;
  friend auto operator<=>(const TermRun&, const TermRun&) = default;
};

// What a node must remember of elections before it answers (paper figure 2, "persistent state").
struct HardState {
  Term term = 0;
  NodeId vote = NodeId::kNone;
  friend auto operator<=>(const HardState&, const HardState&) = default;
};

// Hash of an entry's header. The header covers the payload's checksum and the hash of the entry
// before, so equal hashes at one index mean equal logs up to there.
struct EntryHash {
  uint64_t high = 0;
  uint64_t low = 0;
  friend auto operator<=>(const EntryHash&, const EntryHash&) = default;
};

std::string ToString(EntryHash hash);

// A configuration entry as storage hands it out: position and undecoded body
// (raft/core/configuration.h decodes it).
struct RawConfiguration {
  LogPosition at;
  Bytes body;
};

}  // namespace cairn

#endif  // BASE_TYPES_H_
