#include "raft/forwarding/forwarder.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace cairn {
namespace {

constexpr int kMaxTries = 3;
// Deadlines are looked at this often at most: many calls with close deadlines cost one look.
constexpr Duration kDeadlineGrain = Milliseconds(5);

using Reason = ProposalNotApplied::Reason;

bool IsNotLeader(const ProposalResult& result) {
  const auto* refused = std::get_if<ProposalNotApplied>(&result);
  return refused != nullptr && refused->reason == Reason::kNotLeader;
}

constexpr char kLeaderChanged[] = "the leader it was forwarded to has changed";

ProposalUnknown Unknown(absl::string_view message) { return {{}, std::string(message)}; }

}  // namespace

void Forwarder::SetLeader(NodeId leader, Term term, Instant now) {
  if (leader == leader_ && term == term_) return;
  leader_ = leader;
  term_ = term;
  if (options_.grace == Duration{}) {
    std::map<uint64_t, Request> sent = std::exchange(sent_, {});
    busy_orders_.clear();
    for (auto& [number, request] : sent) {
      for (ProposalSpan& span : request.spans) {
        if (span.call != nullptr) span.Answer(Unknown(kLeaderChanged));
      }
    }
  }
  for (auto& [number, request] : sent_) {
    request.give_up = std::min(request.give_up, now + options_.grace);
    next_deadline_ = std::min(next_deadline_, request.give_up);
  }
  open_.clear();
  Requests waiting;
  for (Request& request : std::exchange(packing_, {})) {
    if (request.order != nullptr && busy_orders_.contains(request.order.get())) {
      waiting.push_back(std::move(request));
    } else {
      GiveBack(std::move(request));
    }
  }
  packing_ = std::move(waiting);
  for (auto at = packing_.begin(); at != packing_.end(); ++at) open_[at->order.get()] = at;
}

void Forwarder::Forward(Instant now, ProposalRequest request) {
  const std::shared_ptr<ProposalCall>& call = request.span.call;
  CAIRN_CHECK(leader_ != NodeId::kNone || Busy(call->options().order));
  for (size_t i = 0; i < request.entries.size(); ++i) {
    PreparedEntry& entry = request.entries[i];
    Request& open = Open(call->options(), entry.record_bytes(), request.tries);
    open.bytes += entry.record_bytes();
    open.entries.push_back(std::move(entry));
    if (open.spans.empty() || open.spans.back().call != call) {
      open.spans.push_back({call, request.span.offset + i, 0});
    }
    ++open.spans.back().count;
  }
  if (call->options().deadline.has_value()) {
    next_deadline_ = std::min(next_deadline_, std::max(*call->options().deadline, now));
  }
}

// The request that takes the next command with these options.
Forwarder::Request& Forwarder::Open(const ProposeOptions& options, size_t bytes, int tries) {
  const std::shared_ptr<ProposalOrder>& order = options.order;
  auto open = open_.find(order.get());
  if (open != open_.end()) {
    Request& last = *open->second;
    const bool fits = last.bytes + bytes <= options_.frame_bytes;
    if (fits && last.tries == tries && last.expected_term == options.expected_term) return last;
  }
  packing_.emplace_back();
  packing_.back().order = order;
  packing_.back().expected_term = options.expected_term;
  packing_.back().tries = tries;
  open_[order.get()] = std::prev(packing_.end());
  return packing_.back();
}

std::vector<Forwarder::Outgoing> Forwarder::TakeOutgoing(Instant now) {
  // Without a leader only what waits behind something is here.
  for (auto at = packing_.begin(); at != packing_.end();) {
    if (at->order != nullptr && busy_orders_.contains(at->order.get())) {
      ++at;
      continue;
    }
    auto open = open_.find(at->order.get());
    if (open != open_.end() && open->second == at) open_.erase(open);
    Request request = std::move(*at);
    at = packing_.erase(at);
    if (request.order != nullptr && request.order->broken) {
      for (ProposalSpan& span : request.spans) {
        if (span.call != nullptr) span.Answer(NotApplied(Reason::kOrderBroken));
      }
      continue;
    }
    if (ExpireSpans(now, request, NotApplied(Reason::kDeadline))) continue;
    if (request.expected_term != 0 && request.expected_term != term_) {
      for (ProposalSpan& span : request.spans) {
        if (span.call != nullptr) span.Answer(TermChanged(term_, leader_));
      }
      continue;
    }
    DropAnswered(request);
    Send(now, std::move(request));
  }
  return std::exchange(outgoing_, {});
}

// What was answered as not applied must not leave.
void Forwarder::DropAnswered(Request& request) {
  size_t from = 0;
  size_t to = 0;
  for (const ProposalSpan& span : request.spans) {
    for (size_t i = 0; i < span.count; ++i, ++from) {
      if (span.call == nullptr) continue;
      if (to != from) request.entries[to] = std::move(request.entries[from]);
      ++to;
    }
  }
  request.entries.erase(request.entries.begin() + static_cast<std::ptrdiff_t>(to),
                        request.entries.end());
  std::erase_if(request.spans, [](const ProposalSpan& span) { return span.call == nullptr; });
}

