#include "storage/block/log_verifier.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "storage/block/block_bytes.h"
#include "storage/block/block_file.h"

namespace cairn {
namespace {

// Indexes, as ranges that neither touch nor overlap.
class IndexSet {
 public:
  void Add(IndexRange range) {
    auto at = std::find_if(ranges_.begin(), ranges_.end(),
                           [&](const IndexRange& each) { return each.last + 1 >= range.first; });
    while (at != ranges_.end() && at->first <= range.last + 1) {
      range = {std::min(range.first, at->first), std::max(range.last, at->last)};
      at = ranges_.erase(at);
    }
    ranges_.insert(at, range);
  }

  void Remove(Index index) {
    auto at = std::find_if(ranges_.begin(), ranges_.end(),
                           [&](const IndexRange& each) { return each.last >= index; });
    if (at == ranges_.end() || at->first > index) return;
    const IndexRange range = *at;
    at = ranges_.erase(at);
    if (range.last > index) at = ranges_.insert(at, {index + 1, range.last});
    if (range.first < index) ranges_.insert(at, {range.first, index - 1});
  }

  // Adds to `to` what is here and in `range`.
  void AddCommon(IndexRange range, IndexSet& to) const {
    for (const IndexRange& each : ranges_) {
      const Index first = std::max(each.first, range.first);
      const Index last = std::min(each.last, range.last);
      if (first <= last) to.Add({first, last});
    }
  }

  const std::vector<IndexRange>& ranges() const { return ranges_; }

 private:
  std::vector<IndexRange> ranges_;
};

// True if `section`, which comes later, takes the entry out of the log or puts another in its
// place.
bool Supersedes(const GroupSection& section, Index index) {
  if (section.bounds &&
      (index <= section.bounds->base.index || index > section.bounds->last.index)) {
    return true;
  }
  for (const EntryIds& ids : section.copied) {
    if (ids.first <= index && index <= ids.last()) return true;
  }
  return section.dropped || (section.truncation && index >= section.truncation->from) ||
         (section.appended && index >= section.appended->first) ||
         (section.base && index <= section.base->base.index);
}

// The blocks of a log in their order, the next one read while one is looked at.
class ImageReader {
 public:
  ImageReader(const LogInspector& log, Executor* beside) : log_(log), beside_(beside) {}
  ~ImageReader() { Await(); }

  // Of a block that can be read.
  std::unique_ptr<BlockBytes> Take(uint64_t id) {
    std::unique_ptr<BlockBytes> image = Await();
    if (image == nullptr || ahead_ != id) image = log_.blocks().at(id).file->Image();
    auto next = log_.blocks().upper_bound(id);
    while (next != log_.blocks().end() && !next->second.status.ok()) ++next;
    if (beside_ != nullptr && next != log_.blocks().end()) Start(next->first, *next->second.file);
    return image;
  }

 private:
  void Start(uint64_t id, const BlockFile& file) {
    ahead_ = id;
    {
      MutexLock lock(mutex_);
      reads_ = true;
    }
    beside_->Post([this, &file] {
      std::unique_ptr<BlockBytes> image = file.Image();
      MutexLock lock(mutex_);
      image_ = std::move(image);
      reads_ = false;
      read_.NotifyAll();
    });
  }

  std::unique_ptr<BlockBytes> Await() {
    MutexLock lock(mutex_);
    while (reads_) read_.Wait(mutex_);
    return std::move(image_);
  }

  const LogInspector& log_;
  Executor* const beside_;
  uint64_t ahead_ = 0;  // the block that is read
  Mutex mutex_;
  CondVar read_;
  bool reads_ CAIRN_GUARDED_BY(mutex_) = false;
  std::unique_ptr<BlockBytes> image_ CAIRN_GUARDED_BY(mutex_);
};

class Verifier {
 public:
  Verifier(const LogInspector& log, Executor* beside) : log_(log), images_(log, beside) {}

