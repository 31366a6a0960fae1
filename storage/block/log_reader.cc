#include "storage/block/log_reader.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "storage/block/batch_walker.h"
#include "storage/block/block_bytes.h"

namespace cairn {
namespace {

class Reader {
 public:
  // `bytes` of the block; they outlive the reader.
  Reader(const BlockFile& block, BlockBytes& bytes, GroupId group)
      : block_(block),
        group_(group),
        window_(bytes),
        walker_(window_, block.geometry(), block.tag()) {}

  absl::StatusOr<std::vector<RecordRun>> Read(const Mark& mark, Index first, Index last,
                                              size_t max_bytes, LastBatch* last_batch) {
    walker_.MoveTo(mark.data_begin, mark.id_end);
    std::shared_ptr<const FoundBatch> batch = Known(mark, first, last_batch);
    for (; first <= last && (runs_.empty() || bytes_ < max_bytes); batch = nullptr) {
      if (batch == nullptr) batch = Next();
      if (batch == nullptr) return Give(Lost(walker_.data_end(), first, "both id records are bad"));
      if (const EntryIds* ids = Find(*batch, first)) {
        // Also if the entry is bad: the next one is mostly asked for then.
        if (last_batch != nullptr) *last_batch = {block_.block(), batch};
        absl::Status status = Take(*batch, *ids, first, last, max_bytes);
        if (!status.ok()) return Give(status);
        if (runs_.back().last().index < std::min(last, ids->last())) break;  // the limit
        first = ids->last() + 1;
      }
      walker_.MoveBehind(*batch);
    }
    return std::move(runs_);
  }

  absl::Status Check(const Mark& mark, const RecordRun& run) {
    walker_.MoveTo(mark.data_begin, mark.id_end);
    Index next = run.first().index;
    while (next <= run.last().index) {
      const std::shared_ptr<const FoundBatch> batch = Next();
      if (batch == nullptr || IsPast(*batch, next)) {
        return absl::NotFoundError(absl::StrCat("the batch of entry ", next, " is lost"));
      }
      if (const EntryIds* ids = Find(*batch, next)) {
        for (; next <= std::min(ids->last(), run.last().index); ++next) {
          const RecordId& id = ids->entries[next - ids->first];
          const RecordView record = run.At(next);
          if (static_cast<uint32_t>(record.header_checksum()) != id.hash ||
              record.bytes().size() != id.length) {
            return absl::DataLossError(absl::StrCat("entry ", next, " was another one"));
          }
        }
      }
      walker_.MoveBehind(*batch);
    }
    return absl::OkStatus();
  }

 private:
  // The log went on behind the entry before this batch.
  bool IsPast(const FoundBatch& batch, Index index) const {
    return std::any_of(
        batch.id.sections.begin(), batch.id.sections.end(), [&](const GroupSection& section) {
          return section.group == group_ && section.appended && section.appended->first > index;
        });
  }

  // The batch read last, if the entry is in it. Where the entry was written again behind it, so was
  // the mark.
  std::shared_ptr<const FoundBatch> Known(const Mark& mark, Index first,
                                          const LastBatch* last_batch) const {
    if (last_batch == nullptr || last_batch->found == nullptr) return nullptr;
    const FoundBatch& batch = *last_batch->found;
    if (last_batch->block != block_.block() || batch.id.data_begin < mark.data_begin)
      return nullptr;
    return Find(batch, first) != nullptr ? last_batch->found : nullptr;
  }

  // Null if there is none. A batch that is lost takes none behind it along.
  std::shared_ptr<const FoundBatch> Next() {
    std::optional<FoundBatch> batch = walker_.Peek(/*compare=*/false);
    if (!batch) batch = walker_.FindLater(0);
    return batch ? std::make_shared<const FoundBatch>(*std::move(batch)) : nullptr;
  }

  absl::Status Lost(uint64_t offset, Index index, absl::string_view what) const {
    return absl::DataLossError(
        absl::StrCat(block_.path(), ": entry ", index, " at ", offset, ": ", what));
  }

  // What was read before something was found missing, if anything.
  absl::StatusOr<std::vector<RecordRun>> Give(absl::Status status) {
    if (runs_.empty()) return status;
    return std::move(runs_);
  }

