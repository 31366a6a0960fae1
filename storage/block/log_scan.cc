#include "storage/block/log_scan.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/block/failed_sync.h"
#include "storage/block/log_reader.h"
#include "storage/block/seams/log_seams.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

// Of files that are missing so many are named.
constexpr size_t kMaxNamed = 16;

bool HoldsSomething(const ScannedBlock& block) {
  return block.walk && (!block.walk->batches.empty() || !block.walk->remainder.empty);
}

// The first batch of the block is there, and says how things stood before it.
bool BeginsWithCheckpoint(const BlockWalk& walk) {
  return !walk.batches.empty() && walk.batches.front().id.is_checkpoint &&
         std::find(walk.lost_before.begin(), walk.lost_before.end(), size_t{0}) ==
             walk.lost_before.end();
}

class Scanner {
 public:
  Scanner(const BlockSource& source, const ReadHelpers& helpers)
      : source_(source), directory_(source.directory), helpers_(helpers) {
    scan_.usage = std::make_unique<BlockUsage>();
  }

  absl::StatusOr<LogScan> Run(const std::vector<uint64_t>& blocks) {
    absl::StatusOr<ScannedBlocks> opened =
        OpenBlocks(source_, blocks, helpers_, &scan_.lost_blocks, &scan_.notes);
    if (!opened.ok()) return opened.status();
    scan_.blocks = *std::move(opened);
    absl::Status status = ReadBoot();
    if (status.ok()) status = WalkNewest();
    if (status.ok()) {
      status = ReadFootersOrWalk(scan_.blocks, helpers_, &scan_.lost_blocks, &scan_.notes);
    }
    if (!status.ok()) return status;
    FindMissing();
    for (auto& [id, block] : scan_.blocks) Replay(id, block);
    FindHead();
    FinishGroups();
    for (const auto& [id, why] : scan_.lost_blocks) Note(why);
    return std::move(scan_);
  }

 private:
  absl::Status ReadBoot();
  absl::Status WalkNewest();
  bool IsPrepared(uint64_t id) const;
  void FindLostEnd();
  void FindMissing();
  void JudgeEnd(ScannedBlock& block);
  void Cut(ScannedBlock& block);
  void LoseEnd(const ScannedBlock& block);
  void FindHead();
  void Replay(uint64_t id, ScannedBlock& block);
  void ReplayBatch(uint64_t id, ScannedBlock& block, size_t at);
  void Lose(const ScannedBlock& block, absl::string_view what);
  void ApplyBehindLoss(const GroupSection& section, const BatchPlace& place, WrittenLog& log);
  std::optional<RecordRun> ReadEntry(GroupId group, const Span& span, Index index) const;
  EntryHash HashOf(GroupId group, const WrittenLog& log, Index index) const;
  void AddBadEntries(const ScannedBlock& block, const std::vector<BadEntry>& bad, bool undecided);
  void TakeGaps(WrittenLog& log) const;
  void JoinSpans(GroupId id, WrittenLog& log);
  void FinishGroups();
  WrittenLog& GroupOf(GroupId group) {
    const auto [at, is_new] = scan_.groups.try_emplace(group, scan_.usage.get());
    if (is_new && scan_.lost_batches) at->second.Lose();
    return at->second;
  }
  void Note(std::string note) { scan_.notes.push_back(std::move(note)); }

  const BlockSource source_;
  const std::string& directory_;
  const ReadHelpers& helpers_;
  uint64_t boot_ = 0;
  std::optional<uint64_t> failed_sync_;  // the batch of this boot that was not made durable
  bool judged_ = false;                  // the last batch of the log was
  bool synced_ = false;  // the last batch was, because something was written behind it
  // The last batch of the log, if some of it may be torn.
  const FoundBatch* undecided_ = nullptr;
  // Blocks that the newest checkpoint lists; then those of them that are not there, because they
  // are lost or were released since.
  std::set<uint64_t> listed_;
  std::set<uint64_t> missing_;  // blocks that were not released and are not there
  uint64_t newest_ = 0;         // the last block that holds something; 0 if none does
  uint64_t checkpoint_ = 0;     // the last one that begins with a checkpoint; 0 if none does
  bool newest_lost_ = false;    // blocks behind the newest one
  bool batches_lost_ = false;
  uint64_t replayed_block_ = 0;
  LogScan scan_;
};

