// How cairnd starts and ends, as INTERFACES and scripts have it: real processes, exit codes, last
// lines.

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/coding.h"
#include "client/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "raft/identity.h"
#include "service/cli/child_process.h"
#include "service/cli/demo_cluster.h"
#include "service/cli/free_ports.h"
#include "storage/checksum.h"
#include "tests/integration/finished_process.h"

namespace cairn {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

constexpr char kServer[] = "service/cairnd";
constexpr absl::Duration kPatience = absl::Minutes(1);
constexpr char kLastLine[] = "cairnd: .+ \\(.+\\): .+";

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class CairndTest : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
    directory_ = absl::StrCat(getenv("TEST_TMPDIR"), "/", test.name());
    ASSERT_TRUE(std::filesystem::create_directory(directory_));
    absl::StatusOr<std::vector<int>> ports = FreePorts(2);
    ASSERT_TRUE(ports.ok()) << ports.status();
    for (int port : *ports) addresses_.push_back(absl::StrCat("127.0.0.1:", port));
  }

  std::string DataDirectory() const { return directory_ + "/data"; }
  std::string Log() const { return directory_ + "/log"; }

  // What starts `node` of the members in `cluster` in the one data directory.
  std::vector<std::string> Flags(int node, const std::string& cluster) const {
    return {kServer,
            absl::StrCat("--node_id=", node),
            absl::StrCat("--data_dir=", DataDirectory()),
            absl::StrCat("--listen=", addresses_[static_cast<size_t>(node - 1)]),
            absl::StrCat("--initial_cluster=", cluster),
            "--insecure"};
  }
  std::string One() const { return absl::StrCat("1=", addresses_[0]); }
  std::string Two() const { return absl::StrCat("1=", addresses_[0], ",2=", addresses_[1]); }

  static std::vector<std::string> With(std::vector<std::string> flags, const std::string& more) {
    flags.push_back(more);
    return flags;
  }

  // Starts a server and waits until it is ready; null if it does not get so far.
  std::unique_ptr<ChildProcess> Serve(const std::vector<std::string>& flags) {
    absl::StatusOr<std::unique_ptr<ChildProcess>> process = ChildProcess::Start(flags, Log());
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return nullptr;
    absl::StatusOr<std::string> line = (*process)->ReadLine(kPatience);
    EXPECT_TRUE(line.ok()) << line.status() << "\n" << ReadFile(Log());
    if (!line.ok()) return nullptr;
    ready_line_ = *line;
    return *std::move(process);
  }

  // Starts a server once and stops it, so that the directory is its.
  void ServeOnce(const std::vector<std::string>& flags) {
    std::unique_ptr<ChildProcess> process = Serve(flags);
    ASSERT_NE(process, nullptr);
    process->Signal(SIGTERM);
    FinishedProcess finished = Finish(*process, Log());
    ASSERT_EQ(finished.exit_code, 0) << finished.ToString();
  }

  FinishedProcess Run(const std::vector<std::string>& flags) {
    return RunToEnd(flags, directory_ + "/second_log");
  }

  void ExpectExit(const FinishedProcess& finished, int exit_code) {
    EXPECT_EQ(finished.exit_code, exit_code) << finished.ToString();
    EXPECT_THAT(finished.last_error_line(), MatchesRegex(kLastLine)) << finished.ToString();
    EXPECT_TRUE(finished.output.empty()) << finished.ToString();
    ExpectOneExitLine(finished);
  }

  // What the exit line says stands once in all that was written.
  void ExpectOneExitLine(const FinishedProcess& finished) {
    EXPECT_THAT(finished.last_error_line(), MatchesRegex(kLastLine)) << finished.ToString();
    std::vector<std::string> around = absl::StrSplit(finished.errors, "cairnd: ");
    EXPECT_EQ(around.size(), 2u) << finished.ToString();
  }

  std::unique_ptr<Client> MakeClient(const std::vector<std::string>& endpoints) {
    ClientOptions options;
    options.endpoints = endpoints;
    options.timeout = Seconds(60);
    return Client::Create(options);
  }

  // Makes a stream and appends one message to it.
  absl::Status AppendTo(const std::vector<std::string>& endpoints, const std::string& payload) {
    std::unique_ptr<Client> client = MakeClient(endpoints);
    v1::StreamDefinition definition;
    definition.set_name("kept");
    absl::StatusOr<v1::Stream> made = client->CreateStream(definition);
    if (!made.ok()) return made.status();
    v1::AppendRequest request;
    request.set_stream("kept");
    request.add_messages()->set_payload(payload);
    return client->Append(std::move(request)).status();
  }

  std::string directory_;
  std::vector<std::string> addresses_;
  std::string ready_line_;
};

TEST_F(CairndTest, AnUnknownFlagIs64) {
  FinishedProcess finished = Run(With(Flags(1, One()), "--no_such_flag=1"));
  ExpectExit(finished, 64);
  EXPECT_THAT(finished.last_error_line(), HasSubstr("no_such_flag"));
  EXPECT_FALSE(std::filesystem::exists(DataDirectory()));
}