  std::vector<VerifiedFile> Run() {
    for (const auto& [id, block] : log_.blocks()) VerifyBlock(id, block);
    for (BadPlace& bad : bad_) {
      VerifiedFile& file = files_[bad.file];
      ok_[bad.file][bad.finding.group].Remove(bad.finding.entries.first);
      file.faulty.push_back(std::move(bad.finding));
    }
    size_t file = 0;
    for (const auto& [id, block] : log_.blocks()) {
      DescribeOk(id, ok_[file], files_[file]);
      ++file;
    }
    VerifyWhole();
    return std::move(files_);
  }

 private:
  // A bad entry, in force as far as the batches seen so far tell.
  struct BadPlace {
    size_t file;  // in files_
    LogFinding finding;
  };

  // Of the entries that are good those which are in force where they stand.
  void DescribeOk(uint64_t block, const std::map<GroupId, IndexSet>& good, VerifiedFile& file) {
    for (const auto& [group, set] : good) {
      auto log = log_.groups().find(group);
      if (log == log_.groups().end()) continue;
      IndexSet in_force;
      for (const Span& span : log->second.spans.spans()) {
        if (span.block == block) set.AddCommon({span.first, span.last}, in_force);
      }
      if (!in_force.ranges().empty()) file.ok[group] = in_force.ranges();
    }
  }

  void VerifyBlock(uint64_t id, const LogInspector::Block& block) {
    VerifiedFile& file = files_.emplace_back();
    ok_.emplace_back();
    file.path = block.path;
    if (!block.status.ok()) {
      AddLostFile(block, block.status);
      return;
    }
    file.notes = NotesOf(block);
    const std::unique_ptr<BlockBytes> image = images_.Take(id);
    absl::StatusOr<BlockWalk> walk = log_.Walk(id, *image);
    if (!walk.ok()) {
      AddLostFile(block, walk.status());
      return;
    }
    for (std::string& note : NotesOf(*walk)) file.notes.push_back(std::move(note));
    for (size_t place : walk->lost_before) AddLost(block, *walk, place);
    for (size_t i = 0; i < walk->batches.size(); ++i) {
      auto bad = walk->bad.find(i);
      AddBatch(walk->batches[i], bad == walk->bad.end() ? std::vector<BadEntry>() : bad->second);
    }
    if (log_.scan().ok() && log_.scan()->head == id) AddTorn();
  }

  void AddLostFile(const LogInspector::Block& block, const absl::Status& why) {
    VerifiedFile& file = files_.back();
    if (log_.scan().ok() && log_.scan()->whole()) {
      file.notes.push_back(absl::StrCat(why.message(), "; nothing of it is missing any more"));
      return;
    }
    file.faulty.push_back(
        {.path = block.path, .bytes = block.bytes, .reason = std::string(why.message())});
  }

  void AddLost(const LogInspector::Block& block, const BlockWalk& walk, size_t place) {
    const BlockGeometry& geometry = block.file->geometry();
    uint64_t offset = geometry.data_begin();
    if (place > 0) {
      const IdRecord& before = walk.batches[place - 1].id;
      offset = before.data_begin + geometry.RoundUp(before.data_bytes);
    }
    files_.back().faulty.push_back({.path = block.path,
                                    .offset = offset,
                                    .reason = "a batch is lost: both its id records are bad"});
  }

  void AddBatch(const FoundBatch& batch, const std::vector<BadEntry>& bad) {
    if (log_.scan().ok() && batch.id.batch > log_.scan()->last_batch) return;  // torn
    for (const GroupSection& section : batch.id.sections) {
      for (const EntryIds& ids : section.copied) AddGood(section.group, ids);
      if (section.appended) AddGood(section.group, *section.appended);
      std::erase_if(bad_, [&](const BadPlace& place) {
        const LogFinding& finding = place.finding;
        if (finding.group != section.group) return false;
        if (!Supersedes(section, finding.entries.first)) return false;
        NoteUnused(finding, files_[place.file]);
        return true;
      });
    }
    for (const BadEntry& entry : bad) AddBad(batch, entry);
  }

  void AddGood(GroupId group, const EntryIds& ids) {
    ok_.back()[group].Add({ids.first, ids.last()});
  }