absl::Status Scanner::ReadBoot() {
  absl::StatusOr<std::string> boot = source_.file_system.BootId();
  if (!boot.ok()) return boot.status();
  boot_ = Checksum(*boot);
  failed_sync_ = FindFailedSync(source_.file_system, directory_, boot_);
  return absl::OkStatus();
}

// Walks the newest blocks back to one that begins with a checkpoint.
absl::Status Scanner::WalkNewest() {
  std::vector<uint64_t> ids;
  for (const auto& [id, block] : scan_.blocks) ids.push_back(id);
  for (auto id = ids.rbegin(); id != ids.rend(); ++id) {
    ScannedBlock& block = scan_.blocks.at(*id);
    if (IsPrepared(*id)) {
      block.walk.emplace();
      block.walk->data_end = block.file->geometry().data_begin();
      block.walk->id_begin = block.file->geometry().id_end();
      continue;
    }
    absl::StatusOr<bool> walked = WalkOne(*id, scan_.blocks, &scan_.lost_blocks);
    if (!walked.ok()) return walked.status();
    if (!*walked) continue;
    if (newest_ == 0 && (HoldsSomething(block) || block.seal.seal)) {
      newest_ = *id;
      FindLostEnd();
    }
    JudgeEnd(block);
    if (BeginsWithCheckpoint(*block.walk)) {
      checkpoint_ = *id;
      const std::vector<uint64_t>& listed = block.walk->batches.front().id.live_blocks;
      listed_.insert(listed.begin(), listed.end());
      break;
    }
  }
  if (newest_ == 0) FindLostEnd();
  return absl::OkStatus();
}

// Made ahead of time, behind the one that is written to.
bool Scanner::IsPrepared(uint64_t id) const {
  const auto before = scan_.blocks.find(id - 1);
  return before != scan_.blocks.end() && !before->second.seal.seal &&
         LooksUnused(*scan_.blocks.at(id).file);
}

// A block is sealed only once its successor is there, and none is made ahead but behind the last
// one. So if one behind the newest is not there, or cannot be read, the log may have gone through
// it.
void Scanner::FindLostEnd() {
  uint64_t last = newest_;
  if (newest_ != 0 && scan_.blocks.at(newest_).seal.seal) ++last;
  if (!scan_.blocks.empty()) last = std::max(last, scan_.blocks.rbegin()->first);
  if (!scan_.lost_blocks.empty()) last = std::max(last, scan_.lost_blocks.rbegin()->first);
  const auto behind = scan_.blocks.upper_bound(newest_);
  const uint64_t found = static_cast<uint64_t>(std::distance(behind, scan_.blocks.end()));
  newest_lost_ = found < last - newest_;
  // The one that is empty, if it is the last one, or another.
  scan_.next = found > 0 && scan_.blocks.contains(last) ? last : last + 1;
  if (!newest_lost_) return;
  for (uint64_t id = newest_ + 1; id <= last && missing_.size() < kMaxNamed; ++id) {
    if (!scan_.blocks.contains(id) && !scan_.lost_blocks.contains(id)) missing_.insert(id);
  }
  Note(absl::StrCat(directory_, ": the blocks behind ", newest_ == 0 ? "its beginning" : "block ",
                    newest_ == 0 ? "" : absl::StrCat(newest_), " are lost"));
  scan_.end_lost = scan_.repairs.write_checkpoint = synced_ = true;
}

// The newest checkpoint comes after whatever was released: of blocks from there on none is missing
// otherwise. Of those before it some may have been released since.
void Scanner::FindMissing() {
  uint64_t next = checkpoint_ + 1;
  for (auto at = scan_.blocks.upper_bound(checkpoint_); at != scan_.blocks.end(); ++at) {
    for (; next < at->first && missing_.size() < kMaxNamed; ++next) {
      if (!scan_.lost_blocks.contains(next)) missing_.insert(next);
    }
    next = at->first + 1;
  }
  std::erase_if(listed_, [this](uint64_t id) {
    return scan_.blocks.contains(id) || scan_.lost_blocks.contains(id);
  });
}

