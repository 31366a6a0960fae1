// Lease: how long nobody else can lead, by what the voters have promised (thesis 6.4.1).

#ifndef RAFT_CORE_LEASE_H_
#define RAFT_CORE_LEASE_H_

#include <map>
#include <optional>

#include "base/time.h"
#include "base/types.h"
#include "raft/core/configuration.h"

namespace cairn {

// How fast the clock of another node runs, against this node's. Proves only what no delay of a
// message can explain.
class ClockWatch {
 public:
  // Its clock said `theirs` at some moment between `sent` and `received` on this node's.
  void Sample(Instant sent, Instant received, Instant theirs);
  // True if samples prove that the rates differ by more than `per_mille`, or that the other clock
  // was set back.
  bool Exceeds(int64_t per_mille) const;

 private:
  // A delay of a tenth of this is less than what is looked for.
  static constexpr Duration kWindow = Seconds(10);
  struct Seen {
    Instant sent;
    Instant received;
    Instant theirs;
  };
  // The rate is measured from the anchor to the last sample, so over one to two windows.
  std::optional<Seen> anchor_;
  std::optional<Seen> next_anchor_;
  std::optional<Seen> last_;
};

// The promises made to one leadership. Each voter that answers a heartbeat promises to grant nobody
// else a vote for some time after it came in, so at least as long after it was sent. What a quorum
// has promised holds for this leader, if its clock and theirs run alike: a promise counts shortened
// by the greatest difference of rates, and whoever's clock is seen to differ by more ends the lease
// for this leadership. Messages that are late, repeated or of a time before a pause carry an older
// `sent`, and prolong nothing.
class Lease {
 public:
  explicit Lease(int64_t max_drift_per_mille) : max_drift_per_mille_(max_drift_per_mille) {}

  // `voter` answers, at `now`, a heartbeat of this leadership that was sent at `sent`. False if its
  // clock has just ended the lease.
  bool Promised(NodeId voter, Instant sent, Duration promise, Instant clock, Instant now);
  // No lease any more in this leadership: something may make voters break their promises.
  void End() { ended_ = true; }
  bool ended() const { return ended_; }

  // Until when nobody else can lead, on this leader's clock; the distant past without a lease.
  Instant Until(const Configuration& configuration, NodeId self) const;

 private:
  struct Promise {
    Instant until = {};
    ClockWatch clock;
  };
  int64_t max_drift_per_mille_;
  std::map<NodeId, Promise> promises_;
  bool ended_ = false;
};

}  // namespace cairn

#endif  // RAFT_CORE_LEASE_H_
