#include "service/cli/demo_control.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(DemoControlTest, CarriesActionsAndTheirErrors) {
  // Short, since the path of a socket is.
  std::string directory = "/tmp/cairn-control-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  EXPECT_TRUE(absl::IsNotFound(AskDemo(directory, "kill", "1"))) << "no demo runs";
  {
    absl::StatusOr<std::unique_ptr<DemoControl>> control = DemoControl::Listen(directory);
    ASSERT_TRUE(control.ok()) << control.status();
    EXPECT_TRUE(absl::IsFailedPrecondition(DemoControl::Listen(directory).status()))
        << "a demo runs here";
    int stop = eventfd(0, EFD_CLOEXEC);
    std::string heard;
    std::thread server([&] {
      (*control)->Serve(stop, [&](const std::string& action, const std::string& node) {
        heard += action + " " + node + "\n";
        return node == "2" ? absl::OkStatus() : absl::FailedPreconditionError("not running");
      });
    });
    EXPECT_TRUE(AskDemo(directory, "kill", "2").ok());
    absl::Status refused = AskDemo(directory, "restart", "leader");
    EXPECT_TRUE(absl::IsFailedPrecondition(refused));
    EXPECT_EQ(refused.message(), "not running");
    uint64_t one = 1;
    ASSERT_EQ(write(stop, &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
    server.join();
    close(stop);
    EXPECT_EQ(heard, "kill 2\nrestart leader\n");
  }
  EXPECT_TRUE(absl::IsNotFound(AskDemo(directory, "kill", "1")));
  rmdir(directory.c_str());
}

}  // namespace
}  // namespace cairn
