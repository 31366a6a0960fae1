#include "tests/core/scenario_text.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace cairn {
namespace {

std::string Range(Index first, Index last, Term term) {
  if (first == last) return absl::StrCat(first, "/", term);
  return absl::StrCat(first, "..", last, "/", term);
}

std::string NodeName(NodeId node) {
  return node == NodeId::kNone ? "none" : absl::StrCat("n", ToInteger(node));
}

// What a body says beyond its name and term.
class Fields {
 public:
  explicit Fields(ShortNames& names) : names_(names) {}

  std::string operator()(const PreVoteRequest& m) { return Ask(m.last, m.campaign); }
  std::string operator()(const VoteRequest& m) {
    return absl::StrCat(Ask(m.last, m.campaign), m.forced ? " forced" : "");
  }
  std::string operator()(const PreVoteReply& m) { return Vote(m.granted, m.campaign); }
  std::string operator()(const VoteReply& m) { return Vote(m.granted, m.campaign); }
  std::string operator()(const AppendEntries& m) {
    std::string text =
        absl::StrCat(" previous=", ToString(m.previous),
                     " entries=", DescribeRuns(m.previous.index, m.runs), " commit=", m.commit);
    for (const auto& [at, configuration] : m.configurations) {
      absl::StrAppend(&text, " [", at.index, ": ", ToString(configuration), "]");
    }
    return text;
  }
  std::string operator()(const AppendReply& m) {
    if (m.success) return absl::StrCat(" match=", m.match);
    return absl::StrCat(" refused=", m.refused_index, " hint=", ToString(m.hint));
  }
  std::string operator()(const Heartbeat& m) {
    return absl::StrCat(" commit=", m.commit, Context(m.context),
                        m.quiesce ? absl::StrCat(" rest_at=", ToString(m.quiesce->last)) : "");
  }
  std::string operator()(const HeartbeatReply& m) {
    const bool unasked = m.sent == Instant() && m.clock > Instant();
    const std::string rest = m.quiesced ? " rests" : unasked ? " unasked" : "";
    if (m.priority == 0) return absl::StrCat(Context(m.context), rest);
    return absl::StrCat(Context(m.context), rest, " priority=",
                        m.priority == kNeverLeads ? "never" : absl::StrCat(m.priority));
  }
  std::string operator()(const TimeoutNow&) { return ""; }
  std::string operator()(const RemovedNotice& m) { return absl::StrCat(" at=", ToString(m.at)); }
  std::string operator()(const ReadIndexRequest& m) {
    return absl::StrCat(" ", names_.Of('q', m.request), m.lease ? " lease" : "");
  }
  std::string operator()(const ReadIndexReply& m) {
    return absl::StrCat(" ", names_.Of('q', m.request),
                        m.ready ? absl::StrCat(" index=", m.index) : " refused",
                        m.lease ? " lease" : "");
  }
  std::string operator()(const TailQuery& m) {
    return absl::StrCat(" ", names_.Of('t', m.query), " good=", ToString(m.good),
                        " torn=", DescribeRuns(m.good.index, m.torn));
  }
  std::string operator()(const TailReply& m) {
    return absl::StrCat(" ", names_.Of('t', m.query), " have_through=", m.have_through,
                        " commit=", m.known_commit);
  }
  std::string operator()(const RejoinRequest& m) {
    return absl::StrCat(" ", names_.Of('j', m.nonce));
  }
  std::string operator()(const RejoinReply& m) {
    return absl::StrCat(" ", names_.Of('j', m.nonce), " barrier=", m.barrier);
  }

 private:
  std::string Ask(LogPosition last, CampaignId campaign) {
    return absl::StrCat(" last=", ToString(last), " ", names_.Of('c', campaign));
  }
  std::string Vote(bool granted, CampaignId campaign) {
    return absl::StrCat(granted ? " granted " : " refused ", names_.Of('c', campaign));
  }
  std::string Context(ReadContext context) {
    return context == 0 ? "" : " " + names_.Of('r', context);
  }

