// CallLog: makes proposal calls and writes down what they were answered.

#ifndef TESTS_RAFT_CALL_LOG_H_
#define TESTS_RAFT_CALL_LOG_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "raft/mailbox.h"
#include "raft/proposal_call.h"
#include "storage/record.h"

namespace cairn {

// "applied 5/2 reply", "NOT_LEADER" or "unknown 5/2".
inline std::string Describe(const ProposalResult& result) {
  if (const auto* applied = std::get_if<ProposalApplied>(&result)) {
    return "applied " + ToString(applied->at) + (applied->duplicate ? " again" : "") +
           (applied->reply.empty() ? "" : " " + std::string(applied->reply.view()));
  }
  if (const auto* refused = std::get_if<ProposalNotApplied>(&result))
    return NameOf(refused->reason);
  return "unknown " + ToString(std::get<ProposalUnknown>(result).at);
}

class CallLog {
 public:
  // A call of `count` entries; each answer is logged as "name[i]: answer".
  std::shared_ptr<ProposalCall> Call(const std::string& name, size_t count,
                                     ProposeOptions options = {}) {
    return std::make_shared<ProposalCall>(
        [this, name](size_t first, std::vector<ProposalResult> results) {
          for (size_t i = 0; i < results.size(); ++i) {
            answers_.push_back(name + "[" + std::to_string(first + i) +
                               "]: " + Describe(results[i]));
          }
        },
        count, options, nullptr, 0);
  }
  ProposalSpan Span(const std::string& name, size_t count, ProposeOptions options = {}) {
    return {Call(name, count, std::move(options)), 0, count};
  }
  // A request of `count` commands with payloads "name0", "name1", …
  ProposalRequest Request(const std::string& name, size_t count, ProposeOptions options = {}) {
    ProposalRequest request;
    for (size_t i = 0; i < count; ++i) {
      request.entries.push_back(
          PreparedEntry::Make(EntryType::kCommand, name + std::to_string(i), options.session));
    }
    request.span = Span(name, count, std::move(options));
    return request;
  }

  std::vector<std::string> Take() { return std::exchange(answers_, {}); }

 private:
  std::vector<std::string> answers_;
};

}  // namespace cairn

#endif  // TESTS_RAFT_CALL_LOG_H_
