// cairn, the command line, against real servers: exit codes and the names of the fields, which
// people script against.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "gtest/gtest.h"
#include "service/cli/demo_cluster.h"
#include "tests/integration/finished_process.h"

namespace cairn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr char kCommand[] = "service/cli/cairn";
constexpr char kServer[] = "service/cairnd";

// One line of JSON.
class JsonLine {
 public:
  explicit JsonLine(const std::string& text) {
    google::protobuf::util::Status parsed =
        google::protobuf::util::JsonStringToMessage(text, &object_);
    EXPECT_TRUE(parsed.ok()) << text << ": " << parsed.ToString();
  }

  std::set<std::string> names() const {
    std::set<std::string> names;
    for (const auto& [name, value] : object_.fields()) names.insert(name);
    return names;
  }
  bool Has(const std::string& name) const { return object_.fields().count(name) > 0; }
  double Number(const std::string& name) const { return At(name).number_value(); }
  bool Bool(const std::string& name) const { return At(name).bool_value(); }
  // Of an object within the object.
  double Number(const std::string& object, const std::string& name) const {
    const auto fields = At(object).struct_value().fields();
    const auto found = fields.find(name);
    if (found != fields.end()) return found->second.number_value();
    ADD_FAILURE() << "no field " << name << " in " << object;
    return 0;
  }
  int Items(const std::string& name) const { return At(name).list_value().values_size(); }
  std::string Text(const std::string& name) const { return At(name).string_value(); }

 private:
  google::protobuf::Value At(const std::string& name) const {
    auto found = object_.fields().find(name);
    if (found != object_.fields().end()) return found->second;
    ADD_FAILURE() << "no field " << name;
    return {};
  }

  google::protobuf::Struct object_;
};

class CairnTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    DemoOptions options;
    options.directory = absl::StrCat(getenv("TEST_TMPDIR"), "/cluster");
    options.first_port = 0;
    options.cairnd = kServer;
    absl::StatusOr<std::unique_ptr<DemoCluster>> cluster = DemoCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = cluster->release();
    FinishedProcess healthy = Run({"wait", "--healthy", "--timeout=60s"});
    ASSERT_EQ(healthy.exit_code, 0) << healthy.ToString();
  }
  static void TearDownTestSuite() {
    if (cluster_ != nullptr) cluster_->Stop();
    delete cluster_;
    cluster_ = nullptr;
  }
  void SetUp() override { ASSERT_NE(cluster_, nullptr); }

  // Runs cairn against `endpoints` with JSON as output.
  static FinishedProcess RunAt(const std::string& endpoints, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {kCommand, "--endpoints=" + endpoints, "-o", "json"});
    return RunToEnd(arguments, absl::StrCat(getenv("TEST_TMPDIR"), "/cairn_log"));
  }
  static FinishedProcess Run(std::vector<std::string> arguments) {
    return RunAt(cluster_->endpoint_list(), std::move(arguments));
  }

  // Runs cairn, which must succeed, and gives what it prints.
  static std::vector<JsonLine> Rows(std::vector<std::string> arguments) {
    FinishedProcess finished = Run(std::move(arguments));
    EXPECT_EQ(finished.exit_code, 0) << finished.ToString();
    std::vector<JsonLine> rows;
    for (const std::string& line : finished.output) rows.emplace_back(line);
    return rows;
  }

  // Makes a stream named like the test, so that tests do not meet.
  static std::string MakeStream() {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    FinishedProcess made = Run({"stream", "create", name, "--timeout=60s"});
    EXPECT_EQ(made.exit_code, 0) << made.ToString();
    return name;
  }

  static std::string WriteFile(const std::string& name, const std::string& text) {
    std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/", name);
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }

  static void ExpectError(const FinishedProcess& finished, int exit_code) {
    EXPECT_EQ(finished.exit_code, exit_code) << finished.ToString();
    EXPECT_THAT(finished.last_error_line(), StartsWith("error: "));
    EXPECT_THAT(finished.output, IsEmpty());
  }

  static DemoCluster* cluster_;
};

DemoCluster* CairnTest::cluster_ = nullptr;

