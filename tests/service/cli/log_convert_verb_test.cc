// cairn log convert as a program, and the other log verbs on what it writes to RocksDB.

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cairn/data_directory.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "tests/integration/finished_process.h"
#include "tests/storage/log_twin.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

constexpr char kCommand[] = "service/cli/cairn";
constexpr GroupId kOne{1};
constexpr GroupId kTwo{2};

using Json = google::protobuf::Struct;

std::vector<Json> ParseLines(const std::vector<std::string>& lines) {
  std::vector<Json> rows;
  for (const std::string& line : lines) {
    google::protobuf::util::Status parsed =
        google::protobuf::util::JsonStringToMessage(line, &rows.emplace_back());
    EXPECT_TRUE(parsed.ok()) << line << ": " << parsed.ToString();
  }
  return rows;
}

std::string Text(const Json& row, const std::string& name) {
  return row.fields().at(name).string_value();
}
uint64_t Number(const Json& row, const std::string& name) {
  return static_cast<uint64_t>(row.fields().at(name).number_value());
}
std::vector<Json> List(const Json& row, const std::string& name) {
  std::vector<Json> items;
  for (const auto& value : row.fields().at(name).list_value().values()) {
    items.push_back(value.struct_value());
  }
  return items;
}

class LogConvertVerbTest : public testing::Test {
 protected:
  LogConvertVerbTest()
      : blocks_(directory_.path() + "/blocks"), rocksdb_(directory_.path() + "/rocksdb") {
    Open();
    LogStore& one = *node_->log_disk().OpenGroup(kOne)->store;
    LogStore& two = *node_->log_disk().OpenGroup(kTwo)->store;
    for (int i = 1; i <= 12; ++i) {
      LogAppend append;
      append.hard_state = HardState{3, NodeId{2}};
      append.runs = {ones_.Add(3, absl::StrCat("entry ", i, " ", std::string(3000, 'p')))};
      append.commit = ones_.last() - 1;
      EXPECT_TRUE(one.Append(append).ok());
      Sync();
    }
    LogAppend append;
    append.runs = {twos_.Add(1, "of another group")};
    EXPECT_TRUE(two.Append(append).ok());
    EXPECT_TRUE(one.DropPrefix(4).ok());
    Sync();
  }

  void Open() {
    DataDirectoryOptions options;
    options.path = blocks_;
    options.node = NodeId{1};
    options.initial_members.voters.push_back({NodeId{1}, Incarnation::kUnknown, "127.0.0.1:1"});
    auto opened = DataDirectory::Open(options);
    ASSERT_TRUE(opened.ok()) << opened.status();
    node_ = *std::move(opened);
  }

  void Sync() {
    node_->log_disk().Sync([](absl::Status status) { EXPECT_TRUE(status.ok()) << status; });
  }

  FinishedProcess Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {kCommand, "log"});
    return RunToEnd(arguments, directory_.path() + "/stderr");
  }

  // Stops the node, and converts its directory to RocksDB.
  FinishedProcess Convert() {
    node_ = nullptr;
    return Run({"convert", blocks_, rocksdb_, "--to=rocksdb", "-o", "json"});
  }

  static std::map<std::string, std::string> Contents(const std::string& root) {
    std::map<std::string, std::string> contents;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file() || entry.path().filename() == "LOCK") continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::stringstream text;
      text << file.rdbuf();
      contents[entry.path()] = text.str();
    }
    return contents;
  }

  const TestDirectory directory_;
  const std::string blocks_;
  const std::string rocksdb_;
  LogTwin ones_{kOne};
  LogTwin twos_{kTwo};
  std::unique_ptr<DataDirectory> node_;
};

TEST_F(LogConvertVerbTest, PrintsAGroupALineAndChangesNothingInTheSource) {
  node_ = nullptr;
  const auto before = Contents(blocks_);
  const FinishedProcess done = Convert();
  ASSERT_EQ(done.exit_code, 0) << done.ToString();
  EXPECT_TRUE(Contents(blocks_) == before);
  EXPECT_THAT(done.errors, HasSubstr("--log_store=rocksdb"));
  EXPECT_THAT(done.errors, HasSubstr("Never start it on"));
  const std::vector<Json> rows = ParseLines(done.output);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(Number(rows[0], "group"), 1u);
  EXPECT_EQ(Number(rows[0], "first_index"), 5u);
  EXPECT_EQ(Number(rows[0], "last_index"), 12u);
  EXPECT_EQ(Number(rows[0], "entries"), 8u);
  EXPECT_GT(Number(rows[0], "bytes"), 8 * 3000u);
  EXPECT_EQ(Number(rows[0], "term"), 3u);
  EXPECT_EQ(Number(rows[0], "vote"), 2u);
  EXPECT_EQ(Number(rows[0], "known_commit"), 11u);
  EXPECT_EQ(Text(rows[0], "from"), "block");
  EXPECT_EQ(Text(rows[0], "to"), "rocksdb");

  const std::string again = directory_.path() + "/again";
  const FinishedProcess back =
      Run({"convert", rocksdb_, again, "--to=block", "--block_bytes=65536"});
  ASSERT_EQ(back.exit_code, 0) << back.ToString();
  ASSERT_THAT(back.output, SizeIs(3));  // a table
  const FinishedProcess listed = Run({"cat", again, "--raw", "--group=1"});
  EXPECT_THAT(listed.output, SizeIs(8));
}

