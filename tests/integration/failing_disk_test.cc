// A server whose disk fails, as a process (fault catalogue D5, D7, D18): how it ends, and that a
// start finds what was acknowledged.

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/client.h"
#include "client/errors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "service/cli/child_process.h"
#include "service/cli/free_ports.h"
#include "tests/integration/finished_process.h"

namespace cairn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr absl::Duration kPatience = absl::Minutes(1);

// The log store.
class FailingDiskTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    directory_ = absl::StrCat(getenv("TEST_TMPDIR"), "/", GetParam(), "_",
                              testing::UnitTest::GetInstance()->random_seed(), "_", ++made_);
    ASSERT_TRUE(std::filesystem::create_directory(directory_));
    absl::StatusOr<std::vector<int>> ports = FreePorts(1);
    ASSERT_TRUE(ports.ok()) << ports.status();
    address_ = absl::StrCat("127.0.0.1:", ports->front());
  }

  std::string Control() const { return directory_ + "/control"; }
  std::string Log() const { return directory_ + "/stderr"; }
  void Order(const std::string& what) { std::ofstream(Control()) << what; }

  // What starts the server with the calls that fail.
  std::vector<std::string> Command() const {
    // The address sanitizer wants to be the first library there is, and need not.
    const char* asan = getenv("ASAN_OPTIONS");
    std::vector<std::string> command = {
        "/usr/bin/env",
        absl::StrCat("ASAN_OPTIONS=", asan == nullptr ? "" : asan, ":verify_asan_link_order=0"),
        "LD_PRELOAD=tests/integration/libfailing_calls.so",
        absl::StrCat("FAILING_CALLS=", Control()),
        "service/cairnd",
        "--node_id=1",
        absl::StrCat("--data_dir=", directory_, "/data"),
        absl::StrCat("--listen=", address_),
        absl::StrCat("--initial_cluster=1=", address_),
        absl::StrCat("--log_store=", GetParam()),
        "--reserve_bytes=524288",
        "--fence_grace=1s",
        "--insecure"};
    if (GetParam() == "block") command.push_back("--block_bytes=262144");
    return command;
  }

  std::unique_ptr<ChildProcess> Serve() {
    absl::StatusOr<std::unique_ptr<ChildProcess>> process = ChildProcess::Start(Command(), Log());
    EXPECT_TRUE(process.ok()) << process.status();
    if (!process.ok()) return nullptr;
    absl::StatusOr<std::string> line = (*process)->ReadLine(kPatience);
    EXPECT_TRUE(line.ok()) << line.status();
    return line.ok() ? *std::move(process) : nullptr;
  }

  std::unique_ptr<Client> MakeClient(Duration timeout) const {
    ClientOptions options;
    options.endpoints = {address_};
    options.timeout = timeout;
    return Client::Create(options);
  }
  absl::Status MakeStream() {
    v1::StreamDefinition definition;
    definition.set_name("kept");
    return MakeClient(Seconds(60))->CreateStream(definition).status();
  }
  absl::Status Append(const std::string& payload, Duration timeout) {
    v1::AppendRequest request;
    request.set_stream("kept");
    request.add_messages()->set_payload(payload);
    return MakeClient(timeout)->Append(std::move(request)).status();
  }
  std::vector<std::string> Payloads() {
    v1::ReadRequest request;
    request.set_stream("kept");
    const absl::StatusOr<v1::ReadResponse> read = MakeClient(Seconds(60))->Read(request);
    EXPECT_TRUE(read.ok()) << read.status();
    std::vector<std::string> payloads;
    if (!read.ok()) return payloads;
    for (const auto& message : read->messages()) payloads.push_back(message.payload());
    return payloads;
  }

  // It ends by itself, and says that its storage failed.
  void ExpectStorageFailed(ChildProcess& process) {
    const FinishedProcess finished = Finish(process, Log());
    EXPECT_EQ(finished.exit_code, 74) << finished.ToString();
    EXPECT_THAT(finished.last_error_line(), HasSubstr("/log/")) << finished.ToString();
  }

  std::string directory_;
  std::string address_;
  static inline int made_ = 0;
};

// The second sync would say OK of what the first one lost.
TEST_P(FailingDiskTest, ASyncThatFailsOnceIs74) {
  std::unique_ptr<ChildProcess> process = Serve();
  ASSERT_NE(process, nullptr);
  ASSERT_EQ(MakeStream(), absl::OkStatus());
  ASSERT_EQ(Append("acknowledged", Seconds(60)), absl::OkStatus());
  Order("sync once");
  EXPECT_FALSE(Append("not known", Seconds(5)).ok());
  ASSERT_NO_FATAL_FAILURE(ExpectStorageFailed(*process));
  EXPECT_FALSE(std::filesystem::exists(Control())) << "one sync failed";

  process = Serve();
  ASSERT_NE(process, nullptr);
  ASSERT_EQ(Append("and on", Seconds(60)), absl::OkStatus());
  std::vector<std::string> payloads = Payloads();
  // Whether what was on its way is there nobody was told.
  std::erase(payloads, "not known");
  EXPECT_THAT(payloads, ElementsAre("acknowledged", "and on"));
}

