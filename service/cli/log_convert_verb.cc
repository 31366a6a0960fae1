#include <cstdint>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/types.h"
#include "cairn/data_conversion.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/log_keys.h"
#include "service/cli/output.h"
#include "service/cli/progress.h"
#include "service/cli/verbs.h"
#include "storage/posix_file_system.h"

namespace cairn {
namespace {

// By whatever way it was named: one must not be in the other.
std::string Canonical(const std::string& path) {
  std::error_code failed;
  // weakly_canonical alone leaves a path relative whose beginning is not there.
  std::filesystem::path canonical = std::filesystem::absolute(path, failed);
  if (!failed) canonical = std::filesystem::weakly_canonical(canonical, failed);
  return failed ? path : canonical.string();
}

int RunConvert(CliContext& context, DataConversionOptions options, LogKeys& keys) {
  absl::StatusOr<std::shared_ptr<KeyRing>> loaded = keys.Load();
  if (!loaded.ok()) return context.Fail(loaded.status());
  options.keys = *std::move(loaded);
  options.from = Canonical(options.from);
  options.to = Canonical(options.to);
  std::string step;
  std::unique_ptr<ProgressLine> line;
  options.progress = [&](absl::string_view name, uint64_t done, uint64_t total) {
    if (line == nullptr || step != name) {
      step = std::string(name);
      line = nullptr;  // ends the one before
      line = std::make_unique<ProgressLine>(step, total);
    }
    line->Update(done);
  };
  PosixFileSystem file_system;
  const absl::StatusOr<DataConversion> done = ConvertDataDirectory(file_system, options);
  line = nullptr;
  if (absl::IsAlreadyExists(done.status())) {
    context.Fail(done.status());
    return kExitDirectoryInUse;
  }
  if (!done.ok()) return context.Fail(done.status());
  for (const auto& [id, copied] : done->groups) {
    const ViewedGroup& group = copied.group;
    const bool has_entries = copied.entries != 0;
    context.output().Print(Row()
                               .Add("group", ToInteger(id))
                               .Add("first_index", has_entries ? group.base.index + 1 : 0)
                               .Add("last_index", has_entries ? group.last.index : 0)
                               .Add("entries", copied.entries)
                               .Add("bytes", copied.bytes)
                               .Add("term", group.hard_state.term)
                               .Add("vote", ToInteger(group.hard_state.vote))
                               .Add("known_commit", group.known_commit)
                               .Add("from", done->from_store)
                               .Add("to", done->identity.log_store));
  }
  context.output().Flush();
  std::cerr << "wrote " << options.to << ", read back and the same; start node "
            << ToInteger(done->identity.node)
            << " on it with --log_store=" << done->identity.log_store << ". Never start it on "
            << options.from << " again: it would forget what it votes and acknowledges from now on"
            << std::endl;
  return kExitOk;
}

}  // namespace

void AddLogConvertVerb(CLI::App& log, CliContext& context) {
  auto options = std::make_shared<DataConversionOptions>();
  auto keys = std::make_shared<LogKeys>();
  auto has_size = std::make_shared<bool>(false);
  CLI::App& convert = context.AddVerb(
      log, "convert",
      "writes the data directory of a stopped node anew, with its log in another store, and reads "
      "it back; FROM is not changed. With keys the new log is encrypted with the first. Exit 73 "
      "while a process has FROM",
      [&context, options, keys, has_size] {
        if (*has_size && options->log_store != "block") {
          return context.Fail(absl::InvalidArgumentError(absl::StrCat(
              "--block_bytes with --to=", options->log_store, ": only a log in blocks has them")));
        }
        return RunConvert(context, *options, *keys);
      });
  AddKeyOptions(convert, *keys);
  convert.add_option("FROM", options->from, "the node's --data_dir")->required();
  convert.add_option("TO", options->to, "the new one: not there, or empty")->required();
  convert.add_option("--to", options->log_store, "the store: block or rocksdb")
      ->check(CLI::IsMember({"block", "rocksdb"}))
      ->required();
  convert
      .add_option("--block_bytes", options->block_bytes, "size of the log's files, with --to=block")
      ->check(CLI::Range(uint64_t{1} << 16, uint64_t{64} << 20))
      ->each([has_size](const std::string&) { *has_size = true; })
      ->capture_default_str();
}

}  // namespace cairn
