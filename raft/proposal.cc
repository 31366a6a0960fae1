#include "raft/proposal.h"

#include "base/check.h"

namespace cairn {

const char* NameOf(ProposalNotApplied::Reason reason) {
  switch (reason) {
    case ProposalNotApplied::Reason::kTermChanged:
      return "TERM_CHANGED";
    case ProposalNotApplied::Reason::kNotLeader:
      return "NOT_LEADER";
    case ProposalNotApplied::Reason::kNoLeader:
      return "NO_LEADER";
    case ProposalNotApplied::Reason::kOverloaded:
      return "OVERLOADED";
    case ProposalNotApplied::Reason::kNoSpace:
      return "NO_SPACE";
    case ProposalNotApplied::Reason::kTooLarge:
      return "ENTRY_TOO_LARGE";
    case ProposalNotApplied::Reason::kDeadline:
      return "NOT_PROPOSED";
    case ProposalNotApplied::Reason::kStopping:
      return "STOPPING";
    case ProposalNotApplied::Reason::kFenced:
      return "STORAGE_FAILED";
    case ProposalNotApplied::Reason::kSessionExpired:
      return "SESSION_EXPIRED";
    case ProposalNotApplied::Reason::kSessionNumberReused:
      return "SESSION_NUMBER_REUSED";
    case ProposalNotApplied::Reason::kSessionGap:
      return "SESSION_GAP";
    case ProposalNotApplied::Reason::kSessionNumberTooOld:
      return "SESSION_NUMBER_TOO_OLD";
    case ProposalNotApplied::Reason::kNotFormed:
      return "NOT_FORMED";
    case ProposalNotApplied::Reason::kOrderBroken:
      return "ORDER_BROKEN";
  }
  CAIRN_CHECK(false) << "unknown reason " << static_cast<int>(reason);
  return "";
}

const char* NameOf(ReadRefused::Reason reason) {
  switch (reason) {
    case ReadRefused::Reason::kNoLeader:
      return "NO_LEADER";
    case ReadRefused::Reason::kDeadline:
      return "DEADLINE";
    case ReadRefused::Reason::kOverloaded:
      return "OVERLOADED";
    case ReadRefused::Reason::kStopping:
      return "STOPPING";
    case ReadRefused::Reason::kFenced:
      return "STORAGE_FAILED";
    case ReadRefused::Reason::kNotFormed:
      return "NOT_FORMED";
  }
  CAIRN_CHECK(false) << "unknown reason " << static_cast<int>(reason);
  return "";
}

}  // namespace cairn