// A write that is refused where there should be room for it.
class RefusedWriteTest : public FailingDiskTest {
 protected:
  // The disk obeys `order` from some moment on; then it is whole again.
  void EndsWith74AndGoesOn(const char* order) {
    std::unique_ptr<ChildProcess> process = Serve();
    ASSERT_NE(process, nullptr);
    ASSERT_EQ(MakeStream(), absl::OkStatus());
    ASSERT_EQ(Append("acknowledged", Seconds(60)), absl::OkStatus());
    Order(order);
    EXPECT_FALSE(Append("not known", Seconds(5)).ok());
    ASSERT_NO_FATAL_FAILURE(ExpectStorageFailed(*process));

    std::filesystem::remove(Control());
    process = Serve();
    ASSERT_NE(process, nullptr);
    ASSERT_EQ(Append("and on", Seconds(60)), absl::OkStatus());
    std::vector<std::string> payloads = Payloads();
    std::erase(payloads, "not known");
    EXPECT_THAT(payloads, ElementsAre("acknowledged", "and on"));
  }
};

TEST_P(RefusedWriteTest, AFullDiskIs74AndAStartWithRoomGoesOn) { EndsWith74AndGoesOn("full"); }

// As the kernel makes it when it finds errors.
TEST_P(RefusedWriteTest, ADiskThatBecomesReadOnlyIs74) { EndsWith74AndGoesOn("read only"); }

// Nothing gets longer in the whole data directory: not the log, not the streams, not a snapshot.
// The log has its reserve.
class FullDiskTest : public FailingDiskTest {
 protected:
  // Until nothing more is taken. Gives what was acknowledged.
  std::vector<std::string> Fill() {
    std::vector<std::string> acknowledged = {"first"};
    EXPECT_EQ(Append(acknowledged[0], Seconds(60)), absl::OkStatus());
    Order("no room");
    absl::Status status;
    while (status.ok() && acknowledged.size() < 1000) {
      acknowledged.push_back(absl::StrCat(acknowledged.size(), std::string(4000, 'x')));
      status = Append(acknowledged.back(), Seconds(60));
    }
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    EXPECT_EQ(ReasonOf(status), "NO_SPACE") << status;
    acknowledged.pop_back();
    return acknowledged;
  }
};

TEST_P(FullDiskTest, AFullDiskRefusesAndGoesOnByItself) {
  std::unique_ptr<ChildProcess> process = Serve();
  ASSERT_NE(process, nullptr);
  ASSERT_EQ(MakeStream(), absl::OkStatus());
  std::vector<std::string> acknowledged = Fill();
  if (GetParam() == "block") {
    EXPECT_GT(acknowledged.size(), 10u) << "what there was of blocks";
  } else {
    EXPECT_LT(std::filesystem::file_size(directory_ + "/data/log/reserve"), 524288u)
        << "what was under way went to the reserve";
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ReasonOf(Append("refused", Seconds(60))), "NO_SPACE");
  }
  EXPECT_EQ(Payloads(), acknowledged);
  const auto full = MakeClient(Seconds(60))->GetStatus(address_);
  ASSERT_TRUE(full.ok()) << full.status();
  EXPECT_TRUE(full->groups(0).disk_full());
  EXPECT_EQ(full->groups(0).state(), v1::MEMBER_STATE_DEGRADED);
  EXPECT_EQ(full->groups(0).role(), v1::MEMBER_ROLE_LEADER) << "there is nobody else";

  std::filesystem::remove(Control());
  const absl::Time until = absl::Now() + kPatience;
  absl::Status status;
  while (!(status = Append("and on", Seconds(60))).ok() && absl::Now() < until) {
    EXPECT_EQ(ReasonOf(status), "NO_SPACE");
    absl::SleepFor(absl::Milliseconds(100));
  }
  ASSERT_EQ(status, absl::OkStatus()) << "without a start";
  acknowledged.push_back("and on");
  EXPECT_EQ(Payloads(), acknowledged);
  // And after a power cut, as far as a process has them.
  process.reset();
  process = Serve();
  ASSERT_NE(process, nullptr);
  EXPECT_EQ(Payloads(), acknowledged);
}

// It is stopped in the ordinary way while there is no room, and all is there afterwards.
TEST_P(FullDiskTest, AFullDiskKeepsNobodyFromStopping) {
  std::unique_ptr<ChildProcess> process = Serve();
  ASSERT_NE(process, nullptr);
  ASSERT_EQ(MakeStream(), absl::OkStatus());
  const std::vector<std::string> acknowledged = Fill();
  process->Signal(SIGTERM);
  const FinishedProcess finished = Finish(*process, Log());
  EXPECT_EQ(finished.exit_code, 0) << finished.ToString();
  std::filesystem::remove(Control());
  process = Serve();
  ASSERT_NE(process, nullptr);
  EXPECT_EQ(Payloads(), acknowledged);
}

INSTANTIATE_TEST_SUITE_P(BlockStore, RefusedWriteTest, testing::Values("block"),
                         [](const auto& each) { return each.param; });
INSTANTIATE_TEST_SUITE_P(LogStores, FullDiskTest, testing::Values("block", "rocksdb"),
                         [](const auto& each) { return each.param; });
INSTANTIATE_TEST_SUITE_P(LogStores, FailingDiskTest, testing::Values("block", "rocksdb"),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace cairn
