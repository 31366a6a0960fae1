#include "tests/sim/checkers/candidacy_checker.h"

#include "absl/strings/str_cat.h"

namespace cairn::sim {

void CandidacyChecker::Report(NodeId node, Term term, const char* what, const char* but) {
  violations_.Report("who must not lead does not",
                     absl::StrCat("n", ToInteger(node), " ", what, " term ", term, ", and ", but));
}

void CandidacyChecker::Voted(NodeId node) {
  if (observers_.contains(node)) counters_.Count("observer voted");
  if (paused_.contains(node)) counters_.Count("paused member voted");
}

void CandidacyChecker::CheckMay(NodeId node, Term term, const char* what) {
  if (deleted_.contains(node)) Report(node, term, what, "was deleted");
  if (observers_.contains(node)) Report(node, term, what, "never campaigns");
  // What it did in an earlier term may be heard of late.
  const auto paused = paused_.find(node);
  if (paused != paused_.end() && term > paused->second) Report(node, term, what, "is paused");
}

}  // namespace cairn::sim
