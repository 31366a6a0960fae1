// TestDirectory: a directory on the real file system that lasts as long as a test.

#ifndef TESTS_STORAGE_TEST_DIRECTORY_H_
#define TESTS_STORAGE_TEST_DIRECTORY_H_

#include <string>

namespace cairn {

// Makes a fresh directory below the test runner's temporary one; removes it with all it holds.
class TestDirectory {
 public:
  TestDirectory();
  ~TestDirectory();
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace cairn

#endif  // TESTS_STORAGE_TEST_DIRECTORY_H_
