#include "storage/offline/log_copy.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "storage/checksum.h"

namespace cairn {
namespace {

// Synced together.
constexpr size_t kBatchBytes = size_t{1} << 20;
// Entries read together.
constexpr uint64_t kPiece = 4096;
// Of what is faulty or torn this much is named.
constexpr size_t kNamed = 8;

std::string Describe(const LogFinding& finding) {
  std::string text = finding.path;
  if (finding.group != GroupId::kNone) absl::StrAppend(&text, ", group ", ToInteger(finding.group));
  if (finding.entries.first != 0) absl::StrAppend(&text, ", entry ", finding.entries.first);
  if (finding.entries.last != finding.entries.first) {
    absl::StrAppend(&text, " to ", finding.entries.last);
  }
  return absl::StrCat(text, ": ", finding.reason);
}

std::string Describe(const std::vector<LogFinding>& findings) {
  std::vector<std::string> texts;
  for (const LogFinding& finding : findings) {
    if (texts.size() < kNamed) texts.push_back(Describe(finding));
  }
  if (findings.size() > kNamed) {
    texts.push_back(absl::StrCat("and ", findings.size() - kNamed, " more"));
  }
  return absl::StrJoin(texts, "; ");
}

absl::Status SyncNow(LogDisk& disk) {
  absl::Status result = absl::InternalError("the sync did not end");
  disk.Sync([&result](absl::Status status) { result = std::move(status); });
  return result;
}

void Count(const RecordRun& run, CopiedGroup& group) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
  group.entries += run.size();
  group.bytes += run.byte_size();
  for (size_t i = 0; i < run.size(); ++i) {
    group.digest = group.digest * kOdd + Checksum(run[i].bytes());
  }
}

absl::Status OfGroup(GroupId group, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("group ", ToInteger(group), ": ", status.message()));
}

class GroupCopy {
 public:
  GroupCopy(const LogView& from, LogDisk& to, GroupId group) : from_(from), to_(to), id_(group) {}

  // `before`: entries of other groups that are done.
  absl::Status Run(CopiedGroup& group, uint64_t before, const CopyProgress& progress) {
    absl::StatusOr<OpenedLog> opened = to_.OpenGroup(id_);
    if (!opened.ok()) return opened.status();
    LogStore& store = *opened->store;
    if (group.group.base != LogPosition()) {
      status_ = store.Reset(group.group.base, group.group.base_hash);
    }
    // Piece by piece, so that an error ends it.
    const Index last = group.group.last.index;
    for (Index next = group.group.base.index + 1; next <= last && status_.ok(); next += kPiece) {
      from_.Read(
          id_, next, kPiece,
          [&](const RecordRun& run) {
            Write(store, run);
            Count(run, group);
            progress(before + group.entries);
          },
          [&](const LogInspector::Unreadable& bad) {
            Keep(absl::DataLossError(absl::StrCat("entry ", bad.entries.first, ": ", bad.reason)));
          });
    }
    if (status_.ok()) Keep(SyncNow(to_));
    // A known commit is evidence of what was there before: so it comes behind the entries. With the
    // term and vote it is written, and those of a group with entries are some.
    LogAppend append;
    append.hard_state = group.group.hard_state;
    append.commit = group.group.known_commit;
    append.sure = !group.group.hard_state_lost;
    if (status_.ok()) Keep(store.Append(append));
    if (status_.ok()) Keep(SyncNow(to_));
    return status_;
  }

 private:
  void Write(LogStore& store, const RecordRun& run) {
    if (!status_.ok()) return;
    LogAppend append;
    append.runs = {run};
    Keep(store.Append(append));
    if (status_.ok() && (bytes_ += run.byte_size()) >= kBatchBytes) {
      Keep(SyncNow(to_));
      bytes_ = 0;
    }
  }

