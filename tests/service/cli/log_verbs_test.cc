// cairn log ls|cat|verify|salvage as a program, on the files of a log.

#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "tests/integration/finished_process.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

constexpr char kCommand[] = "service/cli/cairn";

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

const google::protobuf::Value& Field(const Json& row, const std::string& name) {
  static const auto* const kNothing = new google::protobuf::Value();
  auto found = row.fields().find(name);
  if (found != row.fields().end()) return found->second;
  ADD_FAILURE() << "no field " << name << " in " << row.ShortDebugString();
  return *kNothing;
}
std::string Text(const Json& row, const std::string& name) {
  return Field(row, name).string_value();
}
uint64_t Number(const Json& row, const std::string& name) {
  return static_cast<uint64_t>(Field(row, name).number_value());
}
std::vector<Json> List(const Json& row, const std::string& name) {
  std::vector<Json> items;
  for (const auto& value : Field(row, name).list_value().values()) {
    items.push_back(value.struct_value());
  }
  return items;
}

class LogVerbsTest : public testing::Test {
 protected:
  LogVerbsTest() : data_(directory_.path() + "/data") {
    BlockLogOptions options = TestOptions();
    options.directory = data_ + "/log";
    options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
    driver_ = std::make_unique<LogDriver>(file_system_, options);
    EXPECT_TRUE(driver_->status().ok()) << driver_->status();
    driver_->Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(3)});
    driver_->Append(kGroupB, 1, {"of another group"});
    for (int i = 1; i <= 12; ++i) {
      driver_->Append(kGroupA, 1, {absl::StrCat("entry ", i, " ", std::string(3000, 'p'))});
      EXPECT_TRUE(driver_->Sync().ok());
    }
    EXPECT_EQ(driver_->log().figures().blocks, 3u);
  }

  void EndWriter() { driver_.reset(); }

  FinishedProcess Run(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {kCommand, "log"});
    return RunToEnd(arguments, directory_.path() + "/stderr");
  }

  std::map<std::string, std::string> Contents() const {
    std::map<std::string, std::string> contents;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(data_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      std::stringstream text;
      text << file.rdbuf();
      contents[entry.path()] = text.str();
    }
    return contents;
  }

  struct Place {
    std::string file;
    uint64_t offset = 0;
  };
  // Where the record of group A's entry begins.
  Place Find(Index index) const {
    const std::string record(driver_->model().at(kGroupA).At(index)->bytes().view());
    for (const auto& [path, content] : Contents()) {
      const size_t at = content.find(record);
      if (at != std::string::npos) return {path, at};
    }
    ADD_FAILURE() << "entry " << index << " is nowhere";
    return {};
  }

  static void Flip(const std::string& path, uint64_t offset) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(offset));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(offset));
    file.put(static_cast<char>(byte ^ 0x04));
  }

  const TestDirectory directory_;
  const std::string data_;
  PosixFileSystem file_system_;
  std::unique_ptr<LogDriver> driver_;
};

TEST_F(LogVerbsTest, ListsBlocks) {
  EndWriter();
  const FinishedProcess listed = Run({"ls", data_, "-o", "json"});
  ASSERT_EQ(listed.exit_code, 0) << listed.ToString();
  EXPECT_EQ(listed.errors, "");
  const std::vector<Json> rows = ParseLines(listed.output);
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(Text(rows[0], "state"), "sealed");
  EXPECT_EQ(Text(rows[2], "state"), "head");
  EXPECT_EQ(Number(rows[0], "block"), 1u);
  EXPECT_EQ(Number(rows[0], "bytes"), uint64_t{64} << 10);
  EXPECT_EQ(Number(rows[0], "first_batch"), 1u);
  EXPECT_EQ(Text(rows[0], "file"), data_ + "/log/00000000000000000001.block");
  uint64_t batches = 0;
  for (const Json& row : rows) batches += Number(row, "batches");
  EXPECT_EQ(batches, 12u);
  const std::vector<Json> groups = List(rows[0], "groups");
  ASSERT_THAT(groups, SizeIs(2));
  EXPECT_EQ(Number(groups[0], "group"), 1u);
  EXPECT_EQ(Number(groups[0], "first_index"), 1u);
  EXPECT_GT(Number(groups[0], "last_index"), 1u);

  // The directory of the log itself will do; people get a table.
  const FinishedProcess table = Run({"ls", data_ + "/log"});
  ASSERT_EQ(table.exit_code, 0) << table.ToString();
  ASSERT_THAT(table.output, SizeIs(4));
  EXPECT_THAT(table.output[0], StartsWith("BLOCK "));
}

