#include "raft/session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/coding.h"

namespace cairn {
namespace {

constexpr uint8_t kEncodingVersion = 1;

}  // namespace

SessionTable::SessionTable(size_t max_sessions) : max_sessions_(max_sessions) {
  CAIRN_CHECK_GT(max_sessions, 0);
}

SessionTable::Session* SessionTable::Find(uint64_t id) {
  auto place = places_.find(id);
  return place == places_.end() ? nullptr : &*place->second;
}

SessionTable::Call* SessionTable::FindCall(Session& session, uint64_t number) {
  if (number > session.newest || session.newest - number >= session.calls.size()) return nullptr;
  return &session.calls[session.calls.size() - 1 - (session.newest - number)];
}

SessionTable::Decision SessionTable::Begin(LogPosition position, const SessionCall& call,
                                           uint64_t payload_checksum) {
  auto place = places_.find(call.session);
  if (place == places_.end()) return {Verdict::kExpired, {}, {}};
  sessions_.splice(sessions_.end(), sessions_, place->second);
  Session& session = *place->second;

  Call* known = FindCall(session, call.number);
  if (known != nullptr && known->state != Call::State::kUnused) {
    if (known->payload_checksum != payload_checksum) return {Verdict::kNumberReused, {}, {}};
    if (known->state == Call::State::kPending) return {Verdict::kPending, known->position, {}};
    if (known->state == Call::State::kForgotten) return {Verdict::kForgotten, known->position, {}};
    return {Verdict::kDuplicate, known->position, known->answer};
  }
  if (call.number == 0 || (call.number <= session.newest && known == nullptr)) {
    return {Verdict::kNumberTooOld, {}, {}};
  }
  if (call.in_order && call.number != session.newest + 1) return {Verdict::kGap, {}, {}};

  if (known == nullptr) {
    // The numbers between were not applied. What falls out of the window needs no place.
    uint64_t grown = std::min(call.number - session.newest, kWindow);
    if (grown == kWindow) session.calls.clear();
    for (uint64_t i = 0; i < grown; ++i) session.calls.emplace_back();
    while (session.calls.size() > kWindow) session.calls.pop_front();
    session.newest = call.number;
    known = &session.calls.back();
  }
  *known = {Call::State::kPending, position, payload_checksum, {}};
  return {Verdict::kApply, position, {}};
}

void SessionTable::SetAnswer(const SessionCall& call, Bytes answer) {
  Session* session = Find(call.session);
  Call* known = session == nullptr ? nullptr : FindCall(*session, call.number);
  if (known == nullptr || known->state != Call::State::kPending) return;
  known->state = Call::State::kAnswered;
  known->answer = std::move(answer);
}

void SessionTable::ForgetAnswer(const SessionCall& call) {
  Session* session = Find(call.session);
  Call* known = session == nullptr ? nullptr : FindCall(*session, call.number);
  if (known == nullptr || known->state != Call::State::kPending) return;
  known->state = Call::State::kForgotten;
}

void SessionTable::Open(Index index) {
  CAIRN_CHECK(Find(index) == nullptr) << "session " << index << " opened twice";
  if (sessions_.size() >= max_sessions_) {
    places_.erase(sessions_.front().id);
    sessions_.pop_front();
  }
  Session session;
  session.id = index;
  sessions_.push_back(std::move(session));
  places_[index] = std::prev(sessions_.end());
}

bool SessionTable::Close(uint64_t session) {
  auto place = places_.find(session);
  if (place == places_.end()) return false;
  sessions_.erase(place->second);
  places_.erase(place);
  return true;
}

// version:u8 sessions:u64 { id:u64 newest:u64 calls:u32 { state:u8 [index:u64 term:u64
// checksum:u64 answer:length-prefixed] } }, the session used longest ago first, the lowest number
// first. An unused number has its state only.
std::string SessionTable::Encode() const {
  std::string bytes;
  AppendLittleEndian(&bytes, kEncodingVersion);
  AppendLittleEndian(&bytes, static_cast<uint64_t>(sessions_.size()));
  for (const Session& session : sessions_) {
    AppendLittleEndian(&bytes, session.id);
    AppendLittleEndian(&bytes, session.newest);
    AppendLittleEndian(&bytes, static_cast<uint32_t>(session.calls.size()));
    for (const Call& call : session.calls) {
      CAIRN_CHECK(call.state != Call::State::kPending) << "encoded between apply and answer";
      AppendLittleEndian(&bytes, static_cast<uint8_t>(call.state));
      if (call.state == Call::State::kUnused) continue;
      AppendLittleEndian(&bytes, call.position.index);
      AppendLittleEndian(&bytes, call.position.term);
      AppendLittleEndian(&bytes, call.payload_checksum);
      AppendLengthPrefixed(&bytes, call.answer.view());
    }
  }
  return bytes;
}

absl::Status SessionTable::Decode(absl::string_view bytes) {
  sessions_.clear();
  places_.clear();
  Decoder decoder(bytes);
  bool good = decoder.Read<uint8_t>() == kEncodingVersion;
  uint64_t sessions = decoder.Read<uint64_t>();
  good = good && sessions <= max_sessions_;
  for (uint64_t i = 0; i < sessions && good && decoder.ok(); ++i) {
    Session session;
    session.id = decoder.Read<uint64_t>();
    session.newest = decoder.Read<uint64_t>();
    uint32_t calls = decoder.Read<uint32_t>();
    good = calls <= kWindow && calls <= session.newest;
    for (uint32_t j = 0; j < calls && good && decoder.ok(); ++j) {
      Call& call = session.calls.emplace_back();
      uint8_t state = decoder.Read<uint8_t>();
      call.state = static_cast<Call::State>(state);
      good = state <= static_cast<uint8_t>(Call::State::kForgotten) &&
             call.state != Call::State::kPending;
      if (!good || call.state == Call::State::kUnused) continue;
      call.position.index = decoder.Read<uint64_t>();
      call.position.term = decoder.Read<uint64_t>();
      call.payload_checksum = decoder.Read<uint64_t>();
      call.answer = Bytes::Copy(decoder.ReadLengthPrefixed());
    }
    sessions_.push_back(std::move(session));
    good = good && places_.emplace(sessions_.back().id, std::prev(sessions_.end())).second;
  }
  if (good && decoder.Done()) return absl::OkStatus();
  sessions_.clear();
  places_.clear();
  return absl::DataLossError("saved sessions: not what was saved");
}

}  // namespace cairn
