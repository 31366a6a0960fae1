// ForwardIntake: which forwarded requests a leader has seen.

#ifndef RAFT_FORWARDING_FORWARD_INTAKE_H_
#define RAFT_FORWARDING_FORWARD_INTAKE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "base/types.h"
#include "raft/envelope.h"

namespace cairn {

// A request may come twice, or hours late; its commands must not be applied twice because of that,
// and it must not be called "not applied" when an earlier copy was taken. So a request counts once,
// in the term whose leader it was meant for, and only where this process has led that term: nobody
// leads a term again after a restart, so no earlier process of this node can have taken it. Of any
// other request nothing is known, and nothing is said.
//
// Threads: one at a time.
class ForwardIntake {
 public:
  // Requests this much older than the newest one of their life count as seen.
  static constexpr uint64_t kWindow = 4096;
  // Starts of forwarding nodes in one term; more are not served.
  static constexpr size_t kMaxLives = 256;

  // This node leads `term` from now on.
  void Lead(Term term);

  // True the first time a request of the term last led comes in. It may be taken, or refused; the
  // others are to be ignored.
  bool Admit(NodeId from, const ForwardedProposals& forwarded);

 private:
  struct Life {
    uint64_t newest = 0;
    std::set<uint64_t> seen;  // within the window
  };

  Term term_ = 0;
  std::map<std::pair<NodeId, uint64_t>, Life> lives_;
};

}  // namespace cairn

#endif  // RAFT_FORWARDING_FORWARD_INTAKE_H_
