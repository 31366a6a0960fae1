// A page that describes a format and shows dumps of files that code writes.

#ifndef TESTS_STORAGE_FORMAT_PAGE_H_
#define TESTS_STORAGE_FORMAT_PAGE_H_

#include <string>
#include <utility>
#include <vector>

namespace cairn {

// The page `path` in the checkout, which is data of the test.
std::string ReadPage(const std::string& path);

// What `hexdump -C` prints of `bytes`.
std::string HexDump(const std::string& bytes);

// Expects that the page shows the files, name and content, in this order, each as
//
//   `name`, as `hexdump -C` prints it:
//
// and a code block. With CAIRN_REWRITE in the environment of `bazel run` it writes the dumps into
// the page instead.
void ExpectDumps(const std::string& path,
                 const std::vector<std::pair<std::string, std::string>>& files);

}  // namespace cairn

#endif  // TESTS_STORAGE_FORMAT_PAGE_H_
