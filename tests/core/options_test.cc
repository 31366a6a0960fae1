#include "raft/core/options.h"

#include <functional>
#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

RaftOptions MakeOptions() {
  RaftOptions options;
  options.node = NodeId{1};
  return options;
}

TEST(OptionsTest, DefaultsAreValidOnceTheNodeIsNamed) {
  EXPECT_TRUE(Validate(MakeOptions()).ok()) << Validate(MakeOptions());
}

TEST(OptionsTest, NamesTheSettingThatMakesNoSense) {
  const struct {
    const char* setting;
    std::function<void(RaftOptions&)> spoil;
  } kCases[] = {
      {"node: ", [](RaftOptions& o) { o.node = NodeId::kNone; }},
      {"heartbeat_interval: ", [](RaftOptions& o) { o.heartbeat_interval = Milliseconds(0); }},
      {"heartbeat_interval: ", [](RaftOptions& o) { o.heartbeat_interval = Milliseconds(-1); }},
      {"election_timeout: ", [](RaftOptions& o) { o.election_timeout = Milliseconds(299); }},
      {"election_timeout: ", [](RaftOptions& o) { o.election_timeout = Milliseconds(-5); }},
      {"election_timeout: ", [](RaftOptions& o) { o.election_timeout = Seconds(3601); }},
      {"stall_timeout: ", [](RaftOptions& o) { o.stall_timeout = Milliseconds(-1); }},
      {"priority: ", [](RaftOptions& o) { o.priority = 1001; }},
      {"max_inflight_messages: ", [](RaftOptions& o) { o.max_inflight_messages = 0; }},
      {"max_inflight_bytes: ", [](RaftOptions& o) { o.max_inflight_bytes = 0; }},
      {"max_uncommitted_bytes: ", [](RaftOptions& o) { o.max_uncommitted_bytes = 0; }},
  };
  for (const auto& test : kCases) {
    RaftOptions options = MakeOptions();
    test.spoil(options);
    absl::Status status = Validate(options);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << test.setting;
    EXPECT_TRUE(absl::StartsWith(status.message(), test.setting)) << status;
  }
}

TEST(OptionsTest, TakesTheLimitsThemselves) {
  RaftOptions options = MakeOptions();
  options.election_timeout = Milliseconds(300);
  options.heartbeat_interval = Milliseconds(100);
  options.priority = 1000;
  EXPECT_TRUE(Validate(options).ok()) << Validate(options);
}

}  // namespace
}  // namespace cairn
