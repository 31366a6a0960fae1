// A node whose data is encrypted, as an operator has it: real processes, key files, signals, the
// tools.

#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/cli/child_process.h"
#include "service/cli/free_ports.h"
#include "storage/crypto/key_ring.h"
#include "tests/integration/finished_process.h"

namespace cairn {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kServer[] = "service/cairnd";
constexpr char kCommand[] = "service/cli/cairn";
constexpr char kSecret[] = "attack at dawn, and tell nobody";
constexpr absl::Duration kPatience = absl::Minutes(1);

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

std::string KeyText(char digit) { return std::string(64, digit); }

std::string KeyId(char digit) {
  return KeyIdText(ParseMasterKeys(KeyText(digit), "test").value().at(0).id);
}

class EncryptionTest : public testing::Test {
 protected:
  void SetUp() override {
    const testing::TestInfo& test = *testing::UnitTest::GetInstance()->current_test_info();
    directory_ = absl::StrCat(getenv("TEST_TMPDIR"), "/", test.name());
    ASSERT_TRUE(std::filesystem::create_directory(directory_));
    absl::StatusOr<std::vector<int>> ports = FreePorts(1);
    ASSERT_TRUE(ports.ok()) << ports.status();
    address_ = absl::StrCat("127.0.0.1:", ports->at(0));
  }

  std::string KeyFile() const { return directory_ + "/keys"; }
  std::string DataDirectory() const { return directory_ + "/data"; }
  std::string Log() const { return directory_ + "/log"; }

  void WriteKeys(const std::string& digits, mode_t mode = 0600) {
    std::vector<std::string> lines;
    for (char digit : digits) lines.push_back(KeyText(digit));
    std::ofstream(KeyFile()) << absl::StrJoin(lines, "\n") << "\n";
    ASSERT_EQ(chmod(KeyFile().c_str(), mode), 0);
  }

  std::vector<std::string> Flags(const std::vector<std::string>& more) const {
    std::vector<std::string> flags = FlagsOf(DataDirectory(), {"--block_bytes=65536"});
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  std::vector<std::string> FlagsOf(const std::string& data,
                                   const std::vector<std::string>& more) const {
    std::vector<std::string> flags = {kServer,
                                      "--node_id=1",
                                      absl::StrCat("--data_dir=", data),
                                      absl::StrCat("--listen=", address_),
                                      absl::StrCat("--initial_cluster=1=", address_),
                                      "--insecure"};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  std::vector<std::string> WithKeys() const {
    return Flags({absl::StrCat("--encryption_key_file=", KeyFile())});
  }

  std::unique_ptr<ChildProcess> Serve(const std::vector<std::string>& flags) {
    absl::StatusOr<std::unique_ptr<ChildProcess>> process = ChildProcess::Start(flags, Log());
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return nullptr;
    absl::StatusOr<std::string> line = (*process)->ReadLine(kPatience);
    EXPECT_TRUE(line.ok()) << line.status() << "\n" << ReadFile(Log());
    return line.ok() ? *std::move(process) : nullptr;
  }

  // Appends messages to the stream, which is made if it is not there.
  void Append(int count) {
    ClientOptions options;
    options.endpoints = {address_};
    options.timeout = Seconds(60);
    const std::unique_ptr<Client> client = Client::Create(options);
    v1::StreamDefinition definition;
    definition.set_name("kept");
    client->CreateStream(definition).status().IgnoreError();  // from the second time on it is there
    for (int i = 0; i < count; ++i) {
      v1::AppendRequest request;
      request.set_stream("kept");
      request.add_messages()->set_payload(absl::StrCat(kSecret, " ", ++appended_));
      const absl::Status status = client->Append(std::move(request)).status();
      ASSERT_TRUE(status.ok()) << status;
    }
  }

  FinishedProcess Cairn(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), kCommand);
    return RunToEnd(arguments, directory_ + "/command_log");
  }
  FinishedProcess Logs(const std::string& verb, const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"log", verb, DataDirectory(), "-o", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Cairn(arguments);
  }

  void ExpectAllRead() {
    const FinishedProcess read =
        Cairn({"read", "kept", "--raw", absl::StrCat("--endpoints=", address_)});
    EXPECT_EQ(read.exit_code, 0) << read.ToString();
    ASSERT_EQ(read.output.size(), static_cast<size_t>(appended_)) << read.ToString();
    EXPECT_EQ(read.output.back(), absl::StrCat(kSecret, " ", appended_));
  }

  void Stop(ChildProcess& process, int signal) {
    process.Signal(signal);
    const FinishedProcess finished = Finish(process, Log());
    EXPECT_TRUE(signal != SIGTERM || finished.exit_code == 0) << finished.ToString();
  }

  // Anywhere: in the log, in the streams, in a snapshot.
  bool SecretIsOnTheDisk() const {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(DataDirectory())) {
      if (!entry.is_regular_file()) continue;
      if (absl::StrContains(ReadFile(entry.path()), kSecret)) return true;
    }
    return false;
  }