TEST_F(CairnTest, StatusHasARowForEachMember) {
  std::vector<JsonLine> rows = Rows({"status"});
  ASSERT_EQ(rows.size(), 3u);
  std::set<std::string> addresses;
  int leaders = 0;
  for (const JsonLine& row : rows) {
    for (const char* name :
         {"group",  "node",        "address",    "role",         "term",
          "leader", "first_index", "last_index", "commit_index", "applied_index",
          "lag",    "state",       "log_store",  "version",      "unsafe_recoveries",
          "scrub",  "disk_full",   "damaged",    "damaged_open", "healthy"}) {
      EXPECT_TRUE(row.Has(name)) << name;
    }
    EXPECT_EQ(row.Text("state"), "serving");
    EXPECT_EQ(row.Text("log_store"), "block");
    EXPECT_EQ(row.Number("leader"), rows[0].Number("leader"));
    addresses.insert(row.Text("address"));
    if (row.Text("role") == "leader") {
      ++leaders;
      EXPECT_EQ(row.Number("node"), row.Number("leader"));
    } else {
      EXPECT_EQ(row.Text("role"), "follower");
    }
  }
  EXPECT_EQ(leaders, 1);
  std::vector<std::string> endpoints = cluster_->endpoints();
  EXPECT_EQ(addresses, std::set<std::string>(endpoints.begin(), endpoints.end()));
}

TEST_F(CairnTest, StatusShowsHealthQueuesAndCounters) {
  std::string stream = MakeStream();
  EXPECT_EQ(Run({"append", stream, "one"}).exit_code, 0);
  EXPECT_EQ(Run({"wait", "--healthy", "--max_lag=0", "--timeout=60s"}).exit_code, 0);
  std::vector<JsonLine> rows = Rows({"status"});
  ASSERT_EQ(rows.size(), 3u);
  for (const JsonLine& row : rows) {
    EXPECT_TRUE(row.Bool("healthy"));
    EXPECT_EQ(row.Number("health", "lag"), 0);
    EXPECT_EQ(row.Number("health", "max_lag"), 1000);
    EXPECT_EQ(row.Number("health", "committed_index"), row.Number("commit_index"));
    for (const char* queue : {"envelopes", "proposals", "calls", "call_bytes", "proposals_in_log",
                              "reads", "unapplied_entries", "applier_bytes"}) {
      EXPECT_EQ(row.Number("queues", queue), 0) << queue;
    }
    EXPECT_EQ(row.Number("log_writer", "queued_entries"), 0);
    EXPECT_GT(row.Number("log_writer", "syncs"), 0);
    EXPECT_GE(row.Number("counters", "appended_entries"), 2);
    const bool leads = row.Text("role") == "leader";
    EXPECT_GE(row.Number("counters", "elections_won"), leads ? 1 : 0);
    EXPECT_EQ(row.Items("peers"), leads ? 2 : 0);
    if (leads) {
      EXPECT_GE(row.Number("counters", "commands_applied"), 1);
    }
  }
}

TEST_F(CairnTest, MetricsAreThoseOfAllMembers) {
  FinishedProcess metrics = Run({"metrics"});
  ASSERT_EQ(metrics.exit_code, 0) << metrics.ToString();
  for (int node = 1; node <= 3; ++node) {
    EXPECT_THAT(metrics.output, testing::Contains(absl::StrCat("cairn_healthy{member=\"", node,
                                                               "\",group=\"1\"} 1")));
  }
  FinishedProcess nobody = RunAt("127.0.0.1:1", {"metrics", "--timeout=1s"});
  ExpectError(nobody, 6);
}

TEST_F(CairnTest, WaitSaysHealthy) {
  std::vector<JsonLine> rows = Rows({"wait", "--healthy", "--timeout=60s"});
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_TRUE(rows[0].Bool("healthy"));
}

TEST_F(CairnTest, StreamsAreMadeListedAndDescribed) {
  std::vector<JsonLine> made = Rows({"stream", "create", "orders", "--subjects=orders.>"});
  ASSERT_EQ(made.size(), 1u);
  std::vector<JsonLine> info = Rows({"stream", "info", "orders"});
  ASSERT_EQ(info.size(), 1u);
  for (const char* name : {"name", "first_sequence", "last_sequence", "messages", "bytes"}) {
    EXPECT_TRUE(made[0].Has(name)) << name;
    EXPECT_TRUE(info[0].Has(name)) << name;
  }
  EXPECT_EQ(info[0].Text("name"), "orders");
  EXPECT_EQ(info[0].Number("messages"), 0);
  std::vector<JsonLine> list = Rows({"stream", "list"});
  EXPECT_EQ(std::count_if(list.begin(), list.end(),
                          [](const JsonLine& row) { return row.Text("name") == "orders"; }),
            1);
}

TEST_F(CairnTest, OneAppendSaysWhereItStands) {
  std::string stream = MakeStream();
  for (int sequence = 1; sequence <= 2; ++sequence) {
    std::vector<JsonLine> rows = Rows({"append", stream, "hello"});
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].names(), (std::set<std::string>{"sequence", "index", "term", "duplicate"}));
    EXPECT_EQ(rows[0].Number("sequence"), sequence);
    EXPECT_GT(rows[0].Number("index"), 0);
    EXPECT_GT(rows[0].Number("term"), 0);
    EXPECT_FALSE(rows[0].Bool("duplicate"));
  }
}

