#include "storage/block/log_inspector.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/block/block_key.h"
#include "storage/block/log_reader.h"

namespace cairn {
namespace {

constexpr char kLogDirectory[] = "log";  // in a data directory
constexpr size_t kReadBytes = size_t{1} << 20;

bool HasLog(const absl::StatusOr<LogFiles>& files, FileSystem& file_system,
            const std::string& directory) {
  if (!files.ok()) return false;
  if (!files->blocks.empty() || !files->spares.empty()) return true;
  return !absl::IsNotFound(LoadManifest(file_system, directory).status());
}

// Carries out what the batches of one block say.
void Replay(uint64_t block, const BlockGeometry& geometry, const BlockWalk& walk, BlockUsage* usage,
            std::map<GroupId, WrittenLog>& groups) {
  for (const FoundBatch& batch : walk.batches) {
    const BatchPlace place = {.block = block,
                              .data_begin = batch.id.data_begin,
                              .id_end = batch.id.id_begin + geometry.RoundUp(batch.id_bytes)};
    for (const GroupSection& section : batch.id.sections) {
      groups.try_emplace(section.group, usage).first->second.Apply(section, place);
    }
  }
}

std::vector<IndexRange> RangesOf(const std::vector<Span>& spans) {
  std::vector<IndexRange> ranges;
  for (const Span& span : spans) {
    if (!span.is_in_block()) continue;
    if (!ranges.empty() && ranges.back().last + 1 == span.first) {
      ranges.back().last = span.last;
    } else {
      ranges.push_back({span.first, span.last});
    }
  }
  return ranges;
}

void DescribeWalk(uint64_t block, const BlockGeometry& geometry, const BlockWalk& walk,
                  BlockSummary& summary) {
  BlockUsage usage;
  std::map<GroupId, WrittenLog> groups;
  Replay(block, geometry, walk, &usage, groups);
  for (const auto& [id, log] : groups) {
    std::vector<IndexRange> ranges = RangesOf(log.spans.spans());
    if (!ranges.empty()) summary.groups[id] = std::move(ranges);
  }
  if (!walk.batches.empty()) {
    summary.first_batch = walk.batches.front().id.batch;
    summary.last_batch = walk.batches.back().id.batch;
  }
  summary.batches = walk.batches.size();
  for (std::string& note : NotesOf(walk)) summary.notes.push_back(std::move(note));
  size_t bad = 0;
  for (const auto& [at, entries] : walk.bad) bad += entries.size();
  if (bad != 0) summary.notes.push_back(absl::StrCat(bad, " entries cannot be read"));
  if (!walk.lost_before.empty()) summary.notes.push_back("a batch is lost");
  if (!walk.remainder.empty) {
    summary.notes.push_back(absl::StrCat("something stands behind the end, at ", walk.data_end));
  }
}

}  // namespace

std::vector<std::string> NotesOf(const LogInspector::Block& block) {
  std::vector<std::string> notes;
  const BlockGeometry geometry = block.file->header().FileGeometry();
  for (int copy : {0, 1}) {
    if (!block.file->good_headers()[copy]) {
      notes.push_back(absl::StrCat("one header copy is bad, at ", geometry.header_at(copy)));
    }
    if (block.seal.seal && !block.seal.good[copy]) {
      notes.push_back(absl::StrCat("one seal copy is bad, at ", geometry.seal_at(copy)));
    }
    if (!block.file->good_tables()[copy]) notes.push_back("one copy of its frame table is bad");
  }
  if (!block.seal.seal || block.seal.seal->footer_begin == 0) return notes;
  absl::StatusOr<BlockFooter> footer = ReadFooter(*block.file, *block.seal.seal);
  if (!footer.ok()) {
    notes.push_back(
        absl::StrCat(footer.status().message(), ", at ", block.seal.seal->footer_begin));
  }
  return notes;
}

std::vector<std::string> NotesOf(const BlockWalk& walk) {
  std::vector<std::string> notes;
  for (const FoundBatch& batch : walk.batches) {
    if (!batch.head_good || !batch.id_good) {
      notes.push_back(absl::StrCat("batch ", batch.id.batch,
                                   ": one copy of its id record is bad, at ",
                                   batch.head_good ? batch.id.id_begin : batch.id.data_begin));
    }
  }
  return notes;
}

absl::StatusOr<std::unique_ptr<LogInspector>> LogInspector::Open(
    FileSystem& file_system, const std::string& directory, std::shared_ptr<const KeyRing> keys) {
  for (const std::string& candidate : {JoinPath(directory, kLogDirectory), directory}) {
    absl::StatusOr<LogFiles> files = ListLogFiles(file_system, candidate);
    if (absl::IsPermissionDenied(files.status())) return files.status();
    if (!HasLog(files, file_system, candidate)) {
      if (candidate == directory && !files.ok()) return files.status();
      continue;
    }
    std::unique_ptr<LogInspector> inspector(new LogInspector(file_system, candidate, keys));
    inspector->files_ = *std::move(files);
    if (absl::Status status = inspector->Load(); !status.ok()) return status;
    return inspector;
  }
  return absl::NotFoundError(absl::StrCat(directory, ": there is no block log"));
}

absl::Status LogInspector::Load() {
  absl::StatusOr<std::optional<std::string>> writer =
      file_system_.LockHolder(JoinPath(directory_, kLockFileName));
  if (writer.ok()) writer_ = *std::move(writer);
  absl::StatusOr<LogManifest> manifest = LoadManifest(file_system_, directory_);
  if (manifest.ok()) {
    identity_ = manifest->identity;
    if (!manifest->good[0] || !manifest->good[1]) {
      notes_.push_back(absl::StrCat(directory_, ": one copy of the manifest is bad"));
    }
  } else if (absl::IsDataLoss(manifest.status()) || absl::IsNotFound(manifest.status())) {
    notes_.push_back(std::string(manifest.status().message()));
  } else {
    return manifest.status();
  }
  if (absl::Status status = LoadBlocks(); !status.ok()) return status;
  for (const std::string& name : files_.foreign) {
    notes_.push_back(absl::StrCat(JoinPath(directory_, name), ": not a file of the log"));
  }
  if (!manifest.ok()) {
    scan_ = absl::DataLossError(absl::StrCat("the manifest: ", manifest.status().message()));
  } else if (files_.blocks.empty()) {
    scan_ = absl::DataLossError(absl::StrCat(directory_, ": there are no blocks"));
  } else {
    scan_ = ScanLog({.file_system = file_system_,
                     .directory = directory_,
                     .identity = *identity_,
                     .keys = keys_.get()},
                    files_.blocks);
  }
  if (!scan_.ok()) PutTogether();
  return absl::OkStatus();
}

absl::Status LogInspector::LoadBlocks() {
  for (uint64_t block : files_.blocks) {
    OpenBlock(block);
    const absl::Status& status = blocks_[block].status;
    if (absl::IsPermissionDenied(status) || IsMissingKey(status)) return status;
  }
  return absl::OkStatus();
}

void LogInspector::OpenBlock(uint64_t id) {
  Block& block = blocks_[id];
  block.path = JoinPath(directory_, BlockFileName(id));
  absl::StatusOr<std::unique_ptr<BlockFile>> file = BlockFile::Open(
      file_system_, block.path, id, identity_, keys_.get(), FileSystem::OpenMode::kRead);
  if (file.ok()) {
    block.file = *std::move(file);
    block.seal = ReadSeal(*block.file);
    if (!identity_) identity_ = block.file->header().identity;
  } else {
    block.status = file.status();
  }
  absl::StatusOr<std::unique_ptr<File>> plain =
      file_system_.Open(block.path, {.mode = FileSystem::OpenMode::kRead});
  if (!plain.ok()) return;
  absl::StatusOr<uint64_t> size = (*plain)->Size();
  if (size.ok()) block.bytes = *size;
}

// As much as the blocks tell that can be read, one behind the other.
void LogInspector::PutTogether() {
  for (auto& [id, block] : blocks_) {
    if (!block.status.ok()) continue;
    absl::StatusOr<BlockWalk> walk = Walk(id);
    if (!walk.ok()) continue;
    Replay(id, block.file->geometry(), *walk, &usage_, groups_);
  }
}

const std::map<GroupId, WrittenLog>& LogInspector::groups() const {
  return scan_.ok() ? scan_->groups : groups_;
}

absl::StatusOr<BlockWalk> LogInspector::Walk(uint64_t id) const {
  const Block& block = blocks_.at(id);
  if (!block.status.ok()) return block.status;
  const std::unique_ptr<BlockBytes> image = block.file->Image();
  return Walk(id, *image);
}

absl::StatusOr<BlockWalk> LogInspector::Walk(uint64_t id, BlockBytes& image) const {
  const Block& block = blocks_.at(id);
  uint64_t first_batch = id == 1 ? 1 : 0;
  auto before = blocks_.find(id - 1);
  if (before != blocks_.end() && before->second.seal.seal) {
    first_batch = before->second.seal.seal->last_batch + 1;
  }
  return WalkBlock(*block.file, image, block.seal.seal, first_batch);
}

BlockSummary LogInspector::Summarize(uint64_t id, const Block& block) const {
  BlockSummary summary = {.block = id, .path = block.path, .bytes = block.bytes};
  if (!block.status.ok()) {
    summary.notes.push_back(std::string(block.status.message()));
    return summary;
  }
  summary.key = block.file->header().key;
  summary.cipher = block.file->header().encryption.cipher;
  if (block.file->is_compressed()) {
    summary.uncompressed_bytes = block.file->header().geometry.block_bytes;
  }
  summary.notes = NotesOf(block);
  if (block.seal.seal) {
    const BlockSeal& seal = *block.seal.seal;
    summary.state = BlockSummary::State::kSealed;
    absl::StatusOr<BlockFooter> footer = ReadFooter(*block.file, seal);
    if (footer.ok() && !seal.has_bad_entries) {
      summary.first_batch = seal.first_batch;
      summary.last_batch = seal.first_batch == 0 ? 0 : seal.last_batch;
      summary.batches = seal.first_batch == 0 ? 0 : seal.last_batch - seal.first_batch + 1;
      for (const auto& [group, spans] : footer->spans) {
        std::vector<IndexRange> ranges = RangesOf(spans);
        if (!ranges.empty()) summary.groups[group] = std::move(ranges);
      }
      return summary;
    }
  }
  absl::StatusOr<BlockWalk> walk = Walk(id);
  if (!walk.ok()) {
    summary.state = BlockSummary::State::kDamaged;
    summary.notes.push_back(std::string(walk.status().message()));
    return summary;
  }
  if (!block.seal.seal) {
    const bool holds = !walk->batches.empty() || !walk->remainder.empty;
    const bool is_head = scan_.ok() ? scan_->head == id : holds;
    summary.state = is_head ? BlockSummary::State::kHead : BlockSummary::State::kPrepared;
  }
  DescribeWalk(id, block.file->geometry(), *walk, summary);
  return summary;
}

std::vector<BlockSummary> LogInspector::Summaries() const {
  std::vector<BlockSummary> summaries;
  for (const auto& [id, block] : blocks_) summaries.push_back(Summarize(id, block));
  for (uint64_t spare : files_.spares) {
    BlockSummary& summary = summaries.emplace_back();
    summary.block = spare;
    summary.path = JoinPath(directory_, SpareFileName(spare));
    summary.state = BlockSummary::State::kSpare;
    auto file = file_system_.Open(summary.path, {.mode = FileSystem::OpenMode::kRead});
    if (!file.ok()) continue;
    absl::StatusOr<uint64_t> size = (*file)->Size();
    if (size.ok()) summary.bytes = *size;
  }
  return summaries;
}

void LogInspector::Read(GroupId group, Index from, uint64_t count,
                        const std::function<void(const RecordRun&)>& take,
                        const std::function<void(const Unreadable&)>& unreadable) const {
  auto found = groups().find(group);
  if (found == groups().end()) return;
  const WrittenLog& log = found->second;
  Index next = std::max(from, log.base.index + 1);
  while (count > 0 && next <= log.last.index) {
    if (log.torn_from && next >= *log.torn_from) {
      unreadable({{next, log.last.index}, "may be torn: the group's peers decide"});
      return;
    }
    const Span* span = log.spans.Find(next);
    if (span == nullptr || !span->is_in_block()) {
      Index last = log.last.index;
      for (const Span& later : log.spans.spans()) {
        if (later.first > next) last = std::min(last, later.first - 1);
      }
      if (span != nullptr) last = span->last;
      unreadable({{next, last}, "in no block that can be read"});
      next = last + 1;
      continue;
    }
    Index last = std::min(span->last, log.torn_from.value_or(kMaxIndex) - 1);
    if (last - next >= count) last = next + count - 1;
    absl::StatusOr<std::vector<RecordRun>> runs = ReadEntries(
        *blocks_.at(span->block).file, span->MarkFor(next), group, next, last, kReadBytes);
    if (!runs.ok()) {
      unreadable({{next, next}, std::string(runs.status().message())});
      ++next;
      continue;
    }
    for (const RecordRun& run : *runs) {
      take(run);
      next = run.last().index + 1;
      count -= std::min<uint64_t>(count, run.size());
    }
  }
}

}  // namespace cairn