  // Until the status says that all has the form that is wanted; its last answer.
  std::string WaitTillNothingIsLeft() const {
    std::string status;
    for (int i = 0; i < 600; ++i) {
      status = absl::StrJoin(
          Cairn({"status", "-o", "json", absl::StrCat("--endpoints=", address_)}).output, "\n");
      const bool done = absl::StrContains(status, "\"blocks_to_rewrite\":0") &&
                        absl::StrContains(status, "\"blocks_to_rewrap\":0") &&
                        absl::StrContains(status, "\"to_rewrite\":0") &&
                        absl::StrContains(status, "\"to_rewrap\":0") &&
                        !absl::StrContains(status, "\"files\":0");
      if (done) return status;
      absl::SleepFor(absl::Milliseconds(100));
    }
    ADD_FAILURE() << status;
    return status;
  }

  // Starts the server, which must refuse to start.
  void ExpectRefused(const std::vector<std::string>& flags, int exit_code,
                     const std::string& what) {
    const FinishedProcess refused = RunToEnd(flags, directory_ + "/second_log");
    EXPECT_EQ(refused.exit_code, exit_code) << refused.ToString();
    EXPECT_THAT(refused.last_error_line(), HasSubstr(what)) << refused.ToString();
    EXPECT_TRUE(refused.output.empty()) << refused.ToString();
  }

  std::string directory_;
  std::string address_;
  int appended_ = 0;
};

TEST_F(EncryptionTest, ALogIsReadWithItsKeyOnly) {
  WriteKeys("a");
  std::unique_ptr<ChildProcess> process = Serve(WithKeys());
  ASSERT_NE(process, nullptr);
  Append(30);
  Stop(*process, SIGKILL);
  EXPECT_FALSE(SecretIsOnTheDisk());

  ExpectRefused(Flags({}), 78, KeyId('a'));
  WriteKeys("b");
  ExpectRefused(WithKeys(), 78, KeyId('a'));
  ExpectRefused(WithKeys(), 78, KeyFile());
  WriteKeys("a", 0644);
  ExpectRefused(WithKeys(), 77, KeyFile());
  std::filesystem::remove(KeyFile());
  ExpectRefused(WithKeys(), 78, KeyFile());
  const FinishedProcess without = Logs("cat", {});
  EXPECT_EQ(without.exit_code, 4) << without.ToString();
  EXPECT_THAT(without.errors, HasSubstr(KeyId('a')));

  WriteKeys("a");
  process = Serve(Flags({absl::StrCat("--encryption_key_command=cat ", KeyFile())}));
  ASSERT_NE(process, nullptr);
  ExpectAllRead();
  Append(1);
  ExpectAllRead();
  Stop(*process, SIGTERM);
  const std::string key = absl::StrCat("--encryption_key_file=", KeyFile());
  EXPECT_EQ(Logs("verify", {key}).exit_code, 0);
  const FinishedProcess all = Logs("cat", {key, "--raw"});
  EXPECT_EQ(all.exit_code, 0) << all.ToString();
  EXPECT_THAT(absl::StrJoin(all.output, "\n"), HasSubstr(kSecret));
}

TEST_F(EncryptionTest, KeysAreRotatedWithoutAStop) {
  WriteKeys("a");
  std::unique_ptr<ChildProcess> process = Serve(WithKeys());
  ASSERT_NE(process, nullptr);
  Append(40);
  // Without the old key the new ones are not taken.
  WriteKeys("b");
  process->Signal(SIGHUP);
  const auto log_has = [&](const std::string& text) {
    for (int i = 0; i < 600 && !absl::StrContains(ReadFile(Log()), text); ++i) {
      absl::SleepFor(absl::Milliseconds(100));
    }
    return absl::StrContains(ReadFile(Log()), text);
  };
  EXPECT_TRUE(log_has(absl::StrCat("reload refused: ", KeyFile()))) << ReadFile(Log());
  WriteKeys("ba");
  process->Signal(SIGHUP);
  EXPECT_TRUE(log_has(absl::StrCat("has ", KeyId('b'), ", ", KeyId('a')))) << ReadFile(Log());
  // Nobody writes to it: the log goes on in a block with the new key by itself, and the blocks
  // before are wrapped in the background.
  const std::string key = absl::StrCat("--encryption_key_file=", KeyFile());
  std::string listed;
  for (int i = 0; i < 600; ++i) {
    listed = absl::StrJoin(Logs("ls", {key}).output, "\n");
    if (!absl::StrContains(listed, KeyId('a'))) break;
    absl::SleepFor(absl::Milliseconds(100));
  }
  EXPECT_THAT(listed, HasSubstr(KeyId('b')));
  EXPECT_THAT(listed, Not(HasSubstr(KeyId('a'))));
  WaitTillNothingIsLeft();
  ExpectAllRead();
  Stop(*process, SIGKILL);
  WriteKeys("b");
  process = Serve(WithKeys());
  ASSERT_NE(process, nullptr);
  ExpectAllRead();
  Stop(*process, SIGTERM);
}