TEST_F(LogVerbsTest, PrintsEntries) {
  EndWriter();
  const FinishedProcess printed = Run({"cat", data_, "-o", "json", "--group=2"});
  ASSERT_EQ(printed.exit_code, 0) << printed.ToString();
  const std::vector<Json> rows = ParseLines(printed.output);
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(Number(rows[0], "group"), 2u);
  EXPECT_EQ(Number(rows[0], "index"), 1u);
  EXPECT_EQ(Number(rows[0], "term"), 1u);
  EXPECT_EQ(Text(rows[0], "type"), "command");
  EXPECT_EQ(Number(rows[0], "session"), 0u);
  EXPECT_EQ(Number(rows[0], "session_number"), 0u);
  EXPECT_EQ(Text(rows[0], "time"), "1970-01-01T00:00:01Z");
  EXPECT_EQ(Number(rows[0], "bytes"), 16u);
  EXPECT_EQ(Text(rows[0], "payload"), "b2YgYW5vdGhlciBncm91cA==");

  const FinishedProcess raw =
      Run({"cat", data_, "--raw", "--group", "1", "--from", "11", "--count", "1"});
  ASSERT_EQ(raw.exit_code, 0) << raw.ToString();
  EXPECT_THAT(raw.output, ElementsAre(StartsWith("entry 11 ppp")));
  EXPECT_THAT(Run({"cat", data_, "-o", "json"}).output, SizeIs(13));
  EXPECT_THAT(Run({"cat", data_, "-o", "json", "--count=5"}).output, SizeIs(5));
}

TEST_F(LogVerbsTest, AFlippedByteIsExit10AndNamedAndTheFilesStayAsTheyAre) {
  const FinishedProcess clean = Run({"verify", data_, "-o", "json"});
  EXPECT_EQ(clean.exit_code, 0) << clean.ToString();
  ASSERT_THAT(clean.output, SizeIs(3));
  const Place place = Find(2);
  Flip(place.file, place.offset + kRecordHeaderBytes + 50);
  EndWriter();
  const std::map<std::string, std::string> before = Contents();

  const FinishedProcess verified = Run({"verify", data_, "-o", "json"});
  EXPECT_EQ(verified.exit_code, 10) << verified.ToString();
  EXPECT_THAT(verified.last_error_line(), StartsWith("error: DATA_LOSS"));
  const std::vector<Json> rows = ParseLines(verified.output);
  ASSERT_THAT(rows, SizeIs(3));
  const std::vector<Json> faulty = List(rows[0], "faulty");
  ASSERT_THAT(faulty, SizeIs(1));
  EXPECT_EQ(Text(faulty[0], "file"), place.file);
  EXPECT_EQ(Number(faulty[0], "offset"), place.offset);
  EXPECT_EQ(Number(faulty[0], "group"), 1u);
  EXPECT_EQ(Number(faulty[0], "first_index"), 2u);
  EXPECT_EQ(Number(faulty[0], "last_index"), 2u);
  EXPECT_THAT(Text(faulty[0], "reason"), HasSubstr("checksums"));
  EXPECT_THAT(List(rows[0], "torn"), IsEmpty());
  EXPECT_EQ(Number(List(rows[0], "ok")[0], "last_index"), 1u);

  const FinishedProcess table = Run({"verify", data_});
  EXPECT_EQ(table.exit_code, 10);
  EXPECT_THAT(table.output,
              testing::Contains(testing::AllOf(StartsWith("faulty"), HasSubstr(place.file),
                                               HasSubstr(absl::StrCat(place.offset)))));

  const FinishedProcess printed = Run({"cat", data_, "--group=1", "-o", "json"});
  EXPECT_EQ(printed.exit_code, 10);
  EXPECT_THAT(printed.output, SizeIs(11));
  EXPECT_THAT(printed.errors, HasSubstr("unreadable: group 1 index 2"));
  EXPECT_EQ(Run({"ls", data_}).exit_code, 0);
  EXPECT_TRUE(Contents() == before);
}

TEST_F(LogVerbsTest, AMissingBlockIsExit10) {
  EndWriter();
  ASSERT_TRUE(std::filesystem::remove(data_ + "/log/00000000000000000002.block"));
  const FinishedProcess verified = Run({"verify", data_, "-o", "json"});
  EXPECT_EQ(verified.exit_code, 10) << verified.ToString();
  EXPECT_THAT(verified.output.back(), HasSubstr("00000000000000000002.block"));
  const FinishedProcess listed = Run({"ls", data_, "-o", "json"});
  EXPECT_EQ(listed.exit_code, 0);
  EXPECT_THAT(listed.output, SizeIs(2));
  EXPECT_EQ(Run({"cat", data_}).exit_code, 10);
}

