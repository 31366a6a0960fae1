// StreamTwin: a log of commands for a StreamStore, and in plain memory what they make of it.

#ifndef TESTS_STORAGE_STREAM_STREAM_TWIN_H_
#define TESTS_STORAGE_STREAM_STREAM_TWIN_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/types.h"
#include "storage/stream/stream_store.h"

namespace cairn {

inline constexpr GroupId kTwinGroup{7};

class StreamTwin {
 public:
  // Adds an entry to the end of the log.
  void Create(std::string definition);
  void Append(StreamId stream, uint32_t messages, std::string payload);
  void Nothing();
  // Any of them, the payload at most so long.
  void AddRandom(Random& random, size_t longest);

  Index last() const { return entries_.size(); }

  // Gives the store the entries behind `from` up to `to`, with one AppliedUpTo at the end.
  void Apply(StreamStore& store, Index from, Index to) const;
  static LogPosition PositionOf(Index index);
  // The archive that goes with a position.
  static std::string ArchiveAt(Index index);

  // How the store differs from the state as of `at`; empty if it does not. Each stream is read
  // whole and from `places` places on. With `may_be_damaged` DATA_LOSS is no difference.
  std::string Difference(const StreamStore& store, Index at, Random& random, size_t places,
                         bool may_be_damaged = false) const;

 private:
  struct Entry {
    std::string definition = {};  // not empty: it creates a stream
    StreamId stream = 0;          // not 0: it appends
    uint32_t messages = 0;
    std::string payload = {};
  };
  struct Record {
    Index index = 0;
    uint64_t first_sequence = 0;
    uint32_t messages = 0;
  };
  struct Stream {
    Index created = 0;
    uint64_t last_sequence = 0;
    std::vector<Record> records = {};
  };
  std::vector<Stream> StateAt(Index at) const;
  std::string ReadDifference(const StreamStore& store, StreamId id, const Stream& stream,
                             uint64_t from, size_t records, bool may_be_damaged) const;

  std::vector<Entry> entries_;
  StreamId streams_ = 0;
};

}  // namespace cairn

#endif  // TESTS_STORAGE_STREAM_STREAM_TWIN_H_
