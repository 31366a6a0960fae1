#include "tests/storage/format_page.h"

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "gtest/gtest.h"

namespace cairn {

std::string ReadPage(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string HexDump(const std::string& bytes) {
  constexpr size_t kLine = 16;
  std::string dump;
  bool elided = false;
  for (size_t at = 0; at < bytes.size(); at += kLine) {
    const std::string line = bytes.substr(at, kLine);
    if (at > 0 && line.size() == kLine && line == bytes.substr(at - kLine, kLine)) {
      if (!elided) dump += "*\n";
      elided = true;
      continue;
    }
    elided = false;
    absl::StrAppendFormat(&dump, "%08x", at);
    std::string text;
    for (size_t i = 0; i < kLine; ++i) {
      if (i % 8 == 0) dump += ' ';
      if (i >= line.size()) {
        dump += "   ";
        continue;
      }
      const auto byte = static_cast<unsigned char>(line[i]);
      absl::StrAppendFormat(&dump, " %02x", byte);
      text += byte >= 0x20 && byte < 0x7f ? line[i] : '.';
    }
    absl::StrAppend(&dump, "  |", text, "|\n");
  }
  absl::StrAppendFormat(&dump, "%08x\n", bytes.size());
  return dump;
}

void ExpectDumps(const std::string& path,
                 const std::vector<std::pair<std::string, std::string>>& files) {
  std::string page = ReadPage(path);
  const std::string before = page;
  size_t at = 0;
  for (const auto& [name, bytes] : files) {
    const std::string heading = absl::StrCat("`", name, "`, as `hexdump -C` prints it:\n\n```\n");
    at = page.find(heading, at);
    ASSERT_NE(at, std::string::npos) << "no dump of " << name;
    at += heading.size();
    const size_t end = page.find("```", at);
    ASSERT_NE(end, std::string::npos);
    const std::string dump = HexDump(bytes);
    page.replace(at, end - at, dump);
    at += dump.size();
  }
  const char* root = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  if (std::getenv("CAIRN_REWRITE") != nullptr && root != nullptr) {
    std::ofstream(absl::StrCat(root, "/", path)) << page;
    return;
  }
  EXPECT_TRUE(page == before) << path << " does not show what is written, which is:\n"
                              << page.substr(page.find("as `hexdump -C` prints it"));
}

}  // namespace cairn
