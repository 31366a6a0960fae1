#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "base/system_clock.h"
#include "base/thread_executor.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/log_keys.h"
#include "service/cli/output.h"
#include "service/cli/read_progress.h"
#include "service/cli/verbs.h"
#include "storage/block/log_inspector.h"
#include "storage/block/log_salvage.h"
#include "storage/offline/log_view.h"
#include "storage/offline/rocksdb_salvage.h"
#include "storage/posix_file_system.h"
#include "storage/record.h"
#include "storage/rocksdb/rocksdb_inspector.h"

namespace cairn {
namespace {

constexpr uint64_t kTableRows = 10'000;

struct LogFlags {
  std::string directory;
  LogKeys keys;
  uint64_t group = 0;  // 0: all
  uint64_t from = 0;
  uint64_t count = 0;  // 0: no limit
  bool raw = false;
  std::string output;
  bool alone = false;
  std::string acknowledgement;
};

const char* NameOf(BlockSummary::State state) {
  switch (state) {
    case BlockSummary::State::kSealed:
      return "sealed";
    case BlockSummary::State::kHead:
      return "head";
    case BlockSummary::State::kPrepared:
      return "prepared";
    case BlockSummary::State::kSpare:
      return "spare";
    case BlockSummary::State::kDamaged:
      return "unreadable";
  }
  return "?";
}

const char* NameOf(EntryType type) {
  switch (type) {
    case EntryType::kNoop:
      return "noop";
    case EntryType::kCommand:
      return "command";
    case EntryType::kConfiguration:
      return "configuration";
    case EntryType::kOpenSession:
      return "open_session";
    case EntryType::kCloseSession:
      return "close_session";
    case EntryType::kClock:
      return "clock";
  }
  return "?";
}

std::string TimeText(WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", absl::FromUnixNanos(time.nanoseconds),
                          absl::UTCTimeZone());
}

std::string RangeText(IndexRange range) {
  if (range.first == range.last) return range.first == 0 ? "" : absl::StrCat(range.first);
  return absl::StrCat(range.first, "..", range.last);
}

// A list of ranges of entries: "1:1..20,2:5" for people, group before range.
void AddRanges(Row& row, absl::string_view name,
               const std::map<GroupId, std::vector<IndexRange>>& groups) {
  std::vector<Row> rows;
  std::vector<std::string> texts;
  for (const auto& [group, ranges] : groups) {
    for (IndexRange range : ranges) {
      rows.push_back(Row()
                         .Add("group", ToInteger(group))
                         .Add("first_index", range.first)
                         .Add("last_index", range.last));
      texts.push_back(absl::StrCat(ToInteger(group), ":", RangeText(range)));
    }
  }
  row.Add(name, rows, absl::StrJoin(texts, ","));
}

void AddFindings(Row& row, absl::string_view name, const std::vector<LogFinding>& findings) {
  std::vector<Row> rows;
  for (const LogFinding& finding : findings) {
    rows.push_back(Row()
                       .Add("file", finding.path)
                       .Add("offset", finding.offset)
                       .Add("bytes", finding.bytes)
                       .Add("group", ToInteger(finding.group))
                       .Add("first_index", finding.entries.first)
                       .Add("last_index", finding.entries.last)
                       .Add("reason", finding.reason));
  }
  row.Add(name, rows, absl::StrCat(findings.size()));
}

// Of a LogView, or of an inspector of one of the stores.
template <typename Log>
void NoteWriter(const Log& log) {
  if (const auto& writer = log.writer()) {
    std::cerr << "note: " << *writer << " has " << log.directory()
              << " open; the log may change while it is read" << std::endl;
  }
}

// Opens the log, of whatever store, and runs `verb` on it.
int WithLog(CliContext& context, LogFlags& flags,
            const std::function<int(const LogView&, ReadProgress&)>& verb) {
  PosixFileSystem file_system;
  ReadProgress progress(file_system);
  absl::StatusOr<std::shared_ptr<KeyRing>> keys = flags.keys.Load();
  if (!keys.ok()) return context.Fail(keys.status());
  absl::StatusOr<std::unique_ptr<LogView>> log =
      OpenLogView(progress.files(), flags.directory, *keys);
  if (!log.ok()) return context.Fail(log.status());
  NoteWriter(**log);
  return verb(**log, progress);
}

using Keys = std::shared_ptr<const KeyRing>;

// What each store has to say that the other one has not.
int WithStore(
    CliContext& context, LogFlags& flags,
    const std::function<int(const LogInspector&, ReadProgress&)>& block,
    const std::function<int(const RocksDbInspector&, const Keys&, ReadProgress&)>& rocksdb) {
  PosixFileSystem file_system;
  ReadProgress progress(file_system);
  absl::StatusOr<std::shared_ptr<KeyRing>> keys = flags.keys.Load();
  if (!keys.ok()) return context.Fail(keys.status());
  absl::StatusOr<std::unique_ptr<RocksDbInspector>> in_rocksdb =
      RocksDbInspector::Open(progress.files(), flags.directory, *keys);
  if (in_rocksdb.ok()) {
    NoteWriter(**in_rocksdb);
    return rocksdb(**in_rocksdb, *keys, progress);
  }
  if (!absl::IsNotFound(in_rocksdb.status())) return context.Fail(in_rocksdb.status());
  absl::StatusOr<std::unique_ptr<LogInspector>> in_blocks =
      LogInspector::Open(progress.files(), flags.directory, *keys);
  if (!in_blocks.ok()) return context.Fail(in_blocks.status());
  NoteWriter(**in_blocks);
  return block(**in_blocks, progress);
}

const char* StateOf(const LogHead& head, const LedgerGroup* ledger) {
  if (head.torn_from != 0) return "undecided";
  return ledger == nullptr ? "no ledger" : "known";
}

int RunListRocksDb(CliContext& context, const RocksDbInspector& log) {
  for (const std::string& note : log.notes()) std::cerr << "note: " << note << std::endl;
  for (const auto& [group, kept] : log.groups()) {
    const LogHead& head = kept.head();
    const bool has_entries = head.last.index > head.base.index;
    const LedgerGroup* ledger = log.LedgerOf(group);
    context.output().Print(Row()
                               .Add("group", ToInteger(group))
                               .Add("state", StateOf(head, ledger))
                               .Add("first_index", has_entries ? head.base.index + 1 : 0)
                               .Add("last_index", has_entries ? head.last.index : 0)
                               .Add("term", head.hard_state.term)
                               .Add("vote", ToInteger(head.hard_state.vote))
                               .Add("known_commit", head.known_commit)
                               .Add("torn_from", head.torn_from)
                               .Add("change", head.change)
                               .Add("ledger_change", ledger == nullptr ? 0 : ledger->head.change));
  }
  for (const auto& [group, status] : log.damaged()) {
    context.output().Flush();
    std::cerr << "note: group " << ToInteger(group) << ": " << status.message() << std::endl;
  }
  return kExitOk;
}

int RunList(CliContext& context, const LogInspector& log) {
  for (const std::string& note : log.notes()) std::cerr << "note: " << note << std::endl;
  if (!log.scan().ok()) {
    std::cerr << "note: the log as a whole: " << log.scan().status().message() << std::endl;
  }
  for (const BlockSummary& block : log.Summaries()) {
    Row row;
    row.Add("block", block.block)
        .Add("file", block.path)
        .Add("state", NameOf(block.state))
        .Add("bytes", block.bytes)
        .Add("uncompressed_bytes", block.uncompressed_bytes)
        .Add("cipher", block.key == 0 ? "" : CipherName(block.cipher))
        .Add("key", block.key == 0 ? "" : KeyIdText(block.key))
        .Add("batches", block.batches)
        .Add("first_batch", block.first_batch)
        .Add("last_batch", block.last_batch);
    AddRanges(row, "groups", block.groups);
    context.output().Print(row.Add("notes", block.notes));
  }
  return kExitOk;
}

void PrintEntries(CliContext& context, const RecordRun& run, bool raw) {
  for (size_t i = 0; i < run.size(); ++i) {
    const RecordView entry = run[i];
    const Bytes payload = entry.Payload(run.bytes());
    if (raw) {
      std::cout << payload.view() << '\n';
      continue;
    }
    context.output().Print(Row()
                               .Add("group", ToInteger(entry.group()))
                               .Add("index", entry.position().index)
                               .Add("term", entry.position().term)
                               .Add("type", NameOf(entry.type()))
                               .Add("session", entry.call().session)
                               .Add("session_number", entry.call().number)
                               .Add("time", TimeText(entry.timestamp()))
                               .Add("bytes", uint64_t{entry.payload_size()})
                               .Add("payload", absl::Base64Escape(payload.view())));
  }
}

int RunCat(CliContext& context, const LogView& log, const LogFlags& flags) {
  std::vector<GroupId> groups;
  for (const auto& [group, viewed] : log.Groups()) groups.push_back(group);
  if (flags.group != 0) {
    const auto wanted = static_cast<GroupId>(flags.group);
    if (std::find(groups.begin(), groups.end(), wanted) == groups.end()) {
      return context.Fail(absl::NotFoundError(
          absl::StrCat(log.directory(), ": nothing of group ", flags.group, " is here")));
    }
    groups = {wanted};
  }
  uint64_t unreadable = 0;
  uint64_t printed = 0;
  uint64_t left = flags.count == 0 ? UINT64_MAX : flags.count;
  for (GroupId group : groups) {
    log.Read(
        group, flags.from, left,
        [&](const RecordRun& run) {
          PrintEntries(context, run, flags.raw);
          left -= run.size();
          // A table is kept until its end; a log may be longer than memory.
          if ((printed += run.size()) >= kTableRows) {
            context.output().Flush();
            printed = 0;
          }
        },
        [&](const LogInspector::Unreadable& missing) {
          unreadable += missing.entries.last - missing.entries.first + 1;
          std::cerr << "unreadable: group " << ToInteger(group) << " index "
                    << RangeText(missing.entries) << ": " << missing.reason << std::endl;
        });
  }
  std::cout.flush();
  if (unreadable == 0) return kExitOk;
  return context.Fail(absl::DataLossError(
      absl::StrCat(unreadable, " entries cannot be read; cairn log verify says more")));
}

// For people: a line for each thing found. For programs: an object for each file.
void PrintVerified(CliContext& context, const VerifiedFile& file) {
  if (context.format() == OutputFormat::kJson) {
    Row row;
    row.Add("file", file.path);
    AddRanges(row, "ok", file.ok);
    AddFindings(row, "torn", file.torn);
    AddFindings(row, "faulty", file.faulty);
    context.output().Print(row.Add("notes", file.notes));
    return;
  }
  auto print = [&](const char* verdict, const LogFinding& finding) {
    context.output().Print(Row()
                               .Add("verdict", verdict)
                               .Add("file", finding.path)
                               .Add("offset", finding.offset)
                               .Add("group", ToInteger(finding.group))
                               .Add("index", RangeText(finding.entries))
                               .Add("reason", finding.reason));
  };
  for (const auto& [group, ranges] : file.ok) {
    for (IndexRange range : ranges) {
      print("ok", {.path = file.path, .group = group, .entries = range, .reason = ""});
    }
  }
  for (const LogFinding& finding : file.torn) print("torn", finding);
  for (const LogFinding& finding : file.faulty) print("faulty", finding);
  for (const std::string& note : file.notes) print("note", {.path = file.path, .reason = note});
}

int RunVerify(CliContext& context, const LogView& log, ReadProgress& progress) {
  uint64_t faulty = 0;
  const SystemClock clock;
  ThreadExecutor beside(clock, "read ahead");
  progress.Begin("verify", log.directory());
  const std::vector<VerifiedFile> files = log.Verify(&beside);
  progress.End();
  for (const VerifiedFile& file : files) {
    PrintVerified(context, file);
    faulty += file.faulty.size();
  }
  if (faulty == 0) return kExitOk;
  context.output().Flush();
  return context.Fail(absl::DataLossError(
      absl::StrCat(log.directory(), ": ", faulty,
                   " faults in what may have been acknowledged; they are listed above")));
}

// Says what would be lost; writes only if just that is acknowledged.
template <typename Log>  // of a store: LogInspector or RocksDbInspector
int RunSalvage(
    CliContext& context, const Log& log, const LogFlags& flags, ReadProgress& progress,
    const std::function<absl::Status(const SalvagePlan& plan, FileSystem& file_system)>& write) {
  progress.Begin("what can be kept", log.directory());
  SalvagePlan plan = PlanSalvage(log);
  progress.End();
  if (flags.alone) SetAlone(plan);
  for (const SalvagedGroup& group : plan.groups) {
    const IndexRange kept = group.last == group.base
                                ? IndexRange()
                                : IndexRange{group.base.index + 1, group.last.index};
    context.output().Print(Row()
                               .Add("group", ToInteger(group.group))
                               .Add("first_index", kept.first)
                               .Add("last_index", kept.last)
                               .Add("lost_first_index", group.lost.first)
                               .Add("lost_last_index", group.lost.last)
                               .Add("term", group.hard_state.term)
                               .Add("vote", ToInteger(group.hard_state.vote))
                               .Add("vote_lost", group.hard_state_lost)
                               .Add("unsure", group.forgets() && !plan.alone)
                               .Add("reason", group.reason));
  }
  context.output().Flush();
  for (const std::string& path : plan.unreadable) {
    std::cerr << "note: " << path << " cannot be read; what it held is lost" << std::endl;
  }
  if (flags.acknowledgement.empty()) {
    return context.Fail(absl::FailedPreconditionError(
        absl::StrCat("nothing was written. What the other members have is better than this. To "
                     "write ",
                     flags.output, " all the same, add --acknowledge=", plan.acknowledgement)));
  }
  PosixFileSystem file_system;
  progress.Begin("salvage", log.directory());
  const absl::Status done = write(plan, file_system);
  progress.End();
  if (!done.ok()) return context.Fail(done);
  std::cerr << "wrote " << flags.output << "; " << log.directory() << " is as it was" << std::endl;
  return kExitOk;
}

void AddDirectory(CLI::App& verb, const std::shared_ptr<LogFlags>& flags) {
  verb.add_option("DIR", flags->directory, "the node's --data_dir, or the log in it")->required();
  AddKeyOptions(verb, flags->keys);
}

void AddSalvageVerb(CLI::App& log, CliContext& context, const std::shared_ptr<LogFlags>& flags) {
  CLI::App& salvage = context.AddVerb(
      log, "salvage",
      "the last resort: says what would be lost of a damaged log, and writes the rest as a new "
      "one, in blocks, if that is acknowledged; DIR is not changed. With keys, the new one is "
      "encrypted with the first",
      [&context, flags] {
        return WithStore(
            context, *flags,
            [&](const LogInspector& found, ReadProgress& progress) {
              return RunSalvage(context, found, *flags, progress,
                                [&](const SalvagePlan& plan, FileSystem& file_system) {
                                  return Salvage(found, plan, flags->acknowledgement, file_system,
                                                 flags->output);
                                });
            },
            [&](const RocksDbInspector& found, const Keys& keys, ReadProgress& progress) {
              return RunSalvage(context, found, *flags, progress,
                                [&](const SalvagePlan& plan, FileSystem& file_system) {
                                  return Salvage(found, plan, flags->acknowledgement, file_system,
                                                 flags->output, keys);
                                });
            });
      });
  AddDirectory(salvage, flags);
  salvage.add_option("NEW", flags->output, "directory of the new log: not there, or empty")
      ->required();
  salvage.add_flag("--alone", flags->alone,
                   "no other member of any group is left. Otherwise a node that starts on NEW "
                   "neither votes nor acknowledges for a group that is `unsure`, until the others "
                   "have caught it up");
  salvage.add_option("--acknowledge", flags->acknowledgement,
                     "what may be lost, in the words of a run without this flag");
}

}  // namespace

