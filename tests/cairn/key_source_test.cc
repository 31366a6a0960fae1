#include "cairn/key_source.h"

#include <sys/stat.h>

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

using testing::HasSubstr;

const std::string kKey(64, 'a');
const std::string kOther(64, 'b');

class KeySourceTest : public testing::Test {
 protected:
  std::string Write(const std::string& content, mode_t mode = 0600) {
    const std::string path = directory_.path() + "/keys";
    std::ofstream(path) << content;
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  static absl::Status Load(const KeySource& source) { return LoadMasterKeys(source).status(); }

  TestDirectory directory_;
};

TEST_F(KeySourceTest, ReadsAFile) {
  const std::string path = Write(absl::StrCat(kKey, "\n", kOther, "\n"));
  const auto keys = LoadMasterKeys({.file = path, .command = ""});
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->size(), 2u);
  EXPECT_TRUE(Load({.file = Write(kKey, 0640), .command = ""}).ok());
}

TEST_F(KeySourceTest, RefusesAFileThatOthersCanReadOrWrite) {
  for (mode_t mode : {0644, 0604, 0660, 0602, 0777}) {
    const std::string path = Write(kKey, mode);
    const absl::Status status = Load({.file = path, .command = ""});
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr(path));
  }
}

TEST_F(KeySourceTest, NamesTheFileAndNeverItsContent) {
  const std::string absent = directory_.path() + "/absent";
  absl::Status status = Load({.file = absent, .command = ""});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr(absent));
  EXPECT_TRUE(absl::IsFailedPrecondition(Load({.file = directory_.path(), .command = ""})));
  for (const std::string& content :
       {std::string(), std::string("secret"), std::string(100'000, 'a')}) {
    const std::string path = Write(content);
    status = Load({.file = path, .command = ""});
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_THAT(status.message(), HasSubstr(path));
    EXPECT_FALSE(absl::StrContains(status.message(), "secret"));
  }
}

TEST_F(KeySourceTest, RunsACommand) {
  const std::string path = Write(kKey, 0644);
  const auto keys = LoadMasterKeys({.file = "", .command = absl::StrCat("cat '", path, "'")});
  ASSERT_TRUE(keys.ok()) << keys.status();
  EXPECT_EQ(keys->size(), 1u);
}

TEST_F(KeySourceTest, RefusesACommandThatFails) {
  absl::Status status = Load({.file = "", .command = absl::StrCat("echo ", kKey, "; exit 3")});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr("failed with 3"));
  status = Load({.file = "", .command = "kill -9 $$"});
  EXPECT_THAT(status.message(), HasSubstr("signal 9"));
  status = Load({.file = "", .command = "echo no key"});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  status = Load({.file = "", .command = "yes"});
  EXPECT_THAT(status.message(), HasSubstr("too long"));
}

TEST_F(KeySourceTest, ACommandThatDoesNotEndIsEnded) {
  // The last two have written all, and closed their output.
  for (const std::string& command : {std::string("sleep 1000"), std::string("exec >&-; sleep 1000"),
                                     absl::StrCat("echo ", kKey, "; exec >&-; sleep 1000")}) {
    const absl::Status status =
        Load({.file = "", .command = command, .patience = Milliseconds(50)});
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << command << ": " << status;
    EXPECT_THAT(status.message(), HasSubstr("took too long"));
  }
}

TEST_F(KeySourceTest, APipeThatNobodyWritesToIsRefused) {
  const std::string path = directory_.path() + "/pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  const absl::Status status = Load({.file = path, .command = ""});
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(status.message(), HasSubstr(path));
}

}  // namespace
}  // namespace cairn
