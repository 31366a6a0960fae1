#include "tests/sim/envelope_text.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "raft/core/messages.h"

namespace cairn::sim {
namespace {

template <typename... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <typename... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

std::string Text(const PreVoteRequest& m) {
  return absl::StrCat("last=", ToString(m.last), " campaign=", m.campaign);
}
std::string Text(const PreVoteReply& m) {
  return absl::StrCat(m.granted ? "granted" : "refused", " campaign=", m.campaign);
}
std::string Text(const VoteRequest& m) {
  return absl::StrCat("last=", ToString(m.last), " campaign=", m.campaign,
                      m.forced ? " forced" : "");
}
std::string Text(const VoteReply& m) {
  return absl::StrCat(m.granted ? "granted" : "refused", " campaign=", m.campaign);
}
std::string Text(const AppendEntries& m) {
  return absl::StrCat("previous=", ToString(m.previous), " commit=", m.commit);
}
std::string Text(const AppendReply& m) {
  if (m.success) return absl::StrCat("match=", m.match);
  return absl::StrCat("refused=", m.refused_index, " hint=", ToString(m.hint));
}
std::string Text(const Heartbeat& m) {
  return absl::StrCat("commit=", m.commit, " context=", m.context,
                      m.quiesce ? absl::StrCat(" rest_at=", ToString(m.quiesce->last)) : "");
}
std::string Text(const HeartbeatReply& m) {
  return absl::StrCat("context=", m.context, m.quiesced ? " rests" : "");
}
std::string Text(const ReadIndexRequest& m) { return absl::StrCat("request=", m.request); }
std::string Text(const ReadIndexReply& m) {
  return absl::StrCat("request=", m.request, m.ready ? " ready index=" : " refused ", m.index);
}
std::string Text(const TailQuery& m) {
  return absl::StrCat("query=", m.query, " good=", ToString(m.good));
}
std::string Text(const TimeoutNow&) { return ""; }
std::string Text(const RejoinRequest& m) { return absl::StrCat("nonce=", m.nonce); }
std::string Text(const RejoinReply& m) {
  return absl::StrCat("nonce=", m.nonce, " barrier=", m.barrier);
}
std::string Text(const RemovedNotice& m) { return absl::StrCat("at=", ToString(m.at)); }
std::string Text(const TailReply& m) {
  return absl::StrCat("query=", m.query, " have_through=", m.have_through,
                      " known_commit=", m.known_commit);
}

}  // namespace

const char* NameOfBody(const Envelope& envelope) {
  return std::visit(Overloaded{
                        [](const MessageBody& body) { return NameOf(body); },
                        [](const Hello&) { return "Hello"; },
                        [](const ForwardedProposals&) { return "ForwardedProposals"; },
                        [](const ForwardedResults&) { return "ForwardedResults"; },
                        [](const IdentityRefusal&) { return "IdentityRefusal"; },
                        [](const SnapshotOffer&) { return "SnapshotOffer"; },
                        [](const SnapshotAnswer&) { return "SnapshotAnswer"; },
                        [](const SnapshotRequest&) { return "SnapshotRequest"; },
                        [](const SnapshotPiece&) { return "SnapshotPiece"; },
                        [](const HostHeartbeat&) { return "HostHeartbeat"; },
                        [](const EntryRequest&) { return "EntryRequest"; },
                        [](const EntryReply&) { return "EntryReply"; },
                    },
                    envelope.body);
}

std::string EnvelopeText(const Envelope& envelope) {
  std::string text = absl::StrCat("g", ToInteger(envelope.group), " ", NameOfBody(envelope));
  if (const auto* body = std::get_if<MessageBody>(&envelope.body)) {
    absl::StrAppend(&text, " term=", TermOf(*body), " ");
    absl::StrAppend(&text, std::visit([](const auto& m) { return Text(m); }, *body));
  } else if (const auto* hello = std::get_if<Hello>(&envelope.body)) {
    absl::StrAppend(&text, hello->formed ? " formed" : " unformed", " question=", hello->question,
                    hello->reply_wanted ? "" : " (answer)");
  } else if (const auto* forwarded = std::get_if<ForwardedProposals>(&envelope.body)) {
    absl::StrAppend(&text, " term=", forwarded->term, " request=", forwarded->request, " of ",
                    forwarded->entries.size());
  } else if (const auto* results = std::get_if<ForwardedResults>(&envelope.body)) {
    absl::StrAppend(&text, " request=", results->request, " of ", results->results.size());
  } else if (const auto* refusal = std::get_if<IdentityRefusal>(&envelope.body)) {
    absl::StrAppend(&text, " ", refusal->message);
  } else if (const auto* offer = std::get_if<SnapshotOffer>(&envelope.body)) {
    absl::StrAppend(&text, " term=", offer->term, " at ", ToString(offer->position));
  } else if (const auto* answer = std::get_if<SnapshotAnswer>(&envelope.body)) {
    absl::StrAppend(&text, " ", NameOf(answer->verdict), " term=", answer->term,
                    " commit=", answer->commit);
  } else if (const auto* request = std::get_if<SnapshotRequest>(&envelope.body)) {
    absl::StrAppend(&text, " file=", request->file, " ", request->offset, "+", request->bytes);
  } else if (const auto* wanted = std::get_if<EntryRequest>(&envelope.body)) {
    absl::StrAppend(&text, " request=", wanted->request);
    for (const EntryRange& range : wanted->wanted) {
      absl::StrAppend(&text, " ", range.first, "..", range.last, "/", range.term);
    }
  } else if (const auto* given = std::get_if<EntryReply>(&envelope.body)) {
    absl::StrAppend(&text, " request=", given->request);
  } else if (const auto* host = std::get_if<HostHeartbeat>(&envelope.body)) {
    absl::StrAppend(&text, " question=", host->question, host->reply_wanted ? "" : " (answer)",
                    " life=", host->life);
    if (host->answered != 0) absl::StrAppend(&text, " answers=", host->answered);
  } else if (const auto* piece = std::get_if<SnapshotPiece>(&envelope.body)) {
    absl::StrAppend(&text, " file=", piece->file, " ", piece->offset, "+", piece->bytes.size(),
                    piece->gone ? " gone" : "");
  }
  for (const RecordRun& run : envelope.entries) {
    if (run.empty()) continue;
    absl::StrAppend(&text, " [", ToString(run.first()), "..", ToString(run.last()), "]");
  }
  return text;
}

}  // namespace cairn::sim