// Decides, newest block first, what stands at the end of the log and what its last batch is.
void Scanner::JudgeEnd(ScannedBlock& block) {
  if (judged_) return;
  const Remainder& remainder = block.walk->remainder;
  if (!remainder.empty && !synced_) {
    scan_.repairs.seal_head = true;
    if (remainder.verdict == TailVerdict::kLost) {
      LoseEnd(block);
    } else {
      scan_.torn_bytes += remainder.bytes;
    }
  }
  if (!remainder.empty) synced_ = true;
  // What stands behind a block that was sealed with bad entries is the checkpoint that was to say
  // what was decided of them; it proves nothing.
  if (block.seal.seal) {
    synced_ = !block.seal.seal->has_bad_entries || block.seal.seal->last_is_faulty;
  }
  // That checkpoint is to say, too, that the batch behind is lost.
  if (block.seal.seal && block.seal.seal->end_lost) LoseEnd(block);
  if (block.walk->batches.empty()) return;

  judged_ = true;
  const FoundBatch& last = block.walk->batches.back();
  const TailEvidence evidence = {
      .synced = synced_,
      .sealed = block.seal.seal.has_value(),
      .may_have_holes = last.id.boot != boot_ || failed_sync_ == last.id.batch};
  scan_.repairs.write_checkpoint = scan_.end_lost || !block.walk->bad.empty();
  auto bad = block.walk->bad.find(block.walk->batches.size() - 1);
  switch (JudgeLastBatch(last, bad == block.walk->bad.end() ? std::vector<BadEntry>() : bad->second,
                         evidence)) {
    case TailVerdict::kKeep:
    case TailVerdict::kFaulty:
      break;
    case TailVerdict::kUndecided:
      undecided_ = &last;
      break;
    case TailVerdict::kCut:
      Cut(block);
      break;
    case TailVerdict::kLost:
      CAIRN_CHECK(false) << "one of its id records names it";
  }
}

// Neither copy of its id record is good: what it held, and whether it was synced, nobody can tell.
void Scanner::LoseEnd(const ScannedBlock& block) {
  Note(absl::StrCat(block.file->path(), ": at ", block.walk->data_end,
                    " stands what no power cut leaves: a batch that was synced is lost"));
  scan_.end_lost = true;
  scan_.repairs.write_checkpoint = true;
}

// Takes the last batch off `block`: it was never acknowledged.
void Scanner::Cut(ScannedBlock& block) {
  FoundBatch last = std::move(block.walk->batches.back());
  block.walk->batches.pop_back();
  block.walk->bad.erase(block.walk->batches.size());
  block.walk->data_end = last.id.data_begin;
  block.walk->id_begin = last.id.id_begin + block.file->geometry().RoundUp(last.id_bytes);
  scan_.torn_bytes += last.id.data_bytes;
  scan_.repairs.seal_head = true;
  scan_.repairs.write_checkpoint = scan_.end_lost || !block.walk->bad.empty();
  for (const GroupSection& section : last.id.sections) {
    if (!section.appended) continue;
    scan_.torn[section.group] = {section.appended->first, section.appended->last()};
  }
}

void Scanner::Replay(uint64_t id, ScannedBlock& block) {
  // Batches are numbered without gaps, but for blocks that were released.
  const bool after = replayed_block_ + 1 == id;
  const bool continues = after || id > checkpoint_;
  replayed_block_ = id;
  if (block.footer) {
    for (auto& [group, spans] : block.footer->spans) {
      for (Span& span : spans) GroupOf(group).AddSpan(std::move(span));
    }
    scan_.last_batch = block.seal.seal->last_batch;
    scan_.last_id_hash = block.seal.seal->last_id_hash;
    return;
  }
  const std::vector<FoundBatch>& batches = block.walk->batches;
  for (size_t i = 0; i < batches.size(); ++i) {
    const bool follows = batches[i].id.batch == scan_.last_batch + 1;
    if (!follows && (i > 0 || continues)) {
      Lose(block, i > 0 || after ? "a batch is lost: both its id records are bad"
                                 : "blocks before it are lost");
    }
    ReplayBatch(id, block, i);
  }
  const std::vector<size_t>& lost = block.walk->lost_before;
  if (!lost.empty() && lost.back() == batches.size()) {
    Lose(block, "a batch is lost: both its id records are bad");
  }
  if (block.seal.seal) scan_.last_batch = block.seal.seal->last_batch;
}

// A batch that was synced is nowhere. It may have held a vote of any group; what else it held shows
// when the groups' logs are put together.
void Scanner::Lose(const ScannedBlock& block, absl::string_view what) {
  Note(absl::StrCat(block.file->path(), ": ", what));
  batches_lost_ = scan_.lost_batches = true;
  for (auto& [group, log] : scan_.groups) log.Lose();
}

