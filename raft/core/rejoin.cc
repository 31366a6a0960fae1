#include "raft/core/rejoin.h"

#include <utility>

#include "base/check.h"

namespace cairn {

uint64_t Rejoin::Ask(Term term, uint64_t drawn) {
  CAIRN_CHECK(unsure_ && drawn != 0);
  if (term_ != term) {
    *this = Rejoin(true);
    term_ = term;
    nonce_ = drawn;
  }
  return nonce_;
}

bool Rejoin::Answer(Term term, uint64_t nonce, Index barrier) {
  if (!unsure_ || term_ != term || nonce_ != nonce || barrier == 0) return false;
  barrier_ = barrier;
  return true;
}

bool Rejoin::Stalls(Index verified) {
  return std::exchange(verified_, verified) == verified && verified < barrier_;
}

}  // namespace cairn
