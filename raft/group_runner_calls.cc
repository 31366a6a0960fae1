// The part of GroupRunner that takes the program's calls, from any thread.

#include <iterator>
#include <optional>
#include <utility>

#include "raft/group_runner.h"

namespace cairn {
namespace {

using Reason = ProposalNotApplied::Reason;

size_t BytesOf(const std::vector<PreparedEntry>& entries) {
  size_t bytes = 0;
  for (const PreparedEntry& entry : entries) bytes += entry.record_bytes();
  return bytes;
}

ReadRefused::Reason ReadReasonOf(Reason reason) {
  switch (reason) {
    case Reason::kNotFormed:
      return ReadRefused::Reason::kNotFormed;
    case Reason::kFenced:
      return ReadRefused::Reason::kFenced;
    default:
      return ReadRefused::Reason::kStopping;
  }
}

}  // namespace

std::optional<Reason> GroupRunner::Refuses() const {
  switch (gate_.load(std::memory_order_acquire)) {
    case Gate::kNotFormed:
      return Reason::kNotFormed;
    case Gate::kOpen:
      return std::nullopt;
    case Gate::kFenced:
      return Reason::kFenced;
    case Gate::kStopping:
      return Reason::kStopping;
  }
  return Reason::kStopping;
}

void GroupRunner::RefuseWaiting(MailboxContents& contents) {
  Reason reason = Refuses().value_or(Reason::kNotFormed);
  for (ProposalRequest& request : std::exchange(contents.proposals, {})) {
    request.span.Answer(NotApplied(reason));
  }
  for (ReadRequest& request : std::exchange(contents.reads, {})) {
    request.Answer(ReadRefused{ReadReasonOf(reason), NodeId::kNone});
  }
}

void GroupRunner::Propose(EntryType type, std::string payload, const ProposeOptions& options,
                          ProposalCallback done) {
  if (payload.size() > settings_.options.max_command_bytes) {
    if (options.order != nullptr) options.order->broken = true;
    budget_.outcomes().Refused(Reason::kTooLarge, 1);
    return done(NotApplied(Reason::kTooLarge));
  }
  Propose(PreparedEntry::Make(type, std::move(payload), options.session), options, std::move(done));
}

void GroupRunner::Propose(PreparedEntry entry, const ProposeOptions& options,
                          ProposalCallback done) {
  std::optional<Reason> refusal = Refuses();
  size_t bytes = entry.record_bytes();
  if (bytes > settings_.options.max_command_bytes + kRecordHeaderBytes) refusal = Reason::kTooLarge;
  if (!refusal.has_value() && !budget_.Take(bytes)) refusal = Reason::kOverloaded;
  if (refusal.has_value()) {
    if (options.order != nullptr) options.order->broken = true;
    budget_.outcomes().Refused(*refusal, 1);
    return done(NotApplied(*refusal));
  }
  ProposalRequest request;
  request.entries.push_back(std::move(entry));
  request.span = {std::make_shared<ProposalCall>(std::move(done), options, &budget_, bytes), 0, 1};
  Put(std::move(request));
}

void GroupRunner::ProposeBatch(std::vector<PreparedEntry> entries, const ProposeOptions& options,
                               BatchCallback done) {
  if (entries.empty()) return;
  ProposeOptions ordered = options;
  if (ordered.order == nullptr) ordered.order = std::make_shared<ProposalOrder>();
  size_t count = entries.size();
  size_t bytes = BytesOf(entries);
  std::optional<Reason> refusal = Refuses();
  for (const PreparedEntry& entry : entries) {
    if (entry.record_bytes() > settings_.options.max_command_bytes + kRecordHeaderBytes) {
      refusal = Reason::kTooLarge;
    }
  }
  if (!refusal.has_value() && !budget_.Take(bytes)) refusal = Reason::kOverloaded;
  if (refusal.has_value()) {
    ordered.order->broken = true;
    budget_.outcomes().Refused(*refusal, count);
    return done(0, std::vector<ProposalResult>(count, NotApplied(*refusal)));
  }
  ProposalRequest request;
  request.entries.assign(std::make_move_iterator(entries.begin()),
                         std::make_move_iterator(entries.end()));
  request.span = {std::make_shared<ProposalCall>(std::move(done), count, ordered, &budget_, bytes),
                  0, count};
  Put(std::move(request));
}

void GroupRunner::Put(ProposalRequest request) {
  if (mailbox_.PutProposal(request)) return;
  request.span.Answer(NotApplied(Reason::kStopping));
}

void GroupRunner::BeginRead(const ReadOptions& options, ReadCallback done) {
  ReadRequest request = {std::move(done), options.deadline, options.lease, nullptr};
  // What does not count with the budget yet is counted here.
  const auto answer = [&](ReadResult result) {
    if (request.budget == nullptr) budget_.outcomes().Count(result);
    request.Answer(std::move(result));
  };
  if (std::optional<Reason> refusal = Refuses()) {
    return answer(ReadRefused{ReadReasonOf(*refusal), NodeId::kNone});
  }
  if (options.max_staleness > Duration{}) {
    const Instant fresh{shown_.fresh_as_of.load(std::memory_order_acquire)};
    const Index applied = applier_->shown();
    const bool known = fresh > Instant{} && !applier_->replaying();
    if (known && dependencies_.clock->Now() - fresh <= options.max_staleness) {
      return answer(ReadReady{applied});
    }
  }
  bool counted = budget_.Take(0);
  if (counted) request.budget = &budget_;
  Mailbox::ReadFate fate = counted ? mailbox_.PutRead(request) : Mailbox::ReadFate::kFull;
  if (fate == Mailbox::ReadFate::kTaken) return;
  answer(ReadRefused{fate == Mailbox::ReadFate::kFull ? ReadRefused::Reason::kOverloaded
                                                      : ReadRefused::Reason::kStopping,
                     NodeId::kNone});
}

void GroupRunner::Control(ControlRequest request, Instant deadline, ControlCallback done) {
  using Refused = ControlRefused;
  ControlCall call(std::move(request), deadline, std::move(done));
  if (const std::optional<Reason> refusal = Refuses()) {
    const bool fenced = *refusal == Reason::kFenced;
    const bool forming = *refusal == Reason::kNotFormed;
    return call.Answer(Refused{fenced    ? Refused::Reason::kFenced
                               : forming ? Refused::Reason::kNotFormed
                                         : Refused::Reason::kStopping,
                               NameOf(*refusal), NodeId::kNone});
  }
  // Dropped unrun, the task answers as it goes.
  mailbox_.PutTask([this, call = std::move(call)]() mutable {
    if (node_ != nullptr) node_->Control(dependencies_.clock->Now(), std::move(call));
  });
}

}  // namespace cairn