  const EntryIds* Find(const FoundBatch& batch, Index index) const {
    for (const GroupSection& section : batch.id.sections) {
      if (section.group != group_) continue;
      auto holds = [&](const EntryIds& ids) { return ids.first <= index && index <= ids.last(); };
      for (const EntryIds& ids : section.copied) {
        if (holds(ids)) return &ids;
      }
      if (section.appended && holds(*section.appended)) return &*section.appended;
    }
    return nullptr;
  }

  // Reads entries first.. of `ids`, as many as are wanted. An error if `first` is not good; it
  // takes those before one that is not.
  absl::Status Take(const FoundBatch& batch, const EntryIds& ids, Index first, Index last,
                    size_t max_bytes) {
    const size_t begin = first - ids.first;
    const uint64_t offset = RecordsBegin(batch, ids) + LengthOf(ids, 0, begin);
    size_t end = begin;
    uint64_t length = 0;
    const size_t limit = std::min(ids.entries.size(), static_cast<size_t>(last - ids.first + 1));
    while (end < limit) {
      const uint64_t next = length + ids.entries[end].length;
      if (end > begin && bytes_ + next > max_bytes) break;
      if (!runs_.empty() && bytes_ + next > max_bytes) break;
      length = next;
      ++end;
    }
    if (end == begin) {
      bytes_ = max_bytes;
      return absl::OkStatus();
    }
    absl::StatusOr<RecordRun> run = Parse(ids, begin, end, offset, length);
    if (!run.ok()) run = ParseGood(ids, begin, end, offset);
    if (!run.ok()) return Lost(offset, first, run.status().message());
    bytes_ += run->byte_size();
    runs_.push_back(*std::move(run));
    return absl::OkStatus();
  }

  // The entries before the first bad one, of which there must be one.
  absl::StatusOr<RecordRun> ParseGood(const EntryIds& ids, size_t begin, size_t end,
                                      uint64_t offset) {
    size_t good = begin;
    size_t bad = end;
    while (bad - good > 1) {
      const size_t middle = good + (bad - good) / 2;
      if (Parse(ids, begin, middle, offset, LengthOf(ids, begin, middle)).ok()) {
        good = middle;
      } else {
        bad = middle;
      }
    }
    const size_t last = std::max(good, begin + 1);
    return Parse(ids, begin, last, offset, LengthOf(ids, begin, last));
  }

  static uint64_t LengthOf(const EntryIds& ids, size_t begin, size_t end) {
    uint64_t length = 0;
    for (size_t i = begin; i < end; ++i) length += ids.entries[i].length;
    return length;
  }

  absl::StatusOr<RecordRun> Parse(const EntryIds& ids, size_t begin, size_t end, uint64_t offset,
                                  uint64_t length) {
    absl::StatusOr<RecordRun> run = RecordRun::Parse(group_, window_.View(offset, length));
    if (!run.ok()) return run.status();
    if (run->size() != end - begin || run->first().index != ids.first + begin) {
      return absl::DataLossError("other entries stand here");
    }
    for (size_t i = 0; i < run->size(); ++i) {
      if (static_cast<uint32_t>((*run)[i].header_checksum()) != ids.entries[begin + i].hash) {
        return absl::DataLossError("another entry stands here");
      }
    }
    const bool follows = runs_.empty() || runs_.back().last_hash() == run->previous_hash();
    if (!follows) return absl::DataLossError("the entry does not follow the one before it");
    return run;
  }

  const BlockFile& block_;
  const GroupId group_;
  BlockBytes& window_;
  BatchWalker walker_;
  std::vector<RecordRun> runs_;
  size_t bytes_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<RecordRun>> ReadEntries(const BlockFile& block, const Mark& mark,
                                                   GroupId group, Index first, Index last,
                                                   size_t max_bytes, LastBatch* last_batch) {
  const std::unique_ptr<BlockBytes> window = block.WindowFrom(mark.data_begin);
  return Reader(block, *window, group).Read(mark, first, last, max_bytes, last_batch);
}

absl::StatusOr<std::vector<RecordRun>> ReadEntries(const BlockFile& block, BlockBytes& bytes,
                                                   const Mark& mark, GroupId group, Index first,
                                                   Index last, size_t max_bytes) {
  return Reader(block, bytes, group).Read(mark, first, last, max_bytes, nullptr);
}

absl::Status CheckEntries(const BlockFile& block, const Mark& mark, const RecordRun& run) {
  const std::unique_ptr<BlockBytes> window = block.Window();
  return Reader(block, *window, run[0].group()).Check(mark, run);
}

}  // namespace cairn