void Forwarder::Send(Instant now, Request request) {
  request.give_up = now + options_.timeout;
  request.to = leader_;
  request.term = term_;
  next_deadline_ = std::min(next_deadline_, request.give_up);
  if (request.order != nullptr) busy_orders_.insert(request.order.get());
  Outgoing outgoing;
  outgoing.to = leader_;
  outgoing.forwarded.term = term_;
  outgoing.forwarded.life = options_.life;
  outgoing.forwarded.request = ++last_request_;
  outgoing.forwarded.expected_term = request.expected_term;
  outgoing.forwarded.entries = request.entries;  // kept, to be proposed anew if refused
  outgoing_.push_back(std::move(outgoing));
  sent_.emplace(last_request_, std::move(request));
}

void Forwarder::Receive(NodeId from, ForwardedResults results) {
  auto sent = results.life == options_.life ? sent_.find(results.request) : sent_.end();
  if (sent == sent_.end() || from != sent->second.to) return;
  if (results.results.size() != sent->second.entries.size()) return;
  bool refused = std::all_of(results.results.begin(), results.results.end(), IsNotLeader);
  Request request = Take(sent);
  std::shared_ptr<ProposalOrder> order = request.order;
  const bool orphan = IsOrphan(request);
  if (!refused || request.tries >= kMaxTries) {
    AnswerResults(request, std::move(results.results));
    if (!orphan) return;
  } else {
    request.tries += 1;
    GiveBack(std::move(request));
  }
  // What waits behind it must not go first, and may have to go elsewhere.
  if (order != nullptr) GiveBackOrder(order.get());
}

void Forwarder::GiveBackOrder(ProposalOrder* order) {
  open_.erase(order);
  for (auto at = packing_.begin(); at != packing_.end();) {
    auto next = std::next(at);
    if (at->order.get() == order) {
      GiveBack(std::move(*at));
      packing_.erase(at);
    }
    at = next;
  }
}

void Forwarder::AnswerResults(Request& request, std::vector<ProposalResult> results) {
  absl::Span<ProposalResult> rest = absl::MakeSpan(results);
  for (ProposalSpan& span : request.spans) {
    if (span.call != nullptr) span.call->Answer(span.offset, rest.subspan(0, span.count));
    rest.remove_prefix(span.count);
  }
}

Forwarder::Request Forwarder::Take(std::map<uint64_t, Request>::iterator sent) {
  Request request = std::move(sent->second);
  sent_.erase(sent);
  if (request.order != nullptr) busy_orders_.erase(request.order.get());
  return request;
}

void Forwarder::GiveBack(Request request) {
  size_t at = 0;
  for (ProposalSpan& span : request.spans) {
    ProposalRequest retry;
    for (size_t i = 0; i < span.count; ++i) {
      retry.entries.push_back(std::move(request.entries[at++]));
    }
    if (span.call == nullptr) continue;
    retry.span = std::move(span);
    retry.tries = request.tries;
    retries_.push_back(std::move(retry));
  }
}

bool Forwarder::ExpireSpans(Instant now, Request& request, const ProposalResult& result) {
  bool waited_for = false;
  for (ProposalSpan& span : request.spans) {
    if (span.call == nullptr) continue;
    if (request.give_up <= now || span.call->Expired(now)) {
      span.Answer(result);
      span.call = nullptr;
    } else {
      waited_for = true;
      next_deadline_ = std::min(
          next_deadline_,
          std::max(now + kDeadlineGrain, span.call->options().deadline.value_or(kDistantFuture)));
    }
  }
  if (waited_for && request.give_up != kDistantFuture) {
    next_deadline_ = std::min(next_deadline_, std::max(now + kDeadlineGrain, request.give_up));
  }
  return !waited_for;
}

void Forwarder::Expire(Instant now) {
  if (now < next_deadline_) return;
  next_deadline_ = kDistantFuture;
  const ProposalUnknown silent = Unknown("forwarded to the leader, and no answer came in time");
  const ProposalUnknown changed = Unknown(kLeaderChanged);
  for (auto at = sent_.begin(); at != sent_.end();) {
    auto next = std::next(at);
    const bool orphan = IsOrphan(at->second);
    if (ExpireSpans(now, at->second, orphan ? changed : silent)) {
      const Request request = Take(at);
      if (orphan && request.order != nullptr) GiveBackOrder(request.order.get());
    }
    at = next;
  }
  for (Request& request : packing_) {
    ExpireSpans(now, request, NotApplied(Reason::kDeadline));
  }
}

void Forwarder::GiveUpAll(absl::string_view message) {
  for (auto& [number, request] : std::exchange(sent_, {})) {
    for (ProposalSpan& span : request.spans) {
      if (span.call != nullptr) span.Answer(Unknown(message));
    }
  }
  busy_orders_.clear();
  leader_ = NodeId::kNone;
  open_.clear();
  for (Request& request : std::exchange(packing_, {})) GiveBack(std::move(request));
  for (ProposalRequest& retry : TakeRetries()) {
    retry.span.Answer(NotApplied(Reason::kStopping, NodeId::kNone, std::string(message)));
  }
}

}  // namespace cairn