  void Keep(absl::Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

  const LogView& from_;
  LogDisk& to_;
  const GroupId id_;
  absl::Status status_;
  size_t bytes_ = 0;
};

// What of `group` is not as it was copied; empty if nothing.
std::string Difference(const ViewedGroup& wanted, const ViewedGroup& found) {
  if (found.hard_state != wanted.hard_state) return "term and vote";
  if (found.hard_state_lost != wanted.hard_state_lost) return "whether its end is lost";
  if (found.base != wanted.base || found.base_hash != wanted.base_hash) return "the base";
  if (found.last != wanted.last || found.last_hash != wanted.last_hash) return "the last entry";
  if (found.known_commit != wanted.known_commit) return "the known commit";
  return found == wanted ? "" : "what is undecided";
}

}  // namespace

absl::Status CheckWhole(const LogView& log) {
  std::vector<LogFinding> faulty;
  std::vector<LogFinding> torn;
  for (const VerifiedFile& file : log.Verify()) {
    // A mark can go along.
    std::copy_if(file.faulty.begin(), file.faulty.end(), std::back_inserter(faulty),
                 [](const LogFinding& finding) { return !finding.is_mark; });
    torn.insert(torn.end(), file.torn.begin(), file.torn.end());
  }
  if (!faulty.empty()) {
    return absl::DataLossError(
        absl::StrCat(log.directory(), " is damaged, and cannot be converted: ", Describe(faulty),
                     "; the other members have what is damaged here"));
  }
  if (!torn.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        log.directory(), " has an end that is not decided: ", Describe(torn),
        "; start the node on it once more, wait until it follows a leader, stop it, and convert "
        "then"));
  }
  if (!log.identity()) {
    return absl::DataLossError(absl::StrCat(log.directory(), ": nobody can tell whose log it is"));
  }
  return absl::OkStatus();
}

bool Forgets(const LogView& from) {
  const std::map<GroupId, ViewedGroup> groups = from.Groups();
  return std::any_of(groups.begin(), groups.end(),
                     [](const auto& group) { return group.second.hard_state_lost; });
}

absl::StatusOr<CopiedGroups> CopyLog(const LogView& from, LogDisk& to,
                                     const CopyProgress& progress) {
  CopiedGroups copied;
  uint64_t entries = 0;
  for (const auto& [id, viewed] : from.Groups()) {
    CopiedGroup& group = copied[id];
    group.group = viewed;
    absl::Status done = GroupCopy(from, to, id).Run(group, entries, progress);
    if (!done.ok()) return OfGroup(id, done);
    entries += group.entries;
  }
  return copied;
}

absl::Status CheckCopy(const CopiedGroups& copied, const LogView& copy,
                       const CopyProgress& progress) {
  const std::map<GroupId, ViewedGroup> groups = copy.Groups();
  if (groups.size() != copied.size()) {
    return absl::InternalError(absl::StrCat(copy.directory(), ": the copy has ", groups.size(),
                                            " groups, ", copied.size(), " were written"));
  }
  uint64_t entries = 0;
  for (const auto& [id, wanted] : copied) {
    const auto found = groups.find(id);
    std::string difference = found == groups.end() ? "it" : Difference(wanted.group, found->second);
    CopiedGroup read;
    std::string unreadable;
    copy.Read(
        id, 0, UINT64_MAX,
        [&](const RecordRun& run) {
          Count(run, read);
          progress(entries + read.entries);
        },
        [&](const LogInspector::Unreadable& bad) { unreadable = bad.reason; });
    if (!unreadable.empty()) difference = unreadable;
    if (difference.empty() && (read.entries != wanted.entries || read.digest != wanted.digest)) {
      difference = "an entry";
    }
    if (!difference.empty()) {
      return OfGroup(id,
                     absl::InternalError(absl::StrCat(
                         copy.directory(), ": the copy is not what was written: ", difference)));
    }
    entries += read.entries;
  }
  return absl::OkStatus();
}

}  // namespace cairn
