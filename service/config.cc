#include "service/config.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "cairn/initial_cluster.h"
#include "raft/core/options.h"
#include "service/version.h"

namespace cairn {
namespace {

// What the flags say, before it is checked.
struct Flags {
  uint64_t node_id = 0;
  std::string initial_cluster;
  std::string join;
  std::optional<std::string> encryption_cipher;
  std::optional<uint64_t> block_bytes;
  int64_t election_timeout_ms = 1000;
  int64_t heartbeat_interval_ms = 100;
  std::string max_clock_jump = "10s";
  std::string fence_grace = "30s";
  std::string slow_disk_timeout = "500ms";
  std::string stall_timeout = "30s";
  std::string scrub_period = "24h";
  std::string fsync = "always";
  std::string log_level = "info";
  std::string log_format = "text";
};

constexpr char kFooter[] =
    "Each flag can also be set by the environment (CAIRN_ and its name in capitals) or in the "
    "file\n"
    "of --config (name = value, a line each); flags win, then the environment.\n"
    "Exit codes: 0 stopped, 64 bad flags, 70 internal, 73 data directory in use or cannot be "
    "made,\n"
    "74 storage failed, 75 data damaged beyond repair, 77 permission, 78 identity or format "
    "mismatch.";

void AddIdentityFlags(CLI::App& app, Flags& flags, ServerConfig& config) {
  app.add_option("--node_id", flags.node_id, "this node's number, from 1")
      ->required()
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 62));
  app.add_option("--data_dir", config.data_directory, "where everything is kept")->required();
  app.add_option("--listen", config.listen, "HOST:PORT for peers and clients")->required();
  app.add_option("--http_listen", config.http_listen,
                 "HOST:PORT for /metrics, /livez, /readyz and /api/status.json (default: off)");
  app.add_option("--advertise", config.advertise, "HOST:PORT others dial (default: --listen)");
  app.add_option("--initial_cluster", flags.initial_cluster,
                 "ID=HOST:PORT of each initial member, commas between; needed at the first start");
  app.add_option("--join", flags.join,
                 "HOST:PORT of members of a running cluster, commas between: joins it as a new "
                 "member, first as a learner");
  app.add_flag("--learner", config.learner, "with --join: takes entries and never votes");
  app.add_option("--cluster_token", config.cluster_token,
                 "tells clusters with the same members apart");
  app.add_option("--log_store", config.log_store,
                 "block, rocksdb or memory; fixed at the first start; memory forgets all at a stop")
      ->check(CLI::IsMember({"block", "rocksdb", "memory"}))
      ->capture_default_str();
  app.add_flag("--insecure", config.insecure,
               "plain text, which only loopback addresses allow (this version has no TLS)");
}

void AddEncryptionFlags(CLI::App& app, Flags& flags, ServerConfig& config) {
  app.add_option("--encryption_key_file", config.keys.file,
                 "encrypts the log, streams and snapshots: master keys, 64 hexadecimal digits a "
                 "line, the first one for what is new; read again on SIGHUP");
  app.add_option("--encryption_key_command", config.keys.command,
                 "the same from the output of a command, which /bin/sh runs");
  app.add_option("--encryption_cipher", flags.encryption_cipher,
                 "aes-256-gcm (default), chacha20-poly1305, or none: what there is is read, and "
                 "written anew without encryption");
}

void AddCompactionFlags(CLI::App& app, ServerConfig& config) {
  app.add_option("--snapshot_bytes", config.snapshot_bytes,
                 "the state is saved, and the log before it dropped, when so much was written to "
                 "it since the last time; cairn snapshot does it at once")
      ->check(CLI::Range(uint64_t{1} << 16, uint64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--retained_log_bytes", config.retained_log_bytes,
                 "the end of the log that stays even so, to feed members that were away")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--retained_log_entries", config.retained_log_entries,
                 "of that end at most so many entries")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--snapshot_bytes_per_second", config.snapshot_bytes_per_second,
                 "what this node sends of snapshots to members far behind; 0: no limit")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 40))
      ->capture_default_str();
}

void AddScrubFlags(CLI::App& app, Flags& flags, ServerConfig& config) {
  app.add_option("--log_compression", config.log_compression,
                 "none, or zstd: files of the log that were written some time ago are compressed "
                 "in the background, within --scrub_bytes_per_second (--log_store=block)")
      ->check(CLI::IsMember({"none", "zstd"}))
      ->capture_default_str();
  app.add_option("--scrub_bytes_per_second", config.scrub_bytes_per_second,
                 "the log and the streams' files are read in the background, so much at most, to "
                 "find what has rotted and have it repaired; 0: they are not")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--scrub_period", flags.scrub_period,
                 "from the beginning of one such round to that of the next")
      ->capture_default_str();
}