TEST_F(LogConvertVerbTest, ErrorsHaveTheirExitCodes) {
  const std::vector<std::string> convert = {"convert", blocks_, rocksdb_, "--to=rocksdb"};
  const FinishedProcess running = Run(convert);
  EXPECT_EQ(running.exit_code, 73) << running.ToString();
  EXPECT_THAT(running.last_error_line(), HasSubstr(absl::StrCat(getpid())));
  EXPECT_FALSE(std::filesystem::exists(rocksdb_));
  node_ = nullptr;
  EXPECT_EQ(Run({"convert", blocks_, rocksdb_}).exit_code, 1);
  EXPECT_EQ(Run({"convert", blocks_, rocksdb_, "--to=memory"}).exit_code, 1);
  EXPECT_EQ(Run({"convert", rocksdb_, blocks_, "--to=block"}).exit_code, 3);
  EXPECT_EQ(Run({"convert", blocks_, blocks_ + "/../blocks/in", "--to=block"}).exit_code, 4);
  const std::filesystem::path here = std::filesystem::current_path();
  const std::string command = (here / kCommand).string();
  std::filesystem::current_path(blocks_);
  const FinishedProcess inside =
      RunToEnd({command, "log", "convert", ".", "in", "--to=block"}, directory_.path() + "/stderr");
  std::filesystem::current_path(here);
  EXPECT_EQ(inside.exit_code, 4) << inside.ToString();
  EXPECT_FALSE(std::filesystem::exists(blocks_ + "/in"));
  EXPECT_EQ(Run({"convert", blocks_, directory_.path(), "--to=block"}).exit_code, 4);
  EXPECT_EQ(Run(convert).exit_code, 0);
  EXPECT_EQ(Run(convert).exit_code, 4);
}

TEST_F(LogConvertVerbTest, ListsAndPrintsALogInRocksDb) {
  ASSERT_EQ(Convert().exit_code, 0);
  const auto before = Contents(rocksdb_);
  const FinishedProcess listed = Run({"ls", rocksdb_, "-o", "json"});
  ASSERT_EQ(listed.exit_code, 0) << listed.ToString();
  EXPECT_EQ(listed.errors, "");
  const std::vector<Json> rows = ParseLines(listed.output);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(Number(rows[0], "group"), 1u);
  EXPECT_EQ(Text(rows[0], "state"), "known");
  EXPECT_EQ(Number(rows[0], "first_index"), 5u);
  EXPECT_EQ(Number(rows[0], "last_index"), 12u);
  EXPECT_EQ(Number(rows[0], "change"), Number(rows[0], "ledger_change"));
  EXPECT_EQ(Number(rows[0], "torn_from"), 0u);

  const FinishedProcess printed = Run({"cat", rocksdb_, "-o", "json", "--group=2"});
  ASSERT_EQ(printed.exit_code, 0) << printed.ToString();
  ASSERT_THAT(printed.output, SizeIs(1));
  EXPECT_EQ(Text(ParseLines(printed.output)[0], "payload"), "b2YgYW5vdGhlciBncm91cA==");
  const FinishedProcess raw =
      Run({"cat", rocksdb_ + "/log", "--raw", "--group=1", "--from=11", "--count=1"});
  EXPECT_THAT(raw.output, ElementsAre(StartsWith("entry 11 ppp")));
  // Of either store a log reads the same.
  EXPECT_EQ(Run({"cat", rocksdb_, "-o", "json"}).output,
            Run({"cat", blocks_, "-o", "json"}).output);

  EXPECT_TRUE(Contents(rocksdb_) == before);
}