void AddLogVerbs(CLI::App& app, CliContext& context) {
  CLI::App* log = app.add_subcommand("log",
                                     "looks at a node's log on disk, of whichever store, offline: "
                                     "needs no server, and changes nothing in it");
  log->require_subcommand(1);
  log->fallthrough();
  auto flags = std::make_shared<LogFlags>();
  auto add_directory = [flags](CLI::App& verb) { AddDirectory(verb, flags); };

  add_directory(context.AddVerb(
      *log, "ls",
      "a line for each block (state, batches, what it holds of which group), or for each group of "
      "a "
      "log in RocksDB",
      [&context, flags] {
        return WithStore(
            context, *flags,
            [&](const LogInspector& found, ReadProgress&) { return RunList(context, found); },
            [&](const RocksDbInspector& found, const Keys&, ReadProgress&) {
              return RunListRocksDb(context, found);
            });
      }));

  CLI::App& cat = context.AddVerb(
      *log, "cat", "prints entries, committed or not; those that cannot be read on stderr, exit 10",
      [&context, flags] {
        return WithLog(context, *flags, [&](const LogView& found, ReadProgress&) {
          return RunCat(context, found, *flags);
        });
      });
  add_directory(cat);
  auto add_number = [&cat](const char* flag, uint64_t* value, const char* description) {
    // CLI11 takes -1 for the greatest number.
    cat.add_option(flag, *value, description)->check(CLI::NonNegativeNumber)->capture_default_str();
  };
  add_number("--group", &flags->group, "only this group; 0: all");
  add_number("--from", &flags->from, "index to start at; 0: the first");
  add_number("--count", &flags->count, "stop after so many entries; 0: no limit");
  cat.add_flag("--raw", flags->raw, "print payloads only, a newline behind each");

  CLI::App& verify = context.AddVerb(
      *log, "verify",
      "reads everything and lists what is ok, torn (never acknowledged, or for the peers to "
      "decide) "
      "and faulty (may have been acknowledged, exit 10)",
      [&context, flags] {
        return WithLog(context, *flags, [&](const LogView& found, ReadProgress& progress) {
          return RunVerify(context, found, progress);
        });
      });
  add_directory(verify);

  AddSalvageVerb(*log, context, flags);
  AddLogConvertVerb(*log, context);
}

}  // namespace cairn