TEST_F(CairndTest, HelpNamesTheFlags) {
  FinishedProcess finished = Run({kServer, "--help"});
  EXPECT_EQ(finished.exit_code, 0) << finished.ToString();
  std::string help = absl::StrJoin(finished.output, "\n");
  for (const char* flag : {"--node_id", "--data_dir", "--listen", "--initial_cluster",
                           "--cluster_token", "--log_store", "--check_config"}) {
    EXPECT_THAT(help, HasSubstr(flag));
  }
}

TEST_F(CairndTest, CheckConfigTouchesNothing) {
  FinishedProcess good = Run(With(Flags(1, One()), "--check_config"));
  EXPECT_EQ(good.exit_code, 0) << good.ToString();
  EXPECT_FALSE(std::filesystem::exists(DataDirectory()));
  std::vector<std::string> flags = With(Flags(1, One()), "--check_config");
  ExpectExit(Run(With(flags, "--election_timeout_ms=0")), 64);
}

TEST_F(CairndTest, ServesAndStopsWhenAsked) {
  std::unique_ptr<ChildProcess> process = Serve(Flags(1, One()));
  ASSERT_NE(process, nullptr);
  EXPECT_THAT(ready_line_, MatchesRegex(absl::StrCat("ready node=1 listen=", addresses_[0],
                                                     " cluster=[0-9a-f]{8}(-[0-9a-f]{4}){3}-"
                                                     "[0-9a-f]{12}")));
  ASSERT_TRUE(AppendTo({addresses_[0]}, "hello").ok());
  process->Signal(SIGTERM);
  FinishedProcess finished = Finish(*process, Log());
  EXPECT_EQ(finished.exit_code, 0) << finished.ToString();
  EXPECT_TRUE(finished.output.empty()) << "one line in all: " << finished.ToString();
}

// A log has a handle for each block: as many as the system lets it have.
TEST_F(CairndTest, TakesAllTheFileHandlesThereAre) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_GT(before.rlim_max, 300u);
  rlimit low = before;
  low.rlim_cur = 300;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  std::unique_ptr<ChildProcess> process = Serve(Flags(1, One()));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_NE(process, nullptr);
  rlimit now = {};
  ASSERT_EQ(prlimit(process->pid(), RLIMIT_NOFILE, nullptr, &now), 0);
  EXPECT_EQ(now.rlim_cur, before.rlim_max);
}

TEST_F(CairndTest, ADirectoryInUseIs73) {
  std::unique_ptr<ChildProcess> process = Serve(Flags(1, One()));
  ASSERT_NE(process, nullptr);
  FinishedProcess finished = Run(Flags(1, One()));
  ExpectExit(finished, 73);
  EXPECT_THAT(finished.last_error_line(), HasSubstr(absl::StrCat("process ", process->pid())));
  EXPECT_TRUE(process->Running());
}

TEST_F(CairndTest, ADirectoryThatCannotBeMadeIs73) {
  std::ofstream(DataDirectory()) << "a file";
  ExpectExit(Run(Flags(1, One())), 73);
  EXPECT_EQ(ReadFile(DataDirectory()), "a file");
}

TEST_F(CairndTest, NoPermissionIs77) {
  ASSERT_EQ(chmod(directory_.c_str(), 0500), 0);
  std::vector<std::string> command = Flags(1, One());
  if (geteuid() == 0) {
    // What makes root more than the owner of its files is taken away.
    command.insert(command.begin(), {"/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all"});
  }
  FinishedProcess finished =
      RunToEnd(command, absl::StrCat(getenv("TEST_TMPDIR"), "/no_permission_log"));
  ASSERT_EQ(chmod(directory_.c_str(), 0700), 0);
  ExpectExit(finished, 77);
}

TEST_F(CairndTest, AnotherClusterIs78) {
  ServeOnce(With(Flags(1, One()), "--cluster_token=first"));
  FinishedProcess finished = Run(With(Flags(1, One()), "--cluster_token=second"));
  ExpectExit(finished, 78);
  EXPECT_THAT(finished.last_error_line(), HasSubstr(ready_line_.substr(ready_line_.size() - 36)))
      << "the cluster of the directory";
}

TEST_F(CairndTest, AnotherNodeIs78) {
  ServeOnce(Flags(1, Two()));
  FinishedProcess finished = Run(Flags(2, Two()));
  ExpectExit(finished, 78);
  EXPECT_THAT(finished.last_error_line(), MatchesRegex(".*node 1\\b.*node 2\\b.*"));
}

TEST_F(CairndTest, AnotherLogStoreIs78) {
  ServeOnce(Flags(1, One()));
  FinishedProcess finished = Run(With(Flags(1, One()), "--log_store=memory"));
  ExpectExit(finished, 78);
  EXPECT_THAT(finished.last_error_line(), MatchesRegex(".*block.*memory.*"));
  finished = Run(With(Flags(1, One()), "--log_store=rocksdb"));
  ExpectExit(finished, 78);
  EXPECT_THAT(finished.last_error_line(), MatchesRegex(".*block.*rocksdb.*"));
}

