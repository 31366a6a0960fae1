#include "tests/service/random_envelope.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "storage/record.h"

namespace cairn {
namespace {

uint64_t Small(Random& random) { return 1 + random.Below(uint64_t{1} << (1 + random.Below(60))); }

std::string Text(Random& random, size_t bound) {
  std::string text(1 + random.Below(bound), ' ');
  for (char& c : text) c = static_cast<char>('a' + random.Below(26));
  return text;
}

LogPosition Position(Random& random, Term below) {
  if (below <= 1 || random.OneIn(8)) return {};
  return {Small(random), 1 + random.Below(below - 1)};
}

PreparedEntry Entry(Random& random) {
  SessionCall call;
  if (random.OneIn(2)) call = {Small(random), Small(random), random.OneIn(2)};
  std::string payload = Text(random, 200);
  if (random.OneIn(5)) payload.append(600, '\0');
  return PreparedEntry::Make(EntryType::kCommand, std::move(payload), call);
}

Configuration Members(Random& random) {
  Configuration members;
  auto add = [&random](std::vector<Member>& to, uint64_t first, uint64_t last) {
    for (uint64_t node = first; node <= last; ++node) {
      to.push_back({NodeId{node}, Incarnation{random.Next() | 1}, Text(random, 20)});
    }
  };
  add(members.voters, 1, 3);
  if (random.OneIn(2)) add(members.outgoing_voters, 2, 4);
  if (random.OneIn(2)) add(members.learners, 5, 6);
  return members;
}

ProposalResult Result(Random& random) {
  switch (random.Below(3)) {
    case 0:
      return ProposalApplied{
          {Small(random), Small(random)}, Bytes::Copy(Text(random, 50)), random.OneIn(2)};
    case 1:
      return ProposalNotApplied{static_cast<ProposalNotApplied::Reason>(random.Below(14)),
                                NodeId{random.Below(5)}, Text(random, 20), Small(random)};
    default:
      return ProposalUnknown{{Small(random), Small(random)}, Text(random, 20)};
  }
}

AppendEntries RandomAppend(Random& random, Envelope& envelope) {
  AppendEntries body;
  body.term = 5 + random.Below(1000);
  body.previous = Position(random, body.term);
  body.commit = Small(random);
  if (random.OneIn(2)) body.acknowledged = Position(random, body.term);
  RecordRunBuilder builder(envelope.group, body.previous, {random.Next(), random.Next()});
  Term term = std::max<Term>(body.previous.term, 1);
  for (uint64_t n = 1 + random.Below(5); n > 0; --n) {
    if (random.OneIn(3) && term < body.term) ++term;
    builder.Add(Entry(random), term, WallTime{static_cast<int64_t>(random.Next() >> 1)});
  }
  envelope.entries.push_back(std::move(builder).Build());
  return body;
}

int64_t SmallTime(Random& random) { return static_cast<int64_t>(random.Below(3'600'000'000'001)); }

Heartbeat RandomHeartbeat(Random& random, Term term) {
  Heartbeat body = {term, Small(random), random.Next(), Instant{SmallTime(random)}};
  const Term last = std::min<Term>(term, 1);
  if (last > 0 && random.OneIn(2)) body.acknowledged = {1 + random.Below(9), last};
  if (last > 0 && body.commit > 0 && random.OneIn(2)) {
    body.quiesce = {{body.commit, last}, random.Next() | 1};
  }
  return body;
}

HeartbeatReply RandomHeartbeatReply(Random& random, Term term) {
  HeartbeatReply body = {term,
                         random.Next(),
                         Instant{SmallTime(random)},
                         Nanoseconds(SmallTime(random)),
                         Instant{SmallTime(random)},
                         static_cast<uint32_t>(random.Next())};
  body.quiesced = random.OneIn(2);
  if (body.quiesced) body.life = random.Next() | 1;
  return body;
}

MessageBody RandomMessage(Random& random, size_t kind, Envelope& envelope) {
  Term term = Small(random);
  switch (kind) {
    case 0:
      return PreVoteRequest{term, Position(random, term), random.Next()};
    case 1:
      return PreVoteReply{term, random.OneIn(2), random.Next()};
    case 2:
      return VoteRequest{term, Position(random, term), random.Next(), random.OneIn(2)};
    case 3:
      return VoteReply{term, random.OneIn(2), random.Next()};
    case 4:
      return RandomAppend(random, envelope);
    case 5:
      if (random.OneIn(2)) return AppendReply{term, true, Small(random), {}, 0};
      return AppendReply{term, false, 0, {7, 3}, 8 + random.Below(100)};
    case 6:
      return RandomHeartbeat(random, term);
    case 7:
      return RandomHeartbeatReply(random, term);
    case 8:
      return ReadIndexRequest{term, random.Next(), random.OneIn(2)};
    case 9:
      return ReadIndexReply{term, random.Next(), random.OneIn(2), Small(random), random.OneIn(2)};
    case 10:
      return TailQuery{term, random.Next(), {9, 2}, {{3, 12}, {4, 15 + random.Below(9)}}};
    case 19:
      return TimeoutNow{term};
    case 25:
      return RejoinRequest{term, random.Next() | 1};
    case 26:
      return RejoinReply{term, random.Next() | 1, 1 + Small(random)};
    case 20:
      return RemovedNotice{5 + term, {Small(random), 1 + random.Below(4 + term)}};
    default:
      return TailReply{term,          random.Next(), Small(random), Small(random),
                       Small(random), Small(random), Small(random), Small(random)};
  }
}

EntryRequest RandomEntryRequest(Random& random) {
  EntryRequest request = {random.Next(), {}};
  Index last = 0;
  if (random.OneIn(4)) request.state_at_least = 1 + random.Below(99);
  if (request.state_at_least != 0) {
    request.state_term = random.Below(9);
    request.term = request.state_term + random.Below(9);
  }
  for (uint64_t n = request.state_at_least != 0 ? 0 : 1 + random.Below(4); n > 0; --n) {
    const Index first = last + 1 + random.Below(9);
    last = first + random.Below(9);
    request.wanted.push_back({first, last, 1 + random.Below(9)});
  }
  return request;
}

}  // namespace

Envelope RandomEnvelope(Random& random, size_t kind) {
  Envelope envelope;
  for (uint8_t& byte : envelope.cluster.bytes) byte = 7;
  envelope.group = GroupId{1 + random.Below(9)};
  envelope.from = NodeId{1};
  envelope.to = NodeId{2};
  envelope.from_incarnation = Incarnation{77};
  if (kind != 21 && random.OneIn(4)) envelope.group_incarnation = Incarnation{78};
  if (kind == 23) {
    envelope.body = RandomEntryRequest(random);
  } else if (kind == 24) {
    RandomAppend(random, envelope);
    envelope.body = EntryReply{random.Next(), static_cast<StateAnswer>(random.Below(4))};
  } else if (kind == 21) {
    envelope.group = GroupId::kNone;
    envelope.body = HostHeartbeat{random.Next(), random.OneIn(2), random.Next() | 1,
                                  Milliseconds(random.Below(5000)), random.Below(1 << 20)};
  } else if (kind == 22) {
    envelope.body = SnapshotAnswer{ContentIdOf(Text(random, 9)),
                                   static_cast<SnapshotAnswer::Verdict>(1 + random.Below(6)),
                                   Small(random) + 1, Small(random)};
  } else if (kind < 12 || kind >= 19) {
    envelope.body = RandomMessage(random, kind, envelope);
  } else if (kind == 12) {
    envelope.group = GroupId::kNone;
    envelope.body = Hello{random.OneIn(2), Members(random), random.Next(), random.OneIn(2)};
  } else if (kind == 13) {
    ForwardedProposals body = {Small(random), random.Next(), Small(random), {}, Small(random)};
    for (uint64_t n = 1 + random.Below(4); n > 0; --n) body.entries.push_back(Entry(random));
    envelope.body = std::move(body);
  } else if (kind == 14) {
    ForwardedResults body = {random.Next(), Small(random), {}};
    for (uint64_t n = 1 + random.Below(4); n > 0; --n) body.results.push_back(Result(random));
    envelope.body = std::move(body);
  } else if (kind == 15) {
    const Term term = Small(random) + 1;
    envelope.body = SnapshotOffer{term,
                                  ContentIdOf(Text(random, 9)),
                                  {Small(random) + 1, term},
                                  1 + random.Below(9999),
                                  random.OneIn(2),
                                  random.OneIn(2)};
  } else if (kind == 16) {
    envelope.body =
        SnapshotRequest{ContentIdOf(Text(random, 9)), static_cast<uint32_t>(random.Next()),
                        Small(random), 1 + static_cast<uint32_t>(random.Below(999))};
  } else if (kind == 17) {
    SnapshotPiece body = {ContentIdOf(Text(random, 9)),
                          static_cast<uint32_t>(random.Next()),
                          Small(random),
                          Text(random, 30) + "x",
                          false,
                          Nanoseconds(static_cast<int64_t>(Small(random)))};
    if (random.OneIn(4)) body = {body.id, body.file, body.offset, {}, true, body.held};
    envelope.body = std::move(body);
  } else {
    envelope.group = GroupId::kNone;
    envelope.body =
        IdentityRefusal{static_cast<IdentityRefusal::Reason>(random.Below(5)), Text(random, 30)};
  }
  return envelope;
}

}  // namespace cairn
