#include "tests/storage/block/compressed/compressed_log.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/random.h"

namespace cairn {

std::string CompressedKindName(const testing::TestParamInfo<CompressedKind>& kind) {
  return absl::StrCat(kind.param.encrypted ? "Encrypted" : "Plain", kind.param.unit_bytes);
}

BlockLogOptions CompressedOptions(const CompressedKind& kind, uint64_t block_bytes) {
  BlockLogOptions options = TestOptions();
  options.geometry = {.block_bytes = block_bytes, .unit_bytes = kind.unit_bytes};
  options.compression = LogCompression::kZstd;
  options.compression_distance = 1;
  if (kind.encrypted) options.keys = TestRing(Cipher::kAes256Gcm);
  return options;
}

std::string CompressibleText(size_t i, size_t length) {
  Random random(i);
  std::string text = absl::StrCat("entry ", i, ": ");
  while (text.size() < length) absl::StrAppend(&text, random.Next() % 100'000, " of many; ");
  text.resize(length);
  return text;
}

void FillBlocks(LogDriver& driver, size_t blocks, size_t entry_bytes) {
  for (size_t i = 0; driver.log().figures().blocks < blocks; ++i) {
    driver.Append(kGroupA, 1, {CompressibleText(i, entry_bytes), CompressibleText(i, 40)});
    if (i % 3 == 0) driver.Append(kGroupB, 1, {CompressibleText(i, 200)});
    ASSERT_TRUE(driver.Sync().ok());
  }
}

std::string CompressAll(LogDriver& driver) {
  std::vector<std::string> problems;
  for (;;) {
    const CompressStep step = driver.log().scrub()->Compress(64 << 10);
    problems.insert(problems.end(), step.problems.begin(), step.problems.end());
    if (step.bytes == 0) return absl::StrJoin(problems, "\n");
  }
}

std::string BlockPath(uint64_t block) { return JoinPath(kTestDirectory, BlockFileName(block)); }

std::vector<std::string> NamesWith(SimulatedFileSystem& file_system, const std::string& end) {
  std::vector<std::string> found;
  const std::vector<std::string> names = file_system.List(kTestDirectory).value();
  for (const std::string& name : names) {
    if (absl::EndsWith(name, end)) found.push_back(name);
  }
  return found;
}

BlockHeader HeaderOf(SimulatedFileSystem& file_system, uint64_t block) {
  const std::string content = ReadWholeFile(file_system, BlockPath(block)).value();
  return BlockHeader::Decode(absl::string_view(content).substr(0, kSectorBytes)).value();
}

std::map<uint64_t, uint64_t> CompressedBlocks(SimulatedFileSystem& file_system) {
  std::map<uint64_t, uint64_t> found;
  for (const std::string& name : NamesWith(file_system, ".block")) {
    const uint64_t block = *ParseBlockFileName(name);
    if (!HeaderOf(file_system, block).is_compressed()) continue;
    found[block] = ReadWholeFile(file_system, BlockPath(block)).value().size();
  }
  return found;
}

void ExpectAllThere(LogDriver& driver, const Model& model) {
  ASSERT_TRUE(driver.status().ok()) << driver.status();
  for (const auto& [group, log] : model) EXPECT_EQ(Difference(driver.store(group), log), "");
}

void ExpectRecovered(LogDriver& driver, const Model& model) {
  ExpectAllThere(driver, model);
  if (!driver.status().ok()) return;
  for (const auto& [group, log] : model) {
    EXPECT_EQ(Difference(driver.recovered(group), log), "");
  }
}

}  // namespace cairn