  ShortNames& names_;
};

std::string DescribeRun(const AppendRun& run) {
  std::string text = Range(run.first.index, run.last_index, run.first.term);
  switch (run.source) {
    case AppendRun::Source::kProposals:
      return text + " proposals";
    case AppendRun::Source::kReceived:
      // Later terms may follow; only the first one is known.
      return absl::StrCat(ToString(run.first), " to ", run.last_index, " received");
    case AppendRun::Source::kNoop:
      return text + " noop";
    case AppendRun::Source::kConfiguration:
      return absl::StrCat(text, " configuration ", ToString(run.configuration.value()));
  }
  return text;
}

}  // namespace

std::string ShortNames::Of(char kind, uint64_t number) {
  auto& names = names_[kind];
  uint64_t name = names.try_emplace(number, names.size() + 1).first->second;
  return absl::StrCat(absl::string_view(&kind, 1), name);
}

std::string DescribeRuns(Index previous, const std::vector<TermRun>& runs) {
  std::string text;
  for (const TermRun& run : runs) {
    absl::StrAppend(&text, text.empty() ? "" : " ", Range(previous + 1, run.last_index, run.term));
    previous = run.last_index;
  }
  return text.empty() ? "none" : text;
}

std::string Describe(const MessageBody& body, ShortNames& names) {
  return absl::StrCat(NameOf(body), " term=", TermOf(body), std::visit(Fields(names), body));
}

std::string Describe(const LogBatch& batch) {
  std::vector<std::string> parts;
  if (batch.hard_state) {
    parts.push_back(absl::StrCat("term=", batch.hard_state->term, " vote=",
                                 ToInteger(batch.hard_state->vote), batch.sure ? " sure" : ""));
  }
  if (batch.reset_to) {
    parts.push_back(absl::StrCat("resets the log to ", ToString(batch.reset_to->base)));
  }
  if (batch.truncate_from) parts.push_back(absl::StrCat("truncates from ", *batch.truncate_from));
  for (const AppendRun& run : batch.runs) parts.push_back(DescribeRun(run));
  if (batch.drop_to) parts.push_back(absl::StrCat("drops up to ", *batch.drop_to));
  return absl::StrCat("#", batch.ticket, ": ", absl::StrJoin(parts, ", "));
}

std::string Describe(const ProposalOutcome& outcome) {
  if (outcome.accepted) return absl::StrCat("accepts a proposal at ", ToString(outcome.first));
  if (outcome.reason == RefusalReason::kBusy) return "refuses a proposal: busy";
  if (outcome.reason == RefusalReason::kTransferring) {
    return absl::StrCat("refuses a proposal: hands over to ", NodeName(outcome.leader));
  }
  return absl::StrCat("refuses a proposal: not the leader, try ", NodeName(outcome.leader));
}

std::string Describe(const ReadOutcome& outcome) {
  if (outcome.ready) return absl::StrCat("read ", outcome.read, " is ready at ", outcome.index);
  return absl::StrCat("read ", outcome.read, " is refused, try ", NodeName(outcome.leader));
}

std::string Describe(const ControlOutcome& outcome) {
  if (outcome.refusal != ControlRefusal::kNone) {
    return absl::StrCat("refuses request ", outcome.request, ": ", NameOf(outcome.refusal),
                        outcome.text.empty() ? "" : ": ", outcome.text, ", leader ",
                        NodeName(outcome.leader));
  }
  return absl::StrCat("does request ", outcome.request,
                      outcome.at.index == 0 ? "" : absl::StrCat(" by ", ToString(outcome.at)),
                      ", leader ", NodeName(outcome.leader));
}

std::string Describe(const LeadershipChange& change) {
  return absl::StrCat("is ", NameOf(change.role), " in term ", change.term, ", leader ",
                      NodeName(change.leader));
}

}  // namespace cairn
