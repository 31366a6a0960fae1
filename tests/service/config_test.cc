#include "service/config.h"

#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

using Environment = std::map<std::string, std::string>;

std::vector<std::string> With(std::vector<std::string> more) {
  std::vector<std::string> all = {"--node_id=2", "--data_dir=/data", "--listen=127.0.0.1:7102"};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

void ExpectRefused(const std::vector<std::string>& arguments, const std::string& mentions) {
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(arguments, {});
  ASSERT_TRUE(absl::IsInvalidArgument(parsed.status())) << mentions;
  EXPECT_NE(std::string(parsed.status().message()).find(mentions), std::string::npos)
      << parsed.status();
}

TEST(ConfigTest, DefaultsAreTheDocumentedOnes) {
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(With({}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  const ServerConfig& config = parsed->config;
  EXPECT_EQ(config.node, NodeId{2});
  EXPECT_EQ(config.advertise, "127.0.0.1:7102");
  EXPECT_EQ(config.log_store, "block");
  EXPECT_EQ(config.election_timeout, Milliseconds(1000));
  EXPECT_EQ(config.heartbeat_interval, Milliseconds(100));
  EXPECT_EQ(config.max_message_bytes, 1048576u);
  EXPECT_EQ(config.fence_grace, Seconds(30));
  EXPECT_EQ(config.slow_disk_timeout, Milliseconds(500));
  EXPECT_EQ(config.stall_timeout, Seconds(30));
  EXPECT_EQ(config.priority, 0u);
  EXPECT_FALSE(config.never_campaigns);
  EXPECT_EQ(config.max_clock_jump, Seconds(10));
  EXPECT_FALSE(config.lease_reads);
  EXPECT_EQ(config.snapshot_bytes, uint64_t{64} << 20);
  EXPECT_EQ(config.retained_log_bytes, uint64_t{16} << 20);
  EXPECT_EQ(config.retained_log_entries, 100'000u);
  EXPECT_EQ(config.reserve_bytes, uint64_t{32} << 20);
  EXPECT_EQ(config.snapshot_bytes_per_second, 0u);
  EXPECT_EQ(config.scrub_bytes_per_second, uint64_t{16} << 20);
  EXPECT_EQ(config.scrub_period, Seconds(24 * 60 * 60));
  EXPECT_TRUE(config.sync);
  EXPECT_TRUE(config.initial_members.voters.empty());
}

TEST(ConfigTest, WhereMonitoringAsksAndWhatIsHealthy) {
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(With({}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.http_listen, "");
  EXPECT_EQ(parsed->config.max_healthy_lag, 1000u);
  parsed = ParseConfig(With({"--http_listen=127.0.0.1:7180", "--max_healthy_lag=0"}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.http_listen, "127.0.0.1:7180");
  EXPECT_EQ(parsed->config.max_healthy_lag, 0u);
  ExpectRefused(With({"--http_listen=7180"}), "7180");
  ExpectRefused(With({"--max_healthy_lag=-1"}), "--max_healthy_lag");
  const absl::Status open = ParseConfig(With({"--http_listen=0.0.0.0:7180"}), {}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(open)) << open;
  EXPECT_NE(std::string(open.message()).find("--http_listen"), std::string::npos) << open;
}

TEST(ConfigTest, SnapshotsAndWhatStaysOfTheLog) {
  absl::StatusOr<ParsedConfig> parsed =
      ParseConfig(With({"--snapshot_bytes=1048576", "--retained_log_bytes=0",
                        "--retained_log_entries=7", "--snapshot_bytes_per_second=65536"}),
                  {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.snapshot_bytes, 1048576u);
  EXPECT_EQ(parsed->config.retained_log_bytes, 0u);
  EXPECT_EQ(parsed->config.retained_log_entries, 7u);
  EXPECT_EQ(parsed->config.snapshot_bytes_per_second, 65536u);
  ExpectRefused(With({"--snapshot_bytes=1000"}), "--snapshot_bytes");
  ExpectRefused(With({"--retained_log_bytes=-1"}), "--retained_log_bytes");
  ExpectRefused(With({"--retained_log_entries=-1"}), "--retained_log_entries");
  ExpectRefused(With({"--reserve_bytes=much"}), "--reserve_bytes");
  ExpectRefused(With({"--snapshot_bytes_per_second=100"}), "--snapshot_bytes_per_second");
}

TEST(ConfigTest, TheScrub) {
  absl::StatusOr<ParsedConfig> parsed =
      ParseConfig(With({"--scrub_bytes_per_second=0", "--scrub_period=168h"}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.scrub_bytes_per_second, 0u);
  EXPECT_EQ(parsed->config.scrub_period, Seconds(7 * 24 * 60 * 60));
  ExpectRefused(With({"--scrub_bytes_per_second=-1"}), "--scrub_bytes_per_second");
  ExpectRefused(With({"--scrub_period=soon"}), "--scrub_period");
  ExpectRefused(With({"--scrub_period=10000h"}), "--scrub_period");
  ExpectRefused(With({"--fence_grace=25h"}), "--fence_grace");
}

TEST(ConfigTest, SizeOfTheLogsFiles) {
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(With({}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.block_bytes, uint64_t{16} << 20);
  parsed = ParseConfig(With({"--block_bytes=1048576"}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.block_bytes, uint64_t{1} << 20);
  ExpectRefused(With({"--block_bytes=1000"}), "--block_bytes");
  for (const char* store : {"--log_store=rocksdb", "--log_store=memory"}) {
    ExpectRefused(With({"--block_bytes=1048576", store}), "--block_bytes");
    EXPECT_TRUE(ParseConfig(With({store}), {}).ok());
  }
}

TEST(ConfigTest, CompressionOfTheLog) {
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(With({}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.log_compression, "none");
  parsed = ParseConfig(With({"--log_compression=zstd"}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.log_compression, "zstd");
  ExpectRefused(With({"--log_compression=gzip"}), "--log_compression");
  ExpectRefused(With({"--log_compression=zstd", "--log_store=rocksdb"}), "--log_store");
  ExpectRefused(With({"--log_compression=zstd", "--scrub_bytes_per_second=0"}),
                "--scrub_bytes_per_second");
}

TEST(ConfigTest, FlagBeatsEnvironmentBeatsFile) {
  std::string file = absl::StrCat(getenv("TEST_TMPDIR"), "/cairnd.conf");
  std::ofstream(file) << "election_timeout_ms = 3000\nheartbeat_interval_ms = 30\n"
                      << "cluster_token = \"from file\"\n";
  Environment environment = {{"CAIRN_ELECTION_TIMEOUT_MS", "2000"},
                             {"CAIRN_HEARTBEAT_INTERVAL_MS", "20"}};
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(
      With({absl::StrCat("--config=", file), "--heartbeat_interval_ms=10"}), environment);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.cluster_token, "from file");
  EXPECT_EQ(parsed->config.election_timeout, Milliseconds(2000));
  EXPECT_EQ(parsed->config.heartbeat_interval, Milliseconds(10));
}

TEST(ConfigTest, WhatIsRequiredMayComeFromTheEnvironment) {
  absl::StatusOr<ParsedConfig> parsed = ParseConfig({}, {{"CAIRN_NODE_ID", "1"},
                                                         {"CAIRN_DATA_DIR", "/d"},
                                                         {"CAIRN_LISTEN", "localhost:1"},
                                                         {"CAIRN_INSECURE", "true"}});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.data_directory, "/d");
  EXPECT_TRUE(parsed->config.insecure);
}

TEST(ConfigTest, UnknownSettingsAreRefused) {
  ExpectRefused(With({"--joined=127.0.0.1:1"}), "--joined");
  std::string file = absl::StrCat(getenv("TEST_TMPDIR"), "/unknown.conf");
  std::ofstream(file) << "no_such_setting = 1\n";
  ExpectRefused(With({absl::StrCat("--config=", file)}), "no_such_setting");
}

TEST(ConfigTest, NonsenseIsRefused) {
  ExpectRefused({"--data_dir=/d", "--listen=127.0.0.1:1"}, "--node_id");
  ExpectRefused(With({"--election_timeout_ms=100", "--heartbeat_interval_ms=50"}), "a third");
  ExpectRefused(With({"--log_store=paper"}), "log_store");
  EXPECT_TRUE(ParseConfig(With({"--log_store=rocksdb"}), {}).ok());
  ExpectRefused(With({"--fsync=sometimes"}), "fsync");
  ExpectRefused(With({"--fence_grace=soon"}), "fence_grace");
  ExpectRefused(With({"--slow_disk_timeout=never"}), "slow_disk_timeout");
  ExpectRefused(With({"--stall_timeout=never"}), "stall_timeout");
  ExpectRefused(With({"--priority=1001"}), "priority");
  ExpectRefused(With({"--max_clock_drift_per_mille=501"}), "max_clock_drift_per_mille");
  ExpectRefused(With({"--max_message_bytes=2097152", "--max_inflight_bytes=1048576"}),
                "--max_inflight_bytes");
  ExpectRefused(With({"--initial_cluster=1=127.0.0.1:1"}), "not in --initial_cluster");
  ExpectRefused(With({"--initial_cluster=2=127.0.0.1:9"}), "127.0.0.1:9");
}

TEST(ConfigTest, EncryptionKeysComeFromOnePlaceAndGoToTheBlockStore) {
  absl::StatusOr<ParsedConfig> parsed = ParseConfig(With({}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_TRUE(parsed->config.keys.empty());
  parsed = ParseConfig(With({"--encryption_key_file=/k"}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.keys.file, "/k");
  EXPECT_EQ(parsed->config.cipher, Cipher::kAes256Gcm);
  parsed = ParseConfig(With({"--encryption_cipher=chacha20-poly1305"}),
                       {{"CAIRN_ENCRYPTION_KEY_COMMAND", "cat /k"}});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.keys.command, "cat /k");
  EXPECT_EQ(parsed->config.cipher, Cipher::kChaCha20Poly1305);
  ExpectRefused(With({"--encryption_key_file=/k", "--encryption_key_command=cat /k"}),
                "contradict");
  ExpectRefused(With({"--encryption_cipher=none"}), "--encryption_cipher");
  ExpectRefused(With({"--encryption_key_file=/k", "--encryption_cipher=rot13"}), "rot13");
  EXPECT_TRUE(ParseConfig(With({"--encryption_key_file=/k", "--log_store=rocksdb"}), {}).ok());
}

TEST(ConfigTest, JoinsInsteadOfForming) {
  absl::StatusOr<ParsedConfig> parsed =
      ParseConfig(With({"--join=127.0.0.1:1,127.0.0.1:2", "--learner"}), {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->config.join, (std::vector<std::string>{"127.0.0.1:1", "127.0.0.1:2"}));
  EXPECT_TRUE(parsed->config.learner);
  ExpectRefused(With({"--join=nowhere"}), "nowhere");
  ExpectRefused(With({"--join=127.0.0.1:1,"}), "--join");
  ExpectRefused(With({"--learner"}), "--learner");
  ExpectRefused(With({"--join=127.0.0.1:1", "--initial_cluster=2=127.0.0.1:9"}), "contradict");
  ExpectRefused(With({"--join=127.0.0.1:1", "--log_store=memory"}), "memory");
}

TEST(ConfigTest, PlainTextStaysOnThisMachine) {
  absl::Status refused =
      ParseConfig({"--node_id=1", "--data_dir=/d", "--listen=0.0.0.0:7101", "--insecure"}, {})
          .status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.message().find("plain text"), absl::string_view::npos) << refused;
  for (const char* address : {"127.0.0.1:1", "127.3.2.1:1", "localhost:1", "[::1]:1"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
  for (const char* address : {"0.0.0.0:1", "10.0.0.1:1", "[::]:1", "localhost.example:1"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

TEST(ConfigTest, HelpAndVersionArePrinted) {
  absl::StatusOr<ParsedConfig> help = ParseConfig({"--help"}, {});
  ASSERT_TRUE(help.ok() && help->print.has_value());
  EXPECT_NE(help->print->find("--initial_cluster"), std::string::npos);
  absl::StatusOr<ParsedConfig> version = ParseConfig({"--version"}, {});
  ASSERT_TRUE(version.ok() && version->print.has_value());
  EXPECT_EQ(version->print->substr(0, 7), "cairnd ");
}

}  // namespace
}  // namespace cairn
