// SpanIndex: where the entries of one group stand. Sparse: it finds the batch to start reading at,
// not the entry.

#ifndef STORAGE_BLOCK_SPAN_INDEX_H_
#define STORAGE_BLOCK_SPAN_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/coding.h"
#include "base/types.h"
#include "storage/block/id_record.h"

namespace cairn {

// How much of each block is in use. Threads: one at a time.
class BlockUsage {
 public:
  struct Usage {
    uint64_t spans = 0;
    uint64_t bytes = 0;  // of records; an estimate once a span was cut
    friend bool operator==(const Usage&, const Usage&) = default;
  };
  void Add(uint64_t block, uint64_t bytes);  // one more span
  void Grow(uint64_t block, uint64_t bytes);
  void Shrink(uint64_t block, uint64_t bytes);
  void Remove(uint64_t block, uint64_t bytes);
  Usage Of(uint64_t block) const;

 private:
  std::map<uint64_t, Usage> blocks_;
};

// Where a batch stands.
struct BatchPlace {
  uint64_t block = 0;
  uint64_t data_begin = 0;
  uint64_t id_end = 0;  // of its id record
};

// A place to start reading: the batch that holds entry `first`.
struct Mark {
  Index first = 0;
  uint64_t data_begin = 0;
  uint64_t id_end = 0;
  friend bool operator==(const Mark&, const Mark&) = default;
};

// Entries with consecutive indexes that were appended to one block one after the other with no
// truncation in between. Reading on from a mark of the span meets each of them once, in order.
// Or entries that are in no block (block 0), because the batch that held them is lost.
struct Span {
  uint64_t block = 0;
  Index first = 0;
  Index last = 0;
  EntryHash previous_hash;  // of the entry before `first`; not known once the front was dropped
  EntryHash last_hash;      // not known once the back was cut
  bool previous_hash_known = true;
  bool last_hash_known = true;
  bool open = true;     // the next entry may continue it
  bool copied = false;  // the entries stood in another block before
  uint64_t bytes = 0;
  std::vector<Mark> marks;  // the first one at or before `first`
  std::vector<TermRun> term_runs;
  std::vector<Index> configurations;

  bool is_in_block() const { return block != 0; }
  // Where to start reading for the entry, which is in the span.
  const Mark& MarkFor(Index index) const;

  friend bool operator==(const Span&, const Span&) = default;
};

void EncodeSpan(std::string* to, const Span& span);
// False if the bytes make no sense.
bool DecodeSpan(Decoder& from, Span* span);

// The distance of two marks in a block, in bytes.
inline constexpr uint64_t kMarkBytes = 64 << 10;

// Entries that are missing, or do not follow what stands before them.
struct LogBreak {
  Index first = 0;
  Index last = 0;
  std::string reason;  // "are in no block"
  friend bool operator==(const LogBreak&, const LogBreak&) = default;
};

// Threads: one at a time.
class SpanIndex {
 public:
  // `usage` outlives the index.
  explicit SpanIndex(BlockUsage* usage) : usage_(usage) {}
  ~SpanIndex();
  SpanIndex(SpanIndex&& other) noexcept;
  SpanIndex& operator=(SpanIndex&&) = delete;
  SpanIndex(const SpanIndex&) = delete;
  SpanIndex& operator=(const SpanIndex&) = delete;

  // Entries of the batch at `place`. What has their indexes or higher ones is gone.
  void Append(const BatchPlace& place, const EntryIds& ids);
  // As Append, but these entries are copies: what has other indexes stays.
  void AddCopy(const BatchPlace& place, const EntryIds& ids);
  // A span of a footer: supersedes what is there as Append or AddCopy do.
  void AddSpan(Span span);

  void TruncateFrom(Index from);
  void DropPrefix(Index up_to);

  // Of a log with these bounds: makes spans in no block of the entries that are missing, where what
  // stands on both sides is of one term. So are they then, and nothing was put in the place of what
  // stands before them: a term has one entry at an index, always behind the same ones.
  void FillGaps(const LogBounds& bounds);
  // The hash of the entry, if it ends a span that was cut and does not know it.
  void SetLastHash(Index last, EntryHash hash);
  // That of the entry before `first`, if that begins a span that does not know it.
  void SetPreviousHash(Index first, EntryHash hash);

  // Null if none holds `index`.
  const Span* Find(Index index) const;
  const std::vector<Span>& spans() const { return spans_; }

  // 0 if there is no such entry.
  Term TermAt(Index index) const;
  std::vector<TermRun> TermRuns() const;
  std::vector<LogPosition> Configurations() const;

  // Nothing if the entries behind the base up to the last one are all there, each chained to the
  // one before it where that is known; otherwise the first that are not.
  std::optional<LogBreak> FindBreak(const LogBounds& bounds) const;

  size_t memory_bytes() const;

 private:
  void RemoveRange(Index first, Index last);
  size_t LowerBound(Index index) const;  // of the first span that ends at or behind `index`
  void Insert(size_t at, Span span);

  BlockUsage* usage_;
  std::vector<Span> spans_;  // by index, not overlapping
};

}  // namespace cairn

#endif  // STORAGE_BLOCK_SPAN_INDEX_H_