  void AddBad(const FoundBatch& batch, const BadEntry& entry) {
    VerifiedFile& file = files_.back();
    LogFinding finding = {
        .path = file.path,
        .offset = entry.offset,
        .bytes = entry.length,
        .group = entry.group,
        .entries = {entry.at.index, entry.at.index},
        .reason = entry.has_zero_sector ? "a sector of it is zero" : "it fails its checksums"};
    ok_.back()[entry.group].Remove(entry.at.index);
    for (const GroupSection& section : batch.id.sections) {
      if (section.group != entry.group) continue;
      if (section.base && entry.at.index <= section.base->base.index) {
        NoteUnused(finding, file);
        return;
      }
    }
    if (log_.scan().ok() && batch.id.batch == log_.scan()->last_batch) {
      auto group = log_.scan()->groups.find(entry.group);
      if (group != log_.scan()->groups.end() && group->second.torn_from &&
          entry.at.index >= *group->second.torn_from) {
        finding.reason += "; it may be torn: the group's peers decide";
        file.torn.push_back(std::move(finding));
        return;
      }
    }
    bad_.push_back({files_.size() - 1, std::move(finding)});
  }

  static void NoteUnused(const LogFinding& finding, VerifiedFile& file) {
    file.notes.push_back(absl::StrCat("entry ", finding.entries.first, " of group ",
                                      ToInteger(finding.group), " at ", finding.offset, ": ",
                                      finding.reason, ", but it is no longer in the log"));
  }

  // What recovery would cut off.
  void AddTorn() {
    const LogScan& scan = *log_.scan();
    if (scan.torn_bytes == 0) return;
    VerifiedFile& file = files_.back();
    LogFinding finding = {.path = file.path,
                          .offset = scan.data_end,
                          .bytes = scan.torn_bytes,
                          .reason = "torn: it was never acknowledged"};
    if (scan.torn.empty()) file.torn.push_back(finding);
    for (const auto& [group, torn] : scan.torn) {
      finding.group = group;
      finding.entries = {torn.first, torn.last};
      file.torn.push_back(finding);
    }
  }

  void VerifyWhole() {
    VerifiedFile whole = {.path = log_.directory()};
    whole.notes = log_.notes();
    auto add = [&](GroupId group, IndexRange entries, absl::string_view reason) {
      whole.faulty.push_back({.path = log_.directory(),
                              .group = group,
                              .entries = entries,
                              .reason = std::string(reason)});
    };
    if (!log_.scan().ok()) {
      add(GroupId::kNone, {}, log_.scan().status().message());
      for (const auto& [group, log] : log_.groups()) {
        Index next = log.base.index + 1;
        for (const Span& span : log.spans.spans()) {
          if (!span.is_in_block()) continue;
          if (span.first > next) add(group, {next, span.first - 1}, "in no block");
          next = span.last + 1;
        }
        if (next <= log.last.index) add(group, {next, log.last.index}, "in no block");
      }
    } else {
      for (const std::string& path : log_.scan()->missing) {
        add(GroupId::kNone, {}, absl::StrCat(path, ": the file is missing"));
      }
      for (const auto& [group, lost] : log_.scan()->given_up) {
        add(group, {lost.first, lost.last},
            absl::StrCat("they, or the first of them, ", lost.reason));
      }
      for (const auto& [group, log] : log_.scan()->groups) {
        for (const Span& span : log.spans.spans()) {
          if (span.is_in_block()) continue;
          add(group, {span.first, span.last}, "in no block: the batch that held them is lost");
        }
        if (!log.hard_state_lost) continue;
        add(group, {}, "a batch that was synced is lost, perhaps with its term and vote");
        whole.faulty.back().is_mark =
            !log_.scan()->end_lost && !log_.scan()->given_up.contains(group);
      }
    }
    if (!whole.faulty.empty() || !whole.notes.empty()) files_.push_back(std::move(whole));
  }

  const LogInspector& log_;
  ImageReader images_;
  std::vector<VerifiedFile> files_;
  std::vector<std::map<GroupId, IndexSet>> ok_;  // by file
  std::vector<BadPlace> bad_;
};

}  // namespace

std::vector<VerifiedFile> VerifyLog(const LogInspector& log, Executor* beside) {
  return Verifier(log, beside).Run();
}

}  // namespace cairn