// The lost batch may have cut off entries and put others in their place. If so, the hash that the
// section knows of the last one it leaves is not that of the entry here, which Check will see.
void Scanner::ApplyBehindLoss(const GroupSection& section, const BatchPlace& place,
                              WrittenLog& log) {
  const std::optional<Index> end = EndToldBy(section);
  Index at = 0;
  EntryHash hash;
  if (end && *end > log.base.index) {
    // Before bounds footers may have come, which say nothing of the end.
    at = section.bounds ? *end : std::min(*end, log.last.index);
    const bool is_known = !section.bounds && at == log.last.index;
    hash = is_known ? log.last_hash : HashOf(section.group, log, at);
  }
  log.spans.SetLastHash(at, hash);
  log.Apply(section, place);
  log.spans.SetLastHash(at, hash);
}

std::optional<RecordRun> Scanner::ReadEntry(GroupId group, const Span& span, Index index) const {
  absl::StatusOr<std::vector<RecordRun>> runs =
      ReadEntries(*scan_.blocks.at(span.block).file, span.MarkFor(index), group, index, index, 1);
  return runs.ok() ? std::optional(runs->front()) : std::nullopt;
}

// That of no entry if it cannot be read.
EntryHash Scanner::HashOf(GroupId group, const WrittenLog& log, Index index) const {
  const Span* span = log.spans.Find(index);
  if (span == nullptr || !span->is_in_block()) return EntryHash();
  const std::optional<RecordRun> entry = ReadEntry(group, *span, index);
  return entry ? entry->last_hash() : EntryHash();
}

void Scanner::ReplayBatch(uint64_t id, ScannedBlock& block, size_t at) {
  const FoundBatch& batch = block.walk->batches[at];
  if (batch.id.is_checkpoint) scan_.lost_batches = false;  // every group is named again
  const BatchPlace place = {
      .block = id,
      .data_begin = batch.id.data_begin,
      .id_end = batch.id.id_begin + block.file->geometry().RoundUp(batch.id_bytes)};
  for (const GroupSection& section : batch.id.sections) {
    WrittenLog& log = GroupOf(section.group);
    if (log.end_unknown) {
      ApplyBehindLoss(section, place, log);
    } else {
      log.Apply(section, place);
    }
  }
  scan_.last_batch = batch.id.batch;
  scan_.last_id_hash = batch.hash;
  if (!batch.head_good) {
    Note(absl::StrCat(block.file->path(), ": batch ", batch.id.batch,
                      ": the id record in front of its records is bad, the other one serves"));
  }
  if (!batch.id_good) {
    Note(absl::StrCat(block.file->path(), ": batch ", batch.id.batch,
                      ": its id record is bad, the one in front of its records serves"));
    scan_.repairs.id_records.push_back(
        {.block = id, .offset = batch.id.id_begin, .bytes = EncodeIdRecord(batch.id)});
  }
  if (auto bad = block.walk->bad.find(at); bad != block.walk->bad.end()) {
    AddBadEntries(block, bad->second, &batch == undecided_);
  }
}

void Scanner::AddBadEntries(const ScannedBlock& block, const std::vector<BadEntry>& bad,
                            bool undecided) {
  if (undecided) {
    for (const BadEntry& entry : bad) {
      std::optional<Index>& torn_from = GroupOf(entry.group).torn_from;
      if (entry.has_zero_sector)
        torn_from = std::min(torn_from.value_or(kMaxIndex), entry.at.index);
    }
  }
  for (const BadEntry& entry : bad) {
    WrittenLog& group = GroupOf(entry.group);
    if (group.torn_from && entry.at.index >= *group.torn_from) continue;
    if (entry.at.index <= group.base.index) continue;
    group.faulty.Add(
        {.first = entry.at,
         .last = entry.at.index,
         .file = block.file->path(),
         .offset = entry.offset,
         .reason = entry.has_zero_sector ? "a sector of it is zero" : "it fails its checksums"});
  }
}