TEST_F(LogConvertVerbTest, VerifiesALogInRocksDb) {
  ASSERT_EQ(Convert().exit_code, 0);
  const FinishedProcess good = Run({"verify", rocksdb_, "-o", "json"});
  ASSERT_EQ(good.exit_code, 0) << good.ToString();
  std::vector<Json> rows = ParseLines(good.output);
  ASSERT_THAT(rows, SizeIs(1));
  ASSERT_THAT(List(rows[0], "ok"), SizeIs(2));
  EXPECT_EQ(Number(List(rows[0], "ok")[0], "first_index"), 5u);
  EXPECT_EQ(Number(List(rows[0], "ok")[0], "last_index"), 12u);

  // Rot in the record of entry 9 of the write-ahead log, which RocksDB takes for its end.
  const std::string record = ones_.At(9).record;
  int flipped = 0;
  for (const auto& [path, content] : Contents(rocksdb_)) {
    const size_t at = content.find(record.substr(0, kRecordHeaderBytes));
    if (at == std::string::npos) continue;
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at + 8));
    file.put(static_cast<char>(content[at + 8] ^ 0x04));
    ++flipped;
  }
  ASSERT_EQ(flipped, 1);
  const auto before = Contents(rocksdb_);
  const FinishedProcess bad = Run({"verify", rocksdb_, "-o", "json"});
  EXPECT_EQ(bad.exit_code, 10) << bad.ToString();
  rows = ParseLines(bad.output);
  ASSERT_THAT(rows, SizeIs(2));
  const std::vector<Json> faulty = List(rows[0], "faulty");
  ASSERT_THAT(faulty, SizeIs(testing::Ge(1)));
  EXPECT_LE(Number(faulty[0], "first_index"), 9u);
  EXPECT_EQ(Number(faulty[0], "last_index"), 12u);
  EXPECT_THAT(bad.output[1], HasSubstr("the ledger knows change"));
  EXPECT_THAT(Run({"verify", rocksdb_}).output, Contains(StartsWith("faulty")));
  EXPECT_EQ(Run({"cat", rocksdb_}).exit_code, 10);
  EXPECT_EQ(Run({"convert", rocksdb_, directory_.path() + "/other", "--to=block"}).exit_code, 10);
  EXPECT_TRUE(Contents(rocksdb_) == before);
}

// Damaged, salvaged into blocks, put in its place, converted.
TEST_F(LogConvertVerbTest, SalvagesALogInRocksDb) {
  ASSERT_EQ(Convert().exit_code, 0);
  for (const auto& [path, content] : Contents(rocksdb_)) {
    const size_t at = content.find(ones_.At(12).record.substr(0, kRecordHeaderBytes));
    if (at == std::string::npos) continue;
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at + 8));
    file.put(static_cast<char>(content[at + 8] ^ 0x04));
  }
  const auto before = Contents(rocksdb_);
  const std::string salvaged = directory_.path() + "/salvaged";
  const FinishedProcess asked = Run({"salvage", rocksdb_, salvaged, "-o", "json"});
  EXPECT_EQ(asked.exit_code, 4) << asked.ToString();
  EXPECT_FALSE(std::filesystem::exists(salvaged));
  const std::vector<Json> rows = ParseLines(asked.output);
  ASSERT_THAT(rows, SizeIs(testing::Ge(1)));
  const uint64_t last = Number(rows[0], "last_index");
  EXPECT_LT(last, 12u);
  EXPECT_EQ(Number(rows[0], "lost_last_index"), 12u);
  const size_t at = asked.errors.find("--acknowledge=");
  ASSERT_NE(at, std::string::npos) << asked.errors;
  const std::string words = asked.errors.substr(at, asked.errors.find_first_of(" \n", at) - at);
  const FinishedProcess done = Run({"salvage", rocksdb_, salvaged, words});
  ASSERT_EQ(done.exit_code, 0) << done.ToString();
  EXPECT_TRUE(Contents(rocksdb_) == before);
  EXPECT_THAT(Run({"cat", salvaged, "-o", "json", "--group=1"}).output,
              SizeIs(last == 0 ? 0 : last - 4));

  std::filesystem::rename(rocksdb_ + "/log", directory_.path() + "/damaged");
  std::filesystem::rename(salvaged, rocksdb_ + "/log");
  const std::string whole = directory_.path() + "/whole";
  for (const char* store : {"--to=rocksdb", "--to=block"}) {
    const FinishedProcess converted = Run({"convert", rocksdb_, whole, store});
    ASSERT_EQ(converted.exit_code, 0) << store << converted.ToString();
    const FinishedProcess verified = Run({"verify", whole});
    EXPECT_EQ(verified.exit_code, 10)
        << "it says that it forgets: " << store << verified.ToString();
    std::filesystem::remove_all(whole);
  }

  // The last one of its group.
  std::filesystem::remove_all(rocksdb_ + "/log");
  std::filesystem::rename(directory_.path() + "/damaged", rocksdb_ + "/log");
  ASSERT_EQ(Run({"salvage", rocksdb_, salvaged, "--alone", words + "-alone"}).exit_code, 0);
  std::filesystem::remove_all(rocksdb_ + "/log");
  std::filesystem::rename(salvaged, rocksdb_ + "/log");
  const std::string alone = directory_.path() + "/alone";
  EXPECT_EQ(Run({"convert", rocksdb_, alone, "--to=rocksdb"}).exit_code, 0);
  EXPECT_EQ(Run({"verify", alone}).exit_code, 0);
}

TEST_F(LogConvertVerbTest, AMissingLedgerIsSaid) {
  ASSERT_EQ(Convert().exit_code, 0);
  for (const auto& [path, content] : Contents(rocksdb_)) {
    if (absl::string_view(path).find("acks.") != absl::string_view::npos) {
      std::filesystem::remove(path);
    }
  }
  const FinishedProcess verified = Run({"verify", rocksdb_});
  EXPECT_EQ(verified.exit_code, 10) << verified.ToString();
  EXPECT_THAT(verified.output, Contains(HasSubstr("there is no ledger")));
}

}  // namespace
}  // namespace cairn
