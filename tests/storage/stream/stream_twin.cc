#include "tests/storage/stream/stream_twin.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

WallTime TimeOf(Index index) { return {static_cast<int64_t>(1000 * index)}; }

}  // namespace

LogPosition StreamTwin::PositionOf(Index index) { return {index, 1 + index / 50}; }

void StreamTwin::Create(std::string definition) {
  entries_.push_back({.definition = std::move(definition)});
  ++streams_;
}

void StreamTwin::Append(StreamId stream, uint32_t messages, std::string payload) {
  entries_.push_back({.stream = stream, .messages = messages, .payload = std::move(payload)});
}

void StreamTwin::Nothing() { entries_.emplace_back(); }

void StreamTwin::AddRandom(Random& random, size_t longest) {
  if (streams_ == 0 || random.OneIn(40)) return Create(absl::StrCat("stream at ", last() + 1));
  if (random.OneIn(10)) return Nothing();
  // Some streams are busy, others rare.
  uint64_t stream = 1 + std::min(random.Below(streams_), random.Below(streams_));
  std::string payload = absl::StrCat("entry ", last() + 1, " ");
  const size_t length = random.Below(random.OneIn(8) ? longest : longest / 8 + 1);
  while (payload.size() < length) payload += static_cast<char>('a' + payload.size() % 23);
  Append(static_cast<StreamId>(stream), static_cast<uint32_t>(1 + random.Below(3)),
         std::move(payload));
}

std::string StreamTwin::ArchiveAt(Index index) { return absl::StrCat("archive as of ", index); }

void StreamTwin::Apply(StreamStore& store, Index from, Index to) const {
  for (Index index = from + 1; index <= to; ++index) {
    const Entry& entry = entries_[index - 1];
    if (!entry.definition.empty()) store.Create(entry.definition, TimeOf(index));
    if (entry.stream != 0) {
      store.Append({entry.stream, PositionOf(index), TimeOf(index), entry.messages,
                    entry.payload.size(), entry.payload});
    }
  }
  store.AppliedUpTo(PositionOf(to), [to] { return ArchiveAt(to); });
}

std::vector<StreamTwin::Stream> StreamTwin::StateAt(Index at) const {
  std::vector<Stream> streams;
  for (Index index = 1; index <= at; ++index) {
    const Entry& entry = entries_[index - 1];
    if (!entry.definition.empty()) streams.push_back({.created = index});
    if (entry.stream == 0) continue;
    Stream& stream = streams[entry.stream - 1];
    stream.records.push_back({index, stream.last_sequence + 1, entry.messages});
    stream.last_sequence += entry.messages;
  }
  return streams;
}

std::string StreamTwin::ReadDifference(const StreamStore& store, StreamId id, const Stream& stream,
                                       uint64_t from, size_t records, bool may_be_damaged) const {
  auto expected = std::find_if(
      stream.records.begin(), stream.records.end(),
      [from](const Record& record) { return from < record.first_sequence + record.messages; });
  std::string difference;
  absl::Status status = store.Read(id, from, SIZE_MAX, [&](const StoredStreamRecord& stored) {
    if (expected == stream.records.end()) {
      difference = "a record behind the last one";
      return false;
    }
    const Entry& entry = entries_[expected->index - 1];
    const StreamRecord& record = stored.record;
    if (record.first_sequence != expected->first_sequence ||
        record.messages != expected->messages || record.stream != id ||
        record.at != PositionOf(expected->index) || record.time != TimeOf(expected->index) ||
        stored.payload.view() != entry.payload) {
      difference =
          absl::StrCat("record of sequence ", record.first_sequence, " of entry ", record.at.index,
                       " where that of entry ", expected->index, " should be");
      return false;
    }
    ++expected;
    return --records > 0;
  });
  if (difference.empty() && !status.ok() && !(may_be_damaged && absl::IsDataLoss(status))) {
    difference = status.ToString();
  }
  if (difference.empty() && status.ok() && records > 0 && expected != stream.records.end()) {
    difference = absl::StrCat("no record of entry ", expected->index);
  }
  if (difference.empty()) return "";
  return absl::StrCat("stream ", id, " read from ", from, ": ", difference);
}

std::string StreamTwin::Difference(const StreamStore& store, Index at, Random& random,
                                   size_t places, bool may_be_damaged) const {
  const std::vector<Stream> streams = StateAt(at);
  if (store.size() != streams.size()) {
    return absl::StrCat(store.size(), " streams, not ", streams.size());
  }
  for (StreamId id = 1; id <= streams.size(); ++id) {
    const Stream& stream = streams[id - 1];
    const StreamRow row = store.Row(id);
    if (*row.definition != entries_[stream.created - 1].definition ||
        row.last_sequence != stream.last_sequence || row.create_time != TimeOf(stream.created) ||
        (!stream.records.empty() && row.last_time != TimeOf(stream.records.back().index))) {
      return absl::StrCat("stream ", id, ": other figures, last sequence ", row.last_sequence,
                          ", not ", stream.last_sequence);
    }
    if (stream.last_sequence == 0) continue;
    std::string difference = ReadDifference(store, id, stream, 1, SIZE_MAX, may_be_damaged);
    for (size_t i = 0; i < places && difference.empty(); ++i) {
      difference = ReadDifference(store, id, stream, 1 + random.Below(stream.last_sequence),
                                  1 + random.Below(3), may_be_damaged);
    }
    if (!difference.empty()) return difference;
  }
  return "";
}

}  // namespace cairn
