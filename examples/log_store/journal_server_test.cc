// A node whose log is the journal.

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "base/system_clock.h"
#include "cairn/server.h"
#include "examples/log_store/journal_log.h"
#include "gtest/gtest.h"
#include "service/cli/free_ports.h"

namespace {

// Tells each command how many there were.
class Tally final : public cairn::StateMachine {
 public:
  void Apply(cairn::ApplyBatch& batch) override {
    for (cairn::ApplyEntry& entry : batch) entry.Reply(absl::StrCat(++commands_));
  }

 private:
  int commands_ = 0;
};

cairn::ServerOptions WithJournal(cairn::ServerOptions options) {
  options.log_store = "journal";
  options.open_log =
      [](const cairn::LogPlace& place) -> absl::StatusOr<std::unique_ptr<cairn::LogDisk>> {
    const std::string owner = absl::StrCat("node ", cairn::ToInteger(place.identity.node), " life ",
                                           cairn::ToInteger(place.identity.incarnation));
    return cairn::JournalLog::Open(place.file_system, place.directory, owner);
  };
  return options;
}

// The answer to a command, proposed until it is taken.
std::string Propose(cairn::Group& group) {
  const cairn::Instant deadline = cairn::SystemClock().Now() + cairn::Seconds(30);
  while (cairn::SystemClock().Now() < deadline) {
    cairn::ProposalResult result = group.Propose("one more")->Wait();
    if (const auto* applied = std::get_if<cairn::ProposalApplied>(&result)) {
      return std::string(applied->reply.view());
    }
  }
  return "nothing";
}

TEST(JournalServerTest, ANodeComesBackWithItsJournal) {
  auto ports = cairn::FreePorts(1);
  ASSERT_TRUE(ports.ok()) << ports.status();
  cairn::ServerOptions options;
  options.node = cairn::NodeId{1};
  options.data_directory = absl::StrCat(getenv("TEST_TMPDIR"), "/node");
  options.initial_members =
      *cairn::ParseInitialCluster(absl::StrCat("1=127.0.0.1:", ports->front()));
  for (int life = 1; life <= 3; ++life) {
    auto server = cairn::Server::Start(WithJournal(options));
    ASSERT_TRUE(server.ok()) << server.status();
    auto group = (*server)->Open(cairn::GroupId::kDefault, std::make_unique<Tally>());
    ASSERT_TRUE(group.ok()) << group.status();
    absl::Status listening = (*server)->Listen();
    ASSERT_TRUE(listening.ok()) << listening;
    // All commands of the lives before were applied again.
    EXPECT_EQ(Propose(*group), absl::StrCat(life));
    (*server)->Shutdown(cairn::Seconds(5));
  }
  // What the journal holds no other store may take for its own.
  EXPECT_TRUE(absl::IsFailedPrecondition(cairn::Server::Start(options).status()));
}

}  // namespace
