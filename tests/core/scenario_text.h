// How scenarios print what Rafts say and want.

#ifndef TESTS_CORE_SCENARIO_TEXT_H_
#define TESTS_CORE_SCENARIO_TEXT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/types.h"
#include "raft/core/effects.h"
#include "raft/core/messages.h"

namespace cairn {

// Gives drawn numbers (campaigns, contexts, requests) short names in the order they appear, so that
// expected outputs do not depend on the generator's numbers.
class ShortNames {
 public:
  // "c1", "c2", ... for the numbers of kind `kind`.
  std::string Of(char kind, uint64_t number);

 private:
  std::map<char, std::map<uint64_t, uint64_t>> names_;
};

// "4..6/1 7/2": the entries behind `previous`, term by term.
std::string DescribeRuns(Index previous, const std::vector<TermRun>& runs);
// "VoteRequest term=2 last=5/1 c1"
std::string Describe(const MessageBody& body, ShortNames& names);
// "#3: term=2 vote=1, truncates from 4, 4/2 noop"
std::string Describe(const LogBatch& batch);
std::string Describe(const ProposalOutcome& outcome);
std::string Describe(const ReadOutcome& outcome);
std::string Describe(const ControlOutcome& outcome);
std::string Describe(const LeadershipChange& change);

}  // namespace cairn

#endif  // TESTS_CORE_SCENARIO_TEXT_H_
