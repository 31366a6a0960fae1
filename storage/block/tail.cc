#include "storage/block/tail.h"

#include <algorithm>

#include "storage/block/id_record.h"
#include "storage/mutants.h"

namespace cairn {

TailVerdict JudgeLastBatch(const FoundBatch& batch, const std::vector<BadEntry>& bad,
                           TailEvidence evidence) {
  if (bad.empty()) return TailVerdict::kKeep;
  if (StorageMutantEnabled(StorageMutant::kCutOnChecksum)) return TailVerdict::kCut;
  if (evidence.synced) return TailVerdict::kFaulty;
  const bool is_copies =
      std::any_of(batch.id.sections.begin(), batch.id.sections.end(),
                  [](const GroupSection& section) { return !section.copied.empty(); });
  // It says nothing new, and what it copies is released only after a batch behind it was synced.
  if (is_copies) return TailVerdict::kCut;
  if (!batch.id_good && !evidence.sealed) {
    // Had it been acknowledged, the id record would be there. Rot of both leaves no zero sector;
    // then the copy in front still names the entries.
    return bad.front().has_zero_sector ? TailVerdict::kCut : TailVerdict::kFaulty;
  }
  // A process that dies loses nothing of the page cache, and the id record was written after the
  // records: without a power cut or a failed sync they cannot be missing.
  const bool torn = std::any_of(bad.begin(), bad.end(),
                                [](const BadEntry& entry) { return entry.has_zero_sector; });
  return torn && evidence.may_have_holes ? TailVerdict::kUndecided : TailVerdict::kFaulty;
}

Remainder JudgeRemainder(BlockBytes& bytes, uint64_t data_end, uint64_t id_begin) {
  Remainder remainder;
  const uint64_t first = bytes.FirstNonZero(data_end, id_begin);
  if (first == id_begin) return remainder;
  remainder.empty = false;
  remainder.bytes = bytes.NonZeroBytes(data_end, id_begin);
  remainder.verdict = TailVerdict::kCut;
  if (first >= data_end + kSectorBytes) {
    return remainder;  // the first sector of the head never reached the disk
  }
  if (bytes.HasZeroSector(data_end, data_end + 1)) return remainder;  // of an encrypted unit
  // The other id record, written after the records, would end before the last one: had it been
  // synced, no sector of it would be zero. So a bit that turned over where nothing was ever written
  // is no end of the log.
  if (bytes.HasZeroSector(id_begin - 1, id_begin)) return remainder;
  const uint64_t claimed = std::min(ClaimedIdRecordBytes(bytes.View(data_end, kSectorBytes).view()),
                                    id_begin - data_end);
  if (claimed == 0 || !bytes.HasZeroSector(data_end, data_end + claimed)) {
    remainder.verdict = TailVerdict::kLost;
  }
  return remainder;
}

}  // namespace cairn
