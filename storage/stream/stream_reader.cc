#include "storage/stream/stream_reader.h"

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

constexpr uint32_t kCloseTogether = uint32_t{64} << 10;

}  // namespace

absl::Status StreamReader::ReadWindow(const StreamWindow& window) {
  const Place end = window.behind.sequence != 0 ? window.behind.place
                                                : Place{window.last.block, window.last.offset + 1};
  absl::Status status;
  const bool together = window.mark.sequence != 0 && window.mark.place.block == end.block &&
                        end.offset - window.mark.place.offset <= kCloseTogether;
  if (together) {
    status = ReadTogether(window, end);
  } else if (window.mark.sequence != 0) {
    status = ReadMarked(window);
  }
  if (done_ || (status.ok() && next_ >= window.end_sequence)) return status;
  // Also around damage, which may be of another stream.
  return ReadByLinks(window);
}

absl::Status StreamReader::ReadTogether(const StreamWindow& window, Place end) {
  uint64_t expected = window.mark.sequence;
  absl::Status broken;
  absl::Status status =
      window.blocks->Scan(window.mark.place, end.offset, [&](const StoredStreamRecord& stored) {
        const StreamRecord& record = stored.record;
        if (record.stream != stream_) return true;
        if (record.first_sequence != expected) {
          broken = Broken(record.place, "it does not follow the record before it");
          return false;
        }
        expected += record.messages;
        if (expected > next_) Visit(stored);
        return !done_;
      });
  return broken.ok() ? status : broken;
}

// The marked record itself: all that is wanted where records are large.
absl::Status StreamReader::ReadMarked(const StreamWindow& window) {
  absl::StatusOr<StoredStreamRecord> stored = window.blocks->Read(window.mark.place);
  if (!stored.ok()) return stored.status();
  const StreamRecord& record = stored->record;
  if (record.stream != stream_ || record.first_sequence != window.mark.sequence) {
    return Broken(window.mark.place, "the index names it as another one");
  }
  if (next_ < record.first_sequence + record.messages) Visit(*stored);
  return absl::OkStatus();
}

absl::Status StreamReader::ReadByLinks(const StreamWindow& window) {
  uint64_t end = window.end_sequence;
  Place place = window.last;
  if (window.behind.sequence != 0) {
    absl::StatusOr<StoredStreamRecord> behind = window.blocks->Read(window.behind.place);
    if (!behind.ok()) return behind.status();
    if (behind->record.stream != stream_ || behind->record.first_sequence != end) {
      return Broken(window.behind.place, "the index names it as another one");
    }
    place = behind->record.previous;
  }
  std::vector<Place> places;
  while (true) {
    if (place.block == 0) return Broken(window.last, "the records before it are not linked to it");
    absl::StatusOr<StoredStreamRecord> stored = window.blocks->Read(place);
    if (!stored.ok()) return stored.status();
    const StreamRecord& record = stored->record;
    if (record.stream != stream_ || record.first_sequence + record.messages != end) {
      return Broken(place, "it does not go before the record behind it");
    }
    end = record.first_sequence;
    if (end <= next_) {
      Visit(*stored);
      break;
    }
    places.push_back(place);
    place = record.previous;
  }
  for (; !places.empty() && !done_; places.pop_back()) {
    absl::StatusOr<StoredStreamRecord> stored = window.blocks->Read(places.back());
    if (!stored.ok()) return stored.status();
    Visit(*stored);
  }
  return absl::OkStatus();
}

void StreamReader::Visit(const StoredStreamRecord& stored) {
  if (!visit_(stored)) {
    done_ = true;
    return;
  }
  next_ = stored.record.first_sequence + stored.record.messages;
  const size_t bytes = kStreamRecordHeaderBytes + stored.payload.size();
  if (bytes >= bytes_left_) {
    done_ = true;
  } else {
    bytes_left_ -= bytes;
  }
}

absl::Status StreamReader::Broken(Place place, absl::string_view why) const {
  return absl::DataLossError(absl::StrCat("stream ", stream_, ", the record in block ", place.block,
                                          " at byte ", place.offset, ": ", why));
}

}  // namespace cairn
