// ServerConfig: what cairnd is told by flags, environment and file.

#ifndef SERVICE_CONFIG_H_
#define SERVICE_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log_sink.h"
#include "base/time.h"
#include "base/types.h"
#include "cairn/key_source.h"
#include "raft/core/configuration.h"
#include "storage/crypto/aead.h"

namespace cairn {

enum class LogFormat { kText, kJson };

struct ServerConfig {
  NodeId node = NodeId::kNone;
  std::string data_directory;
  std::string listen;
  std::string http_listen;        // --http_listen; empty: off
  std::string advertise;          // what others dial; never empty after parsing
  Configuration initial_members;  // no voters: not given, which is fine from the second start on
  std::string cluster_token;
  std::vector<std::string> join;  // addresses of a running cluster; empty: --initial_cluster
  bool learner = false;           // --learner: joins and is not promoted
  std::string log_store = "block";
  KeySource keys;                      // empty: nothing is encrypted
  Cipher cipher = Cipher::kAes256Gcm;  // of new blocks
  bool insecure = false;
  Duration election_timeout = Milliseconds(1000);
  Duration heartbeat_interval = Milliseconds(100);
  Duration max_clock_jump = Seconds(10);
  bool lease_reads = false;
  int64_t max_clock_drift_per_mille = 50;
  Duration fence_grace = Seconds(30);
  Duration slow_disk_timeout = Milliseconds(500);
  Duration stall_timeout = Seconds(30);
  uint32_t priority = 0;
  bool never_campaigns = false;
  uint64_t block_bytes = uint64_t{16} << 20;
  uint64_t reserve_bytes = uint64_t{32} << 20;
  std::string log_compression = "none";
  size_t max_message_bytes = size_t{1} << 20;
  size_t max_inflight_bytes = size_t{64} << 20;
  uint64_t max_healthy_lag = 1000;
  uint64_t snapshot_bytes = uint64_t{64} << 20;
  uint64_t retained_log_bytes = uint64_t{16} << 20;
  uint64_t retained_log_entries = 100'000;
  uint64_t snapshot_bytes_per_second = 0;                // 0: no limit
  uint64_t scrub_bytes_per_second = uint64_t{16} << 20;  // 0: nothing is scrubbed
  Duration scrub_period = Seconds(24 * 60 * 60);
  bool sync = true;  // false: --fsync=never
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
  bool check_only = false;  // --check_config
};

struct ParsedConfig {
  ServerConfig config;
  // Set where there is nothing to run: what to print on stdout (--help, --version).
  std::optional<std::string> print;
};

// Environment: CAIRN_ and the flag in capitals, for instance CAIRN_DATA_DIR. A flag wins over the
// environment, that over the file named by --config (flag = value, a line each).
//
// INVALID_ARGUMENT naming the flag for what makes no sense: unknown flags, values out of range,
// timeouts that do not fit each other, a node that is not among the initial members or not at the
// address they give. FAILED_PRECONDITION for an address that is not loopback, since there is no
// TLS.
absl::StatusOr<ParsedConfig> ParseConfig(const std::vector<std::string>& arguments,
                                         const std::map<std::string, std::string>& environment);

// True for addresses only this machine can reach: 127.0.0.0/8, [::1], localhost.
bool IsLoopback(const std::string& address);

}  // namespace cairn

#endif  // SERVICE_CONFIG_H_