void AddTuningFlags(CLI::App& app, Flags& flags, ServerConfig& config) {
  app.add_option("--election_timeout_ms", flags.election_timeout_ms,
                 "silence of a leader after which others stand for election")
      ->check(CLI::Range(int64_t{10}, int64_t{600'000}))
      ->capture_default_str();
  app.add_option("--heartbeat_interval_ms", flags.heartbeat_interval_ms,
                 "at most a third of the election timeout")
      ->check(CLI::Range(int64_t{1}, int64_t{200'000}))
      ->capture_default_str();
  app.add_option("--max_clock_jump", flags.max_clock_jump,
                 "a wall clock that jumps ahead by more is not believed")
      ->capture_default_str();
  app.add_flag("--lease_reads", config.lease_reads,
               "as a leader, answer reads that allow it (consistency lease) by the promises of a "
               "quorum, without asking it each time");
  app.add_option("--max_clock_drift_per_mille", config.max_clock_drift_per_mille,
                 "the members' clocks run alike to so many parts in a thousand; leases are shorter "
                 "by as much, and end where a clock is seen to differ by more")
      ->check(CLI::Range(int64_t{0}, int64_t{500}))
      ->capture_default_str();
  app.add_option("--slow_disk_timeout", flags.slow_disk_timeout,
                 "as a leader, hand over when the own disk has not synced for so long what a "
                 "majority's disks have; 0s: never")
      ->capture_default_str();
  app.add_option("--stall_timeout", flags.stall_timeout,
                 "as a leader, step down when a majority answers and has taken no entries for so "
                 "long; 0s: never")
      ->capture_default_str();
  app.add_option("--priority", config.priority,
                 "0 leads where it can; the higher, the longer a node waits before it campaigns")
      ->check(CLI::Range(uint32_t{0}, kLowestPriority))
      ->capture_default_str();
  app.add_flag("--never_campaigns", config.never_campaigns,
               "votes and acknowledges, and leads never; a majority of the voters must be others");
  app.add_option("--fence_grace", flags.fence_grace,
                 "how long a node whose storage failed still answers status and health")
      ->capture_default_str();
  app.add_option("--block_bytes", flags.block_bytes,
                 "size of the log's files, with --log_store=block")
      ->check(CLI::Range(uint64_t{1} << 16, uint64_t{64} << 20))
      ->default_str(absl::StrCat(config.block_bytes));
  app.add_option("--reserve_bytes", config.reserve_bytes,
                 "kept in files of the log for when the disk is full, in whole blocks with "
                 "--log_store=block: the node then refuses entries, and goes on by itself when "
                 "there is room; 0: nothing")
      ->check(CLI::Range(uint64_t{0}, uint64_t{4} << 30))
      ->capture_default_str();
  app.add_option("--max_message_bytes", config.max_message_bytes, "greatest message")
      ->check(CLI::Range(size_t{1}, size_t{8} << 20))
      ->capture_default_str();
  app.add_option("--max_inflight_bytes", config.max_inflight_bytes,
                 "appends not yet answered; beyond it clients are told to wait")
      ->check(CLI::Range(size_t{1} << 16, size_t{4} << 30))
      ->capture_default_str();
  app.add_option("--max_healthy_lag", config.max_healthy_lag,
                 "a member that lags by more committed entries is not healthy, until it has caught "
                 "up")
      ->check(CLI::Range(uint64_t{0}, uint64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--fsync", flags.fsync,
                 "always, or never: UNSAFE, a power cut then loses what was acknowledged")
      ->check(CLI::IsMember({"always", "never"}))
      ->capture_default_str();
  app.add_option("--log_level", flags.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--log_format", flags.log_format, "text or json, a line each, on stderr")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

// A piece of a snapshot is 56 KiB, and one that is not there for 30 s ends the transfer.
constexpr uint64_t kMinSnapshotBytesPerSecond = 64 << 10;

constexpr int kLongestScrubPeriodHours = 24 * 366;

absl::StatusOr<Duration> ParseDurationFlag(const char* flag, const std::string& text,
                                           int most_hours = 24) {
  absl::Duration parsed;
  if (!absl::ParseDuration(text, &parsed) || parsed < absl::ZeroDuration() ||
      parsed > absl::Hours(most_hours)) {
    return absl::InvalidArgumentError(absl::StrCat(flag, "=", text, " is no duration like 10s"));
  }
  return Nanoseconds(absl::ToInt64Nanoseconds(parsed));
}

LogLevel LevelOf(const std::string& name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "warning") return LogLevel::kWarning;
  return name == "error" ? LogLevel::kError : LogLevel::kInfo;
}

absl::Status CheckAddresses(const ServerConfig& config) {
  for (const std::string* address : {&config.listen, &config.advertise, &config.http_listen}) {
    if (address == &config.http_listen && address->empty()) continue;
    if (!IsAddress(*address)) {
      return absl::InvalidArgumentError(absl::StrCat(*address, " is not HOST:PORT"));
    }
  }
  const std::pair<const char*, const std::string*> listens[] = {
      {"--listen=", &config.listen}, {"--http_listen=", &config.http_listen}};
  for (const auto& [flag, address] : listens) {
    if (address->empty() || IsLoopback(*address)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(flag, *address,
                     " would talk plain text to the network; only loopback "
                     "addresses are allowed without TLS"));
  }
  if (config.initial_members.voters.empty()) return absl::OkStatus();
  const Member* self = config.initial_members.Find(config.node);
  if (self == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--node_id=", ToInteger(config.node), " is not in --initial_cluster"));
  }
  if (self->address != config.advertise) {
    return absl::InvalidArgumentError(
        absl::StrCat("--initial_cluster has node ", ToInteger(config.node), " at ", self->address,
                     ", but others would be told to dial ", config.advertise));
  }
  return absl::OkStatus();
}

absl::Status TakeJoin(const Flags& flags, ServerConfig& config) {
  if (flags.join.empty()) {
    if (!config.learner) return absl::OkStatus();
    return absl::InvalidArgumentError("--learner is for a node that joins (--join)");
  }
  if (!flags.initial_cluster.empty()) {
    return absl::InvalidArgumentError(
        "--join and --initial_cluster contradict each other: a node joins a cluster or is one of "
        "its first");
  }
  if (config.log_store == "memory") {
    return absl::InvalidArgumentError(
        "--join with --log_store=memory: the node could not come back under its id");
  }
  config.join = absl::StrSplit(flags.join, ',');
  for (const std::string& address : config.join) {
    if (!IsAddress(address)) {
      return absl::InvalidArgumentError(absl::StrCat("--join: ", address, " is not HOST:PORT"));
    }
  }
  return absl::OkStatus();
}

absl::Status TakeEncryption(const Flags& flags, ServerConfig& config) {
  if (!config.keys.file.empty() && !config.keys.command.empty()) {
    return absl::InvalidArgumentError(
        "--encryption_key_file and --encryption_key_command contradict each other");
  }
  if (config.keys.empty()) {
    if (!flags.encryption_cipher) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "--encryption_cipher wants --encryption_key_file or --encryption_key_command");
  }
  if (!flags.encryption_cipher) return absl::OkStatus();
  const std::optional<Cipher> cipher = ParseCipher(*flags.encryption_cipher);
  if (!cipher) {
    return absl::InvalidArgumentError(
        absl::StrCat("--encryption_cipher=", *flags.encryption_cipher,
                     " is none of aes-256-gcm, chacha20-poly1305, none"));
  }
  config.cipher = *cipher;
  return absl::OkStatus();
}

absl::Status CheckCompression(const ServerConfig& config) {
  if (config.log_compression == "none") return absl::OkStatus();
  if (config.log_store != "block") {
    return absl::InvalidArgumentError(absl::StrCat("--log_compression=", config.log_compression,
                                                   " with --log_store=", config.log_store,
                                                   ": only the block store is compressed"));
  }
  if (config.scrub_bytes_per_second == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--log_compression=", config.log_compression,
                     " is done by the scrub, and --scrub_bytes_per_second is 0"));
  }
  return absl::OkStatus();
}

absl::Status TakeBlockBytes(const Flags& flags, ServerConfig& config) {
  if (!flags.block_bytes) return absl::OkStatus();
  if (config.log_store != "block") {
    return absl::InvalidArgumentError(absl::StrCat(
        "--block_bytes with --log_store=", config.log_store, ": only the block store has blocks"));
  }
  config.block_bytes = *flags.block_bytes;
  return absl::OkStatus();
}

// The values that need more than CLI11's checks.
absl::Status TakeFlags(const Flags& flags, ServerConfig& config) {
  config.node = static_cast<NodeId>(flags.node_id);
  if (config.advertise.empty()) config.advertise = config.listen;
  config.election_timeout = Milliseconds(flags.election_timeout_ms);
  config.heartbeat_interval = Milliseconds(flags.heartbeat_interval_ms);
  if (config.heartbeat_interval * 3 > config.election_timeout) {
    return absl::InvalidArgumentError(
        absl::StrCat("--heartbeat_interval_ms=", flags.heartbeat_interval_ms,
                     " is more than a third of --election_timeout_ms=", flags.election_timeout_ms));
  }
  absl::StatusOr<Duration> jump = ParseDurationFlag("--max_clock_jump", flags.max_clock_jump);
  if (!jump.ok()) return jump.status();
  config.max_clock_jump = *jump;
  absl::StatusOr<Duration> grace = ParseDurationFlag("--fence_grace", flags.fence_grace);
  if (!grace.ok()) return grace.status();
  config.fence_grace = *grace;
  absl::StatusOr<Duration> slow = ParseDurationFlag("--slow_disk_timeout", flags.slow_disk_timeout);
  if (!slow.ok()) return slow.status();
  config.slow_disk_timeout = *slow;
  absl::StatusOr<Duration> stall = ParseDurationFlag("--stall_timeout", flags.stall_timeout);
  if (!stall.ok()) return stall.status();
  config.stall_timeout = *stall;
  absl::StatusOr<Duration> period =
      ParseDurationFlag("--scrub_period", flags.scrub_period, kLongestScrubPeriodHours);
  if (!period.ok()) return period.status();
  config.scrub_period = *period;
  if (config.max_inflight_bytes < config.max_message_bytes) {
    return absl::InvalidArgumentError("--max_inflight_bytes is less than --max_message_bytes");
  }
  if (config.snapshot_bytes_per_second > 0 &&
      config.snapshot_bytes_per_second < kMinSnapshotBytesPerSecond) {
    return absl::InvalidArgumentError(
        absl::StrCat("--snapshot_bytes_per_second=", config.snapshot_bytes_per_second,
                     " would let transfers run into their timeouts: 0, or at least ",
                     kMinSnapshotBytesPerSecond));
  }
  config.sync = flags.fsync == "always";
  config.log_level = LevelOf(flags.log_level);
  config.log_format = flags.log_format == "json" ? LogFormat::kJson : LogFormat::kText;
  if (!flags.initial_cluster.empty()) {
    absl::StatusOr<Configuration> members = ParseInitialCluster(flags.initial_cluster);
    if (!members.ok()) return members.status();
    config.initial_members = *std::move(members);
  }
  if (absl::Status status = TakeJoin(flags, config); !status.ok()) return status;
  if (absl::Status status = TakeEncryption(flags, config); !status.ok()) return status;
  if (absl::Status status = CheckCompression(config); !status.ok()) return status;
  if (absl::Status status = TakeBlockBytes(flags, config); !status.ok()) return status;
  return CheckAddresses(config);
}

// The environment as flags, those left out that `arguments` has: so it wins over the file.
std::vector<std::string> WithEnvironment(CLI::App& app, const std::vector<std::string>& arguments,
                                         const std::map<std::string, std::string>& environment) {
  std::vector<std::string> all;
  for (const CLI::Option* option : app.get_options()) {
    std::string flag = option->get_name();  // --data_dir
    if (!absl::StartsWith(flag, "--") || flag == "--help" || flag == "--version") continue;
    auto found = environment.find(absl::StrCat("CAIRN_", absl::AsciiStrToUpper(flag.substr(2))));
    bool given = std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
      return argument == flag || absl::StartsWith(argument, flag + "=");
    });
    if (found != environment.end() && !given) all.push_back(absl::StrCat(flag, "=", found->second));
  }
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::reverse(all.begin(), all.end());  // as CLI11 wants a vector
  return all;
}

}  // namespace

bool IsLoopback(const std::string& address) {
  std::string host = address.substr(0, address.rfind(':'));
  return absl::StartsWith(host, "127.") || host == "[::1]" || host == "localhost";
}

absl::StatusOr<ParsedConfig> ParseConfig(const std::vector<std::string>& arguments,
                                         const std::map<std::string, std::string>& environment) {
  CLI::App app("A member of a Cairn cluster.", "cairnd");
  app.footer(kFooter);
  app.set_config("--config", "", "file with the same settings");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.set_version_flag("--version", absl::StrCat("cairnd ", kVersion));
  ParsedConfig parsed;
  Flags flags;
  AddIdentityFlags(app, flags, parsed.config);
  AddEncryptionFlags(app, flags, parsed.config);
  AddTuningFlags(app, flags, parsed.config);
  AddCompactionFlags(app, parsed.config);
  AddScrubFlags(app, flags, parsed.config);
  app.add_flag("--check_config", parsed.config.check_only, "check all of this, print ok and exit");
  try {
    app.parse(WithEnvironment(app, arguments, environment));
  } catch (const CLI::CallForHelp&) {
    parsed.print = app.help();
    return parsed;
  } catch (const CLI::CallForVersion&) {
    parsed.print = absl::StrCat("cairnd ", kVersion, "\n");
    return parsed;
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  absl::Status status = TakeFlags(flags, parsed.config);
  if (!status.ok()) return status;
  return parsed;
}

}  // namespace cairn