TEST_F(EncryptionTest, AnIdleNodeIsEncryptedByItselfAndShowsHowFarItIs) {
  std::unique_ptr<ChildProcess> process = Serve(Flags({}));
  ASSERT_NE(process, nullptr);
  for (int i = 0; i < 10; ++i) Append(40);
  Stop(*process, SIGTERM);
  WriteKeys("c");
  process = Serve(WithKeys());
  ASSERT_NE(process, nullptr);
  WaitTillNothingIsLeft();
  EXPECT_FALSE(SecretIsOnTheDisk());
  ExpectAllRead();
  Stop(*process, SIGKILL);
  process = Serve(WithKeys());
  ASSERT_NE(process, nullptr);
  ExpectAllRead();
  Stop(*process, SIGTERM);
}

TEST_F(EncryptionTest, APlainLogIsEncryptedAndBackByRestarts) {
  std::unique_ptr<ChildProcess> process = Serve(Flags({}));
  ASSERT_NE(process, nullptr);
  Append(40);
  Stop(*process, SIGTERM);
  EXPECT_TRUE(SecretIsOnTheDisk());
  WriteKeys("c");
  process = Serve(WithKeys());
  ASSERT_NE(process, nullptr);
  Append(60);
  ExpectAllRead();
  WaitTillNothingIsLeft();
  Stop(*process, SIGKILL);
  EXPECT_FALSE(SecretIsOnTheDisk());
  std::vector<std::string> back = WithKeys();
  back.push_back("--encryption_cipher=none");
  process = Serve(back);
  ASSERT_NE(process, nullptr);
  Append(100);
  WaitTillNothingIsLeft();
  Stop(*process, SIGTERM);
  // The key is not needed any more.
  process = Serve(Flags({}));
  ASSERT_NE(process, nullptr);
  ExpectAllRead();
  Stop(*process, SIGTERM);
}

// All of it with the log in RocksDB: keys, tools, the way there and back.
TEST_F(EncryptionTest, ALogInRocksDbIsEncryptedToo) {
  const std::string key = absl::StrCat("--encryption_key_file=", KeyFile());
  const std::vector<std::string> plain = FlagsOf(DataDirectory(), {"--log_store=rocksdb"});
  // As a shell completes it.
  const std::vector<std::string> encrypted =
      FlagsOf(DataDirectory() + "/", {"--log_store=rocksdb", key});
  std::unique_ptr<ChildProcess> process = Serve(plain);
  ASSERT_NE(process, nullptr);
  Append(20);
  Stop(*process, SIGTERM);
  EXPECT_TRUE(SecretIsOnTheDisk());
  WriteKeys("a");
  process = Serve(encrypted);
  ASSERT_NE(process, nullptr);
  Append(20);
  WaitTillNothingIsLeft();
  Stop(*process, SIGKILL);
  EXPECT_FALSE(SecretIsOnTheDisk());

  ExpectRefused(plain, 78, KeyId('a'));
  WriteKeys("b");
  ExpectRefused(encrypted, 78, KeyId('a'));
  const FinishedProcess without = Logs("cat", {});
  EXPECT_EQ(without.exit_code, 4) << without.ToString();
  EXPECT_THAT(without.errors, HasSubstr(KeyId('a')));
  WriteKeys("a");
  EXPECT_EQ(Logs("verify", {key}).exit_code, 0);
  EXPECT_THAT(absl::StrJoin(Logs("cat", {key, "--raw"}).output, "\n"), HasSubstr(kSecret));

  process = Serve(encrypted);
  ASSERT_NE(process, nullptr);
  ExpectAllRead();
  WriteKeys("ba");
  process->Signal(SIGHUP);
  Append(5);
  for (int i = 0; i < 600 && !absl::StrContains(ReadFile(Log()), KeyId('b')); ++i) {
    absl::SleepFor(absl::Milliseconds(100));
  }
  WaitTillNothingIsLeft();
  Stop(*process, SIGTERM);
  WriteKeys("b");
  process = Serve(encrypted);
  ASSERT_NE(process, nullptr);
  ExpectAllRead();
  Stop(*process, SIGTERM);
}

// A log that is converted is encrypted with the keys that are given, in either store.
TEST_F(EncryptionTest, AConvertedLogIsEncryptedToo) {
  const std::string key = absl::StrCat("--encryption_key_file=", KeyFile());
  WriteKeys("a");
  std::unique_ptr<ChildProcess> process = Serve(WithKeys());
  ASSERT_NE(process, nullptr);
  Append(20);
  Stop(*process, SIGTERM);
  const std::string old = directory_ + "/old";
  for (const char* store : {"rocksdb", "block"}) {
    std::filesystem::remove_all(old);
    std::filesystem::rename(DataDirectory(), old);
    const FinishedProcess converted =
        Cairn({"log", "convert", old, DataDirectory(), absl::StrCat("--to=", store), key});
    ASSERT_EQ(converted.exit_code, 0) << converted.ToString();
    EXPECT_FALSE(SecretIsOnTheDisk()) << store;
    process = Serve(FlagsOf(DataDirectory(), {absl::StrCat("--log_store=", store), key}));
    ASSERT_NE(process, nullptr);
    ExpectAllRead();
    Append(3);
    Stop(*process, SIGTERM);
  }
}

}  // namespace
}  // namespace cairn