TEST_F(CairndTest, OtherMembersAre78) {
  ServeOnce(Flags(1, Two()));
  FinishedProcess finished = Run(Flags(1, One()));
  ExpectExit(finished, 78);
  EXPECT_THAT(finished.last_error_line(), HasSubstr(ready_line_.substr(ready_line_.size() - 36)));
  ServeOnce(Flags(1, Two()));
}

TEST_F(CairndTest, ANewerFormatIs78) {
  ServeOnce(Flags(1, One()));
  constexpr size_t kVersionAt = 8;  // behind the magic, in all versions
  for (const char* name : {"identity", "identity.copy"}) {
    std::string path = absl::StrCat(DataDirectory(), "/", name);
    std::string bytes = ReadFile(path);
    ASSERT_GT(bytes.size(), kVersionAt + sizeof(uint64_t));
    bytes.resize(bytes.size() - sizeof(uint64_t));
    ASSERT_EQ(bytes[kVersionAt], static_cast<char>(kDataFormatVersion));
    bytes[kVersionAt] = static_cast<char>(kDataFormatVersion + 1);
    AppendLittleEndian(&bytes, Checksum(bytes));
    std::ofstream(path, std::ios::binary) << bytes;
  }
  FinishedProcess finished = Run(Flags(1, One()));
  ExpectExit(finished, 78);
  EXPECT_THAT(finished.last_error_line(),
              HasSubstr(absl::StrCat("data format ", kDataFormatVersion + 1)));
  EXPECT_THAT(finished.last_error_line(),
              HasSubstr(absl::StrCat("formats up to ", kDataFormatVersion)));
}

TEST_F(CairndTest, PlainTextForTheNetworkIs78) {
  std::vector<std::string> flags = {kServer,
                                    "--node_id=1",
                                    absl::StrCat("--data_dir=", DataDirectory()),
                                    "--listen=0.0.0.0:7",
                                    "--initial_cluster=1=0.0.0.0:7",
                                    "--insecure"};
  FinishedProcess finished = Run(flags);
  ExpectExit(finished, 78);
  EXPECT_THAT(finished.last_error_line(), HasSubstr("--listen=0.0.0.0:7"));
  EXPECT_FALSE(std::filesystem::exists(DataDirectory()));
}

TEST_F(CairndTest, DamageThatNobodyCanRepairIs75) {
  const std::string payload = "a payload that is easy to find on the disk";
  {
    std::unique_ptr<ChildProcess> process = Serve(Flags(1, One()));
    ASSERT_NE(process, nullptr);
    absl::Status appended = AppendTo({addresses_[0]}, payload);
    ASSERT_TRUE(appended.ok()) << appended;
    process->Signal(SIGTERM);
    ASSERT_EQ(Finish(*process, Log()).exit_code, 0);
  }
  std::string damaged;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(DataDirectory())) {
    if (!entry.is_regular_file()) continue;
    size_t place = ReadFile(entry.path()).find(payload);
    if (place == std::string::npos) continue;
    std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(place));
    file.put('A');
    damaged = entry.path().filename().string();
  }
  ASSERT_FALSE(damaged.empty()) << "the payload stands nowhere";
  FinishedProcess finished = Run(Flags(1, One()));
  EXPECT_EQ(finished.exit_code, 75) << finished.ToString();
  ExpectOneExitLine(finished);
  EXPECT_THAT(finished.last_error_line(), HasSubstr(damaged));
}

TEST_F(CairndTest, AWipedMemberIs78WhileTheOthersGoOn) {
  DemoOptions options;
  options.directory = directory_;
  options.first_port = 0;
  options.cairnd = kServer;
  absl::StatusOr<std::unique_ptr<DemoCluster>> cluster = DemoCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  std::vector<std::string> endpoints = (*cluster)->endpoints();
  absl::Status before = AppendTo(endpoints, "before");
  ASSERT_TRUE(before.ok()) << before;

  ASSERT_TRUE((*cluster)->Kill(3).ok());
  const std::string data = directory_ + "/node3/data";
  ASSERT_GT(std::filesystem::remove_all(data), 0u);
  std::string log = directory_ + "/wiped_log";
  std::vector<std::string> members;
  for (size_t i = 0; i < endpoints.size(); ++i) {
    members.push_back(absl::StrCat(i + 1, "=", endpoints[i]));
  }
  FinishedProcess finished =
      RunToEnd({kServer, "--node_id=3", absl::StrCat("--data_dir=", data),
                absl::StrCat("--listen=", endpoints[2]),
                absl::StrCat("--initial_cluster=", absl::StrJoin(members, ",")), "--insecure"},
               log);
  EXPECT_EQ(finished.exit_code, 78) << finished.ToString();
  ExpectOneExitLine(finished);
  EXPECT_THAT(finished.last_error_line(), HasSubstr("MEMBER_AMNESIA"));
  absl::Status after = AppendTo({endpoints[0], endpoints[1]}, "after");
  EXPECT_TRUE(after.ok()) << after;
}

}  // namespace
}  // namespace cairn
