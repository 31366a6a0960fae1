#include "raft/forwarding/forward_intake.h"

#include <algorithm>

#include "base/check.h"

namespace cairn {

void ForwardIntake::Lead(Term term) {
  CAIRN_CHECK_GT(term, term_);
  term_ = term;
  lives_.clear();
}

bool ForwardIntake::Admit(NodeId from, const ForwardedProposals& forwarded) {
  if (forwarded.term != term_) return false;
  auto key = std::pair(from, forwarded.life);
  auto found = lives_.find(key);
  if (found == lives_.end()) {
    if (lives_.size() >= kMaxLives) return false;
    found = lives_.emplace(key, Life()).first;
  }
  Life& life = found->second;
  if (forwarded.request + kWindow <= life.newest) return false;
  if (!life.seen.insert(forwarded.request).second) return false;
  life.newest = std::max(life.newest, forwarded.request);
  while (*life.seen.begin() + kWindow <= life.newest) life.seen.erase(life.seen.begin());
  return true;
}

}  // namespace cairn