void Scanner::FindHead() {
  if (newest_lost_) {
    scan_.head = newest_;
    if (scan_.head == 0) return;
  } else {
    CAIRN_CHECK(!scan_.blocks.empty());
    auto head = std::prev(scan_.blocks.end());
    while (head != scan_.blocks.begin() && !HoldsSomething(head->second) &&
           !std::prev(head)->second.seal.seal) {
      --head;  // prepared ahead of time
    }
    scan_.head = head->first;
    scan_.next = head->first + 1;
    CAIRN_CHECK(!head->second.seal.seal) << "FindLostEnd finds that there is a next one";
  }
  const auto head = scan_.blocks.find(scan_.head);
  const ScannedBlock& block = head->second;
  scan_.data_end = block.walk->data_end;
  scan_.id_begin = block.walk->id_begin;
  if (scan_.last_batch == 0 && head != scan_.blocks.begin() && std::prev(head)->second.seal.seal) {
    scan_.last_batch = std::prev(head)->second.seal.seal->last_batch;
    scan_.last_id_hash = std::prev(head)->second.seal.seal->last_id_hash;
  }
  scan_.repairs.free_begin = block.walk->free_begin;
  scan_.repairs.free_end = block.walk->free_end;
  if (block.seal.seal) return;
  scan_.repairs.head_has_bad_entries = !block.walk->bad.empty();
  scan_.repairs.head_is_faulty =
      undecided_ == nullptr && block.walk->bad.contains(block.walk->batches.size() - 1);
  if (scan_.repairs.head_has_bad_entries || newest_lost_) scan_.repairs.seal_head = true;
}

// Entries that are in no block: faulty.
void Scanner::TakeGaps(WrittenLog& log) const {
  for (const Span& span : log.spans.spans()) {
    if (span.is_in_block()) continue;
    Index first = span.first;
    for (const TermRun& run : span.term_runs) {
      const Index last =
          std::min({run.last_index, span.last, log.torn_from.value_or(kMaxIndex) - 1});
      if (first > last) continue;
      log.faulty.Add({.first = {first, run.term},
                      .last = last,
                      .file = directory_,
                      .reason = "it is in no block: the batch that held it is lost"});
      first = last + 1;
    }
  }
}

// Makes one log of what the blocks say, as far as that is one.
void Scanner::JoinSpans(GroupId id, WrittenLog& log) {
  const auto read = [&](const Span& span, Index index) { return ReadEntry(id, span, index); };
  // A block that is lost may have cut off what stands before it.
  if (batches_lost_ || scan_.end_lost || !listed_.empty() || !scan_.lost_blocks.empty()) {
    LearnSeams(read, log);
  }
  const std::optional<LogBreak> lost = LoseBehindBreak(read, log);
  if (!lost) return;
  Note(absl::StrCat(directory_, ": group ", ToInteger(id), ": entries ", lost->first, "..",
                    lost->last, " ", lost->reason, ": they are given up, and asked of a leader"));
  scan_.given_up[id] = *lost;
  // Nobody decides anew which they are: the checkpoint of another block says it.
  scan_.repairs.write_checkpoint = true;
  const auto head = scan_.blocks.find(scan_.head);
  if (head != scan_.blocks.end() && HoldsSomething(head->second) && !head->second.seal.seal) {
    scan_.repairs.seal_head = true;
  }
}

void Scanner::FinishGroups() {
  scan_.lost_batches = scan_.lost_batches || scan_.end_lost;
  for (auto& [id, log] : scan_.groups) {
    if (scan_.end_lost) log.hard_state_lost = true;
    log.end_unknown = false;
    JoinSpans(id, log);
    TakeGaps(log);
    // Until its groups are sure of what they knew, a group that is new to this disk need not be.
    if (log.hard_state_lost) scan_.lost_batches = true;
  }
  // With no group to say it of, the blocks say it as they stand.
  if (scan_.groups.empty()) scan_.repairs.write_checkpoint = false;
  if (scan_.usage->Of(0).spans != 0 || !scan_.given_up.empty()) missing_.merge(listed_);
  for (uint64_t id : missing_) {
    scan_.missing.push_back(JoinPath(directory_, BlockFileName(id)));
    Note(absl::StrCat(scan_.missing.back(), ": the file is missing"));
  }
}

}  // namespace

bool LogScan::whole() const { return !end_lost && !lost_batches && usage->Of(0).spans == 0; }

absl::StatusOr<LogScan> ScanLog(const BlockSource& source, const std::vector<uint64_t>& blocks,
                                const ReadHelpers& helpers) {
  return Scanner(source, helpers).Run(blocks);
}

}  // namespace cairn