TEST_F(LogVerbsTest, SalvageSaysWhatWouldBeLostAndWritesANewLog) {
  const Place place = Find(9);
  EndWriter();
  Flip(place.file, place.offset + 200);
  const auto before = Contents();
  const std::string salvaged = directory_.path() + "/salvaged";
  const FinishedProcess asked = Run({"salvage", data_, salvaged, "-o", "json"});
  EXPECT_EQ(asked.exit_code, 4);
  EXPECT_THAT(asked.errors, HasSubstr("--acknowledge=lose-1:9..12"));
  const std::vector<Json> groups = ParseLines(asked.output);
  ASSERT_THAT(groups, SizeIs(2));
  EXPECT_EQ(Number(groups[0], "last_index"), 8u);
  EXPECT_EQ(Number(groups[0], "lost_first_index"), 9u);
  EXPECT_EQ(Number(groups[0], "lost_last_index"), 12u);
  EXPECT_TRUE(Field(groups[0], "unsure").bool_value());
  EXPECT_FALSE(Field(groups[1], "unsure").bool_value());
  EXPECT_FALSE(std::filesystem::exists(salvaged));
  const FinishedProcess wrong = Run({"salvage", data_, salvaged, "--acknowledge=lose-1:9..11"});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(salvaged));

  const FinishedProcess done = Run({"salvage", data_, salvaged, "--acknowledge=lose-1:9..12"});
  EXPECT_EQ(done.exit_code, 0) << done.errors;
  EXPECT_EQ(Contents(), before);
  const FinishedProcess verified = Run({"verify", salvaged});
  EXPECT_EQ(verified.exit_code, 10) << "it says that it forgets";
  EXPECT_THAT(verified.output, Contains(HasSubstr("a batch that was synced is lost")));
  const FinishedProcess cat = Run({"cat", salvaged, "-o", "json"});
  EXPECT_EQ(cat.exit_code, 0);
  EXPECT_THAT(cat.output, SizeIs(9));
  // Never over something.
  const FinishedProcess again = Run({"salvage", data_, salvaged, "--acknowledge=lose-1:9..12"});
  EXPECT_NE(again.exit_code, 0);
}

// Salvaged in blocks, whatever store it was in, and encrypted if there are keys.
TEST_F(LogVerbsTest, SalvageOfALogInRocksDbHeedsTheKeys) {
  EndWriter();
  const std::string damaged = directory_.path() + "/rocksdb";
  {
    RocksDbLogOptions options;
    options.directory = damaged + "/log";
    options.identity = TestOptions().identity;
    const auto log = RocksDbLog::Open(file_system_, options);
    ASSERT_TRUE(log.ok()) << log.status();
    LogAppend append;
    append.runs = {MakeRun(kGroupA, {}, 1, {"attack at dawn"})};
    LogStore& store = *(*log)->OpenGroup(kGroupA).value().store;
    ASSERT_TRUE(store.Append(append).ok());
    absl::Status synced = absl::UnknownError("not yet");
    (*log)->Sync([&](absl::Status status) { synced = std::move(status); });
    ASSERT_TRUE(synced.ok()) << synced;
  }
  const std::string keys = directory_.path() + "/keys";
  const std::string key_flag = "--encryption_key_file=" + keys;
  const std::string salvaged = data_ + "/salvaged";
  const std::vector<std::string> salvage = {"salvage", damaged, salvaged,
                                            "--acknowledge=nothing-lost", key_flag};
  const FinishedProcess wrong = Run(salvage);
  EXPECT_EQ(wrong.exit_code, 4) << wrong.ToString();
  EXPECT_THAT(wrong.errors, HasSubstr(keys));
  EXPECT_FALSE(std::filesystem::exists(salvaged));

  std::ofstream(keys) << std::string(64, 'a');
  ASSERT_EQ(chmod(keys.c_str(), 0600), 0);
  const FinishedProcess done = Run(salvage);
  EXPECT_EQ(done.exit_code, 0) << done.ToString();
  for (const auto& [path, content] : Contents()) EXPECT_THAT(content, Not(HasSubstr("at dawn")));
  const FinishedProcess without = Run({"cat", salvaged, "--raw"});
  EXPECT_EQ(without.exit_code, 4) << without.ToString();
  const FinishedProcess with = Run({"cat", salvaged, "--raw", key_flag});
  EXPECT_THAT(with.output, ElementsAre("attack at dawn")) << with.ToString();
}

TEST_F(LogVerbsTest, ALogInUseIsReadAndSaidToBe) {
  const FinishedProcess listed = Run({"ls", data_, "-o", "json"});
  EXPECT_EQ(listed.exit_code, 0) << listed.ToString();
  EXPECT_THAT(listed.output, SizeIs(3));
  EXPECT_THAT(listed.errors, HasSubstr(absl::StrCat("process ", getpid())));
  EXPECT_THAT(listed.errors, HasSubstr("may change"));
  // The writer goes on.
  driver_->Append(kGroupA, 1, {"more"});
  EXPECT_TRUE(driver_->Sync().ok());
}

TEST_F(LogVerbsTest, ErrorsHaveTheirExitCodes) {
  EndWriter();
  EXPECT_EQ(Run({"ls", data_ + "/absent"}).exit_code, 3);
  EXPECT_EQ(Run({"ls", directory_.path()}).exit_code, 3);  // no log in it
  EXPECT_EQ(Run({"cat", data_, "--group=9"}).exit_code, 3);
  EXPECT_EQ(Run({"ls"}).exit_code, 1);
  EXPECT_EQ(Run({"cat", data_, "--from=one"}).exit_code, 1);
  EXPECT_EQ(Run({"cat", data_, "--from=-1"}).exit_code, 1);
  EXPECT_EQ(Run({"rot", data_}).exit_code, 1);
  const FinishedProcess help = Run({"verify", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.output, testing::Contains(HasSubstr("data_dir")));
}

}  // namespace
}  // namespace cairn
