#include "storage/block/batch_walker.h"

#include <algorithm>
#include <utility>

#include "storage/checksum.h"

namespace cairn {
namespace {

// Enough of an id record to read its length.
constexpr uint64_t kClaimBytes = 88;

Term TermOf(const EntryIds& ids, Index index) {
  for (const TermRun& run : ids.term_runs) {
    if (run.last_index >= index) return run.term;
  }
  return 0;
}

bool IsEntry(const Bytes& bytes, GroupId group, LogPosition at, const RecordId& id) {
  absl::StatusOr<RecordRun> run = RecordRun::Parse(group, bytes);
  return run.ok() && run->size() == 1 && run->first() == at &&
         static_cast<uint32_t>(run->last_hash().low) == id.hash;
}

}  // namespace

BatchWalker::BatchWalker(BlockBytes& bytes, const BlockGeometry& geometry, uint64_t tag)
    : bytes_(bytes),
      geometry_(geometry),
      tag_(tag),
      data_end_(geometry.data_begin()),
      id_begin_(geometry.id_end()) {}

void BatchWalker::MoveTo(uint64_t data_end, uint64_t id_begin) {
  data_end_ = data_end;
  id_begin_ = id_begin;
}

void BatchWalker::MoveBehind(const FoundBatch& batch) {
  MoveTo(batch.id.data_begin + geometry_.RoundUp(batch.id.data_bytes), batch.id.id_begin);
}

std::optional<FoundBatch> BatchWalker::DecodeAt(uint64_t offset) {
  const uint64_t claimed = ClaimedIdRecordBytes(bytes_.View(offset, kClaimBytes).view());
  if (claimed == 0 || claimed > id_begin_ - data_end_) return std::nullopt;
  Bytes bytes = bytes_.View(offset, claimed);
  absl::StatusOr<IdRecord> id = DecodeIdRecord(bytes.view());
  if (!id.ok()) return std::nullopt;
  FoundBatch batch = {.id = *std::move(id), .id_bytes = claimed, .hash = Hash128(bytes.view())};
  if (!IsSound(batch)) return std::nullopt;
  return batch;
}

bool BatchWalker::IsSound(const FoundBatch& batch) const {
  const IdRecord& id = batch.id;
  if (id.block_tag != tag_ || id.data_begin < data_end_ || id.id_begin > id_begin_) return false;
  if (id.data_begin % geometry_.unit_bytes != 0 || id.id_begin % geometry_.unit_bytes != 0) {
    return false;
  }
  if (id.id_begin > id_begin_ - geometry_.RoundUp(batch.id_bytes)) return false;
  if (id.data_begin >= id.id_begin) return false;
  if (id.data_bytes < batch.id_bytes || id.data_bytes > id.id_begin - id.data_begin) return false;
  const uint64_t available = id.data_bytes - batch.id_bytes;
  auto is_inside = [&](const EntryIds& ids) {
    return ids.offset <= available && ids.record_bytes() <= available - ids.offset;
  };
  for (const GroupSection& section : id.sections) {
    if (!std::all_of(section.copied.begin(), section.copied.end(), is_inside)) return false;
    if (section.appended && !is_inside(*section.appended)) return false;
  }
  return true;
}

void BatchWalker::CompareCopies(FoundBatch& batch) {
  auto is_same = [&](uint64_t offset) {
    Bytes bytes = bytes_.View(offset, batch.id_bytes);
    return bytes.size() == batch.id_bytes && Hash128(bytes.view()) == batch.hash;
  };
  if (!batch.head_good) batch.head_good = is_same(batch.id.data_begin);
  if (!batch.id_good) batch.id_good = is_same(batch.id.id_begin);
}

std::optional<FoundBatch> BatchWalker::Peek(bool compare) {
  std::optional<FoundBatch> batch = DecodeAt(data_end_);
  if (batch && batch->id.data_begin == data_end_ &&
      batch->id.id_begin == id_begin_ - geometry_.RoundUp(batch->id_bytes)) {
    batch->head_good = true;
  } else {
    batch = FindIdRecord();
    if (!batch) return std::nullopt;
    batch->id_good = true;
  }
  if (compare) CompareCopies(*batch);
  return batch;
}

// Id records end where the one before begins, so the length of the next one is not known: looks for
// its beginning downwards, in growing pieces because it is nearly always close.
std::optional<FoundBatch> BatchWalker::FindIdRecord() {
  uint64_t at = id_begin_;
  for (uint64_t reach : {uint64_t{64} << 10, uint64_t{1} << 20, id_begin_}) {
    const uint64_t floor = id_begin_ - std::min(id_begin_ - data_end_, reach);
    Bytes piece = bytes_.View(floor, id_begin_ - floor);
    while (at >= floor + geometry_.unit_bytes) {
      at -= geometry_.unit_bytes;
      if (ClaimedIdRecordBytes(piece.view().substr(at - floor)) == 0) continue;
      std::optional<FoundBatch> batch = DecodeAt(at);
      if (batch && batch->id.id_begin == at && batch->id.data_begin == data_end_ &&
          at + geometry_.RoundUp(batch->id_bytes) == id_begin_) {
        return batch;
      }
    }
  }
  return std::nullopt;
}

std::optional<FoundBatch> BatchWalker::FindLater(uint64_t batch) {
  std::optional<FoundBatch> lowest;
  Bytes all = bytes_.View(data_end_, id_begin_ - data_end_);
  for (uint64_t at = 0; at < all.size(); at += geometry_.unit_bytes) {
    if (ClaimedIdRecordBytes(all.view().substr(at)) == 0) continue;
    const uint64_t offset = data_end_ + at;
    std::optional<FoundBatch> found = DecodeAt(offset);
    if (!found || found->id.batch < batch) continue;
    if (found->id.data_begin != offset && found->id.id_begin != offset) continue;
    if (!lowest || found->id.batch < lowest->id.batch) lowest = std::move(found);
  }
  if (lowest) CompareCopies(*lowest);
  return lowest;
}

std::vector<BadEntry> BatchWalker::Verify(const FoundBatch& batch, GroupId group,
                                          const EntryIds& ids) {
  uint64_t offset = RecordsBegin(batch, ids);
  absl::StatusOr<RecordRun> run = RecordRun::Parse(group, bytes_.View(offset, ids.record_bytes()));
  if (run.ok() && run->size() == ids.entries.size() && run->first().index == ids.first &&
      run->previous_hash() == ids.previous_hash && run->last_hash() == ids.last_hash) {
    return {};
  }
  std::vector<BadEntry> bad;
  Index index = ids.first;
  for (const RecordId& id : ids.entries) {
    LogPosition at = {index, TermOf(ids, index)};
    if (!IsEntry(bytes_.View(offset, id.length), group, at, id)) {
      bad.push_back({.group = group,
                     .at = at,
                     .offset = offset,
                     .length = id.length,
                     .has_zero_sector = bytes_.HasZeroSector(offset, offset + id.length)});
    }
    offset += id.length;
    ++index;
  }
  return bad;
}

std::vector<BadEntry> BatchWalker::Verify(const FoundBatch& batch) {
  std::vector<BadEntry> bad;
  auto add = [&](GroupId group, const EntryIds& ids) {
    std::vector<BadEntry> more = Verify(batch, group, ids);
    bad.insert(bad.end(), more.begin(), more.end());
  };
  for (const GroupSection& section : batch.id.sections) {
    for (const EntryIds& ids : section.copied) add(section.group, ids);
    if (section.appended) add(section.group, *section.appended);
  }
  std::sort(bad.begin(), bad.end(),
            [](const BadEntry& a, const BadEntry& b) { return a.offset < b.offset; });
  return bad;
}

}  // namespace cairn
