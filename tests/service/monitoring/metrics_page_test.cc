#include "service/monitoring/metrics_page.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

using testing::HasSubstr;
using testing::Not;

v1::GetStatusResponse Member(uint64_t node) {
  v1::GetStatusResponse member;
  member.set_node(node);
  member.set_version("1.2");
  member.set_log_store("block");
  v1::LogWriterLoad* load = member.mutable_log_writer();
  load->set_queued_entries(3);
  load->set_syncs(6);
  load->mutable_sync_time()->set_nanos(500'000'000);
  v1::SyncBucket* quick = load->add_sync_durations();
  quick->mutable_up_to()->set_nanos(1'000'000);
  quick->set_count(4);
  load->add_sync_durations()->set_count(2);
  v1::GroupStatus* group = member.add_groups();
  group->set_group(1);
  group->set_leader(2);
  group->set_state(v1::MEMBER_STATE_REPAIRING);
  group->set_last_index(50);
  group->mutable_health()->set_lag(7);
  group->mutable_queues()->set_calls(9);
  group->mutable_counters()->set_elections_won(1);
  v1::RefusalCount* refused = group->mutable_counters()->add_commands_refused();
  refused->set_reason("OVERLOADED");
  refused->set_count(11);
  v1::PeerProgress* peer = group->add_peers();
  peer->set_node(3);
  peer->set_match_index(42);
  peer->set_inflight_messages(5);
  return member;
}

TEST(MetricsPageTest, SaysWhatStatusSays) {
  const std::string page = MetricsPage({Member(1)});
  for (const char* line : {
           "cairn_has_leader{member=\"1\",group=\"1\"} 1\n",
           "cairn_is_leader{member=\"1\",group=\"1\"} 0\n",
           "cairn_state{member=\"1\",group=\"1\",state=\"REPAIRING\"} 1\n",
           "cairn_state{member=\"1\",group=\"1\",state=\"SERVING\"} 0\n",
           "cairn_lag_entries{member=\"1\",group=\"1\"} 7\n",
           "cairn_calls_pending{member=\"1\",group=\"1\"} 9\n",
           "cairn_elections_won_total{member=\"1\",group=\"1\"} 1\n",
           "cairn_proposals_refused_total{member=\"1\",group=\"1\",reason=\"OVERLOADED\"} 11\n",
           "cairn_peer_lag_entries{member=\"1\",group=\"1\",peer=\"3\"} 8\n",
           "cairn_peer_inflight_messages{member=\"1\",group=\"1\",peer=\"3\"} 5\n",
           "cairn_wal_queue_entries{member=\"1\"} 3\n",
           "cairn_build_info{member=\"1\",version=\"1.2\",log_store=\"block\"} 1\n",
       }) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

// Each bucket counts those before it, too.
TEST(MetricsPageTest, SyncsAreAHistogram) {
  const std::string page = MetricsPage({Member(1)});
  constexpr char kName[] = "cairn_wal_fsync_duration_seconds";
  EXPECT_THAT(page, HasSubstr(absl::StrCat("# TYPE ", kName, " histogram\n")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat(kName, "_count{member=\"1\"} 6\n")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat(kName, "_sum{member=\"1\"} 0.5\n")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat(kName, "_bucket{member=\"1\",le=\"0.001\"} 4\n")));
  EXPECT_THAT(page, HasSubstr(absl::StrCat(kName, "_bucket{member=\"1\",le=\"+Inf\"} 6\n")));
}

// A family stands once, with one type and the values of all members: otherwise the page is refused
// as a whole.
TEST(MetricsPageTest, AFamilyOfSeveralMembersStandsOnce) {
  std::set<std::string> families;
  const std::string page = MetricsPage({Member(1), Member(2)});
  for (const absl::string_view line : absl::StrSplit(page, '\n')) {
    if (!absl::StartsWith(line, "# TYPE ")) continue;
    EXPECT_TRUE(families.insert(std::string(line)).second) << line;
    const bool counter = absl::StrContains(line, "_total ");
    EXPECT_EQ(counter, absl::EndsWith(line, " counter")) << line;
  }
  EXPECT_GT(families.size(), 40u);
  EXPECT_THAT(page, HasSubstr("cairn_wal_queue_entries{member=\"2\"} 3\n"));
}

TEST(MetricsPageTest, BeforeTheGroupIsOpenThereIsTheProgram) {
  v1::GetStatusResponse member;
  member.set_node(1);
  const std::string page = MetricsPage({member});
  EXPECT_THAT(page, HasSubstr("cairn_build_info{member=\"1\""));
  EXPECT_THAT(page, Not(HasSubstr("cairn_term")));
  EXPECT_EQ(MetricsPage({}), "");
}

}  // namespace
}  // namespace cairn
