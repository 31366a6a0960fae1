#include "service/wire/wire_messages.h"

#include <utility>
#include <variant>
#include <vector>

namespace cairn {

void WritePosition(LogPosition from, v1::LogPosition* to) {
  to->set_index(from.index);
  to->set_term(from.term);
}
LogPosition ReadPosition(const v1::LogPosition& from) { return {from.index(), from.term()}; }

namespace {

// For each message: WriteBody of the struct into the parcel, Read of the message into the struct.

void WriteBody(const PreVoteRequest& from, v1::Parcel* parcel) {
  v1::PreVoteRequest* to = parcel->mutable_pre_vote_request();
  to->set_term(from.term);
  WritePosition(from.last, to->mutable_last());
  to->set_campaign(from.campaign);
}
PreVoteRequest Read(const v1::PreVoteRequest& from) {
  return {from.term(), ReadPosition(from.last()), from.campaign()};
}

void WriteBody(const PreVoteReply& from, v1::Parcel* parcel) {
  v1::PreVoteReply* to = parcel->mutable_pre_vote_reply();
  to->set_term(from.term);
  to->set_granted(from.granted);
  to->set_campaign(from.campaign);
}
PreVoteReply Read(const v1::PreVoteReply& from) {
  return {from.term(), from.granted(), from.campaign()};
}

void WriteBody(const VoteRequest& from, v1::Parcel* parcel) {
  v1::VoteRequest* to = parcel->mutable_vote_request();
  to->set_term(from.term);
  WritePosition(from.last, to->mutable_last());
  to->set_campaign(from.campaign);
  to->set_forced(from.forced);
}
VoteRequest Read(const v1::VoteRequest& from) {
  return {from.term(), ReadPosition(from.last()), from.campaign(), from.forced()};
}

void WriteBody(const VoteReply& from, v1::Parcel* parcel) {
  v1::VoteReply* to = parcel->mutable_vote_reply();
  to->set_term(from.term);
  to->set_granted(from.granted);
  to->set_campaign(from.campaign);
}
VoteReply Read(const v1::VoteReply& from) { return {from.term(), from.granted(), from.campaign()}; }

// The runs and configurations are not sent: they stand in the records.
void WriteBody(const AppendEntries& from, v1::Parcel* parcel) {
  v1::AppendEntries* to = parcel->mutable_append_entries();
  to->set_term(from.term);
  WritePosition(from.previous, to->mutable_previous());
  to->set_commit(from.commit);
  if (from.acknowledged.index != 0) WritePosition(from.acknowledged, to->mutable_acknowledged());
}
AppendEntries Read(const v1::AppendEntries& from) {
  AppendEntries to;
  to.term = from.term();
  to.previous = ReadPosition(from.previous());
  to.commit = from.commit();
  to.acknowledged = ReadPosition(from.acknowledged());
  return to;
}

void WriteBody(const AppendReply& from, v1::Parcel* parcel) {
  v1::AppendReply* to = parcel->mutable_append_reply();
  to->set_term(from.term);
  to->set_success(from.success);
  to->set_match(from.match);
  WritePosition(from.hint, to->mutable_hint());
  to->set_refused_index(from.refused_index);
}
AppendReply Read(const v1::AppendReply& from) {
  return {from.term(), from.success(), from.match(), ReadPosition(from.hint()),
          from.refused_index()};
}

void WriteBody(const Heartbeat& from, v1::Parcel* parcel) {
  v1::Heartbeat* to = parcel->mutable_heartbeat();
  to->set_term(from.term);
  to->set_commit(from.commit);
  to->set_context(from.context);
  to->set_sent(from.sent.nanoseconds);
  if (from.acknowledged.index != 0) WritePosition(from.acknowledged, to->mutable_acknowledged());
  if (!from.quiesce) return;
  WritePosition(from.quiesce->last, to->mutable_quiesce());
  to->set_life(from.quiesce->life);
}
Heartbeat Read(const v1::Heartbeat& from) {
  Heartbeat to = {from.term(), from.commit(), from.context(), Instant{from.sent()}};
  if (from.has_quiesce()) to.quiesce = {ReadPosition(from.quiesce()), from.life()};
  to.acknowledged = ReadPosition(from.acknowledged());
  return to;
}

void WriteBody(const HeartbeatReply& from, v1::Parcel* parcel) {
  v1::HeartbeatReply* to = parcel->mutable_heartbeat_reply();
  to->set_term(from.term);
  to->set_context(from.context);
  to->set_sent(from.sent.nanoseconds);
  to->set_promise(from.promise.nanoseconds);
  to->set_clock(from.clock.nanoseconds);
  to->set_priority(from.priority);
  to->set_quiesced(from.quiesced);
  to->set_life(from.life);
}
HeartbeatReply Read(const v1::HeartbeatReply& from) {
  return {from.term(),           from.context(),  Instant{from.sent()}, Nanoseconds(from.promise()),
          Instant{from.clock()}, from.priority(), from.quiesced(),      from.life()};
}

void WriteBody(const ReadIndexRequest& from, v1::Parcel* parcel) {
  v1::ReadIndexRequest* to = parcel->mutable_read_index_request();
  to->set_term(from.term);
  to->set_request(from.request);
  to->set_lease(from.lease);
}
ReadIndexRequest Read(const v1::ReadIndexRequest& from) {
  return {from.term(), from.request(), from.lease()};
}

void WriteBody(const ReadIndexReply& from, v1::Parcel* parcel) {
  v1::ReadIndexReply* to = parcel->mutable_read_index_reply();
  to->set_term(from.term);
  to->set_request(from.request);
  to->set_ready(from.ready);
  to->set_index(from.index);
  to->set_lease(from.lease);
}
ReadIndexReply Read(const v1::ReadIndexReply& from) {
  return {from.term(), from.request(), from.ready(), from.index(), from.lease()};
}

void WriteBody(const TailQuery& from, v1::Parcel* parcel) {
  v1::TailQuery* to = parcel->mutable_tail_query();
  to->set_term(from.term);
  to->set_query(from.query);
  WritePosition(from.good, to->mutable_good());
  for (const TermRun& run : from.torn) {
    v1::TermRun* added = to->add_torn();
    added->set_term(run.term);
    added->set_last_index(run.last_index);
  }
}
TailQuery Read(const v1::TailQuery& from) {
  TailQuery to = {from.term(), from.query(), ReadPosition(from.good()), {}};
  for (const v1::TermRun& run : from.torn()) to.torn.push_back({run.term(), run.last_index()});
  return to;
}

void WriteBody(const TailReply& from, v1::Parcel* parcel) {
  v1::TailReply* to = parcel->mutable_tail_reply();
  to->set_term(from.term);
  to->set_query(from.query);
  to->set_have_through(from.have_through);
  to->set_known_commit(from.known_commit);
  to->set_faulty_from(from.faulty_from);
  to->set_torn_from(from.torn_from);
  to->set_claimed_through(from.claimed_through);
  to->set_in_state(from.in_state);
}
TailReply Read(const v1::TailReply& from) {
  return {from.term(),        from.query(),     from.have_through(),    from.known_commit(),
          from.faulty_from(), from.torn_from(), from.claimed_through(), from.in_state()};
}

void WriteBody(const TimeoutNow& from, v1::Parcel* parcel) {
  parcel->mutable_timeout_now()->set_term(from.term);
}
TimeoutNow Read(const v1::TimeoutNow& from) { return {from.term()}; }

void WriteBody(const RemovedNotice& from, v1::Parcel* parcel) {
  v1::RemovedNotice* to = parcel->mutable_removed_notice();
  to->set_term(from.term);
  WritePosition(from.at, to->mutable_at());
}
RemovedNotice Read(const v1::RemovedNotice& from) { return {from.term(), ReadPosition(from.at())}; }

void WriteBody(const RejoinRequest& from, v1::Parcel* parcel) {
  v1::RejoinRequest* to = parcel->mutable_rejoin_request();
  to->set_term(from.term);
  to->set_nonce(from.nonce);
}
RejoinRequest Read(const v1::RejoinRequest& from) { return {from.term(), from.nonce()}; }

void WriteBody(const RejoinReply& from, v1::Parcel* parcel) {
  v1::RejoinReply* to = parcel->mutable_rejoin_reply();
  to->set_term(from.term);
  to->set_nonce(from.nonce);
  to->set_barrier(from.barrier);
}
RejoinReply Read(const v1::RejoinReply& from) {
  return {from.term(), from.nonce(), from.barrier()};
}

}  // namespace

void WriteMessage(const MessageBody& from, v1::Parcel* parcel) {
  std::visit([parcel](const auto& body) { WriteBody(body, parcel); }, from);
}

std::optional<MessageBody> ReadMessage(const v1::Parcel& parcel) {
  using Body = v1::Parcel;
  switch (parcel.body_case()) {
    case Body::kPreVoteRequest:
      return Read(parcel.pre_vote_request());
    case Body::kPreVoteReply:
      return Read(parcel.pre_vote_reply());
    case Body::kVoteRequest:
      return Read(parcel.vote_request());
    case Body::kVoteReply:
      return Read(parcel.vote_reply());
    case Body::kAppendEntries:
      return Read(parcel.append_entries());
    case Body::kAppendReply:
      return Read(parcel.append_reply());
    case Body::kHeartbeat:
      return Read(parcel.heartbeat());
    case Body::kHeartbeatReply:
      return Read(parcel.heartbeat_reply());
    case Body::kReadIndexRequest:
      return Read(parcel.read_index_request());
    case Body::kReadIndexReply:
      return Read(parcel.read_index_reply());
    case Body::kTailQuery:
      return Read(parcel.tail_query());
    case Body::kTailReply:
      return Read(parcel.tail_reply());
    case Body::kTimeoutNow:
      return Read(parcel.timeout_now());
    case Body::kRemovedNotice:
      return Read(parcel.removed_notice());
    case Body::kRejoinRequest:
      return Read(parcel.rejoin_request());
    case Body::kRejoinReply:
      return Read(parcel.rejoin_reply());
    default:
      return std::nullopt;
  }
}

}  // namespace cairn