TEST_F(CairnTest, AnExpectationThatDoesNotHoldIsExit4) {
  std::string stream = MakeStream();
  EXPECT_EQ(Run({"append", stream, "one", "--expect_last=0"}).exit_code, 0);
  ExpectError(Run({"append", stream, "two", "--expect_last=0"}), 4);
  EXPECT_EQ(Run({"append", stream, "two", "--expect_last=1"}).exit_code, 0);
  EXPECT_THAT(Run({"read", stream, "--raw"}).output, ElementsAre("one", "two"));
}

TEST_F(CairnTest, LinesAreAppendedInOrderAndReadBack) {
  std::string stream = MakeStream();
  std::string text;
  std::vector<std::string> lines;
  for (int i = 0; i < 300; ++i) {
    lines.push_back(absl::StrCat("line ", i));
    absl::StrAppend(&text, lines.back(), "\n");
  }
  std::vector<JsonLine> rows =
      Rows({"append", stream, "--lines", "--file=" + WriteFile("lines", text)});
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.back().names(),
            (std::set<std::string>{"messages", "first_sequence", "last_sequence", "seconds"}));
  EXPECT_EQ(rows.back().Number("messages"), 300);
  EXPECT_EQ(rows.back().Number("first_sequence"), 1);
  EXPECT_EQ(rows.back().Number("last_sequence"), 300);
  EXPECT_EQ(Run({"read", stream, "--raw"}).output, lines);
  EXPECT_EQ(Run({"tail", stream, "--raw", "--from=299", "--count=2"}).output,
            (std::vector<std::string>{"line 298", "line 299"}));
}

TEST_F(CairnTest, MessagesHaveTheirFields) {
  std::string stream = MakeStream();
  ASSERT_EQ(Run({"append", stream, "hello", "--header", "color=blue"}).exit_code, 0);
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{"read", stream}, {"tail", stream, "--count=1"}}) {
    std::vector<JsonLine> rows = Rows(verb);
    ASSERT_EQ(rows.size(), 1u) << verb[0];
    EXPECT_EQ(rows[0].names(),
              (std::set<std::string>{"sequence", "subject", "time", "headers", "payload"}));
    EXPECT_EQ(rows[0].Number("sequence"), 1);
    EXPECT_EQ(rows[0].Text("subject"), stream);
    EXPECT_EQ(rows[0].Text("payload"), "aGVsbG8=");
  }
}

TEST_F(CairnTest, AStreamThatIsNotThereIsExit3) {
  ExpectError(Run({"stream", "info", "absent"}), 3);
  ExpectError(Run({"read", "absent"}), 3);
  ExpectError(Run({"append", "absent", "hello"}), 3);
}

TEST_F(CairnTest, WrongUsageIsExit1) {
  ExpectError(Run({"stream", "info"}), 1);
  ExpectError(Run({"no_such_verb"}), 1);
  // Not the greatest number there is.
  ExpectError(Run({"read", "some", "--from=-1"}), 1);
  ExpectError(Run({"tail", "some", "--count=-1"}), 1);
  ExpectError(Run({"append", "some", "text", "--expect_last=-1"}), 1);
}

TEST_F(CairnTest, NoServerIsExit6) {
  // Port 1 is nobody's.
  ExpectError(RunAt("127.0.0.1:1", {"stream", "list", "--timeout=1s"}), 6);
  EXPECT_EQ(RunAt("127.0.0.1:1", {"status", "--timeout=1s"}).exit_code, 6);
  ExpectError(RunAt("127.0.0.1:1", {"wait", "--healthy", "--timeout=100ms"}), 7);
}

TEST_F(CairnTest, TheDemoKillsTheLeaderAndLosesNothing) {
  std::string text;
  for (int i = 0; i < 500; ++i) absl::StrAppend(&text, "line ", i, "\n");
  std::vector<JsonLine> rows =
      Rows({"demo", "--once", absl::StrCat("--input=", WriteFile("demo", text)),
            absl::StrCat("--cairnd=", kServer)});
  ASSERT_FALSE(rows.empty());
  const JsonLine& last = rows.back();
  EXPECT_EQ(last.names(), (std::set<std::string>{"appended", "read_back", "lost", "duplicated",
                                                 "leader_changes", "ok"}));
  EXPECT_EQ(last.Number("appended"), 500);
  EXPECT_EQ(last.Number("read_back"), 500);
  EXPECT_EQ(last.Number("lost"), 0);
  EXPECT_EQ(last.Number("duplicated"), 0);
  EXPECT_GE(last.Number("leader_changes"), 1);
  EXPECT_TRUE(last.Bool("ok"));
}

}  // namespace
}  // namespace cairn
