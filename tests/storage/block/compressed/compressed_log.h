// What tests of compressed blocks share.

#ifndef TESTS_STORAGE_BLOCK_COMPRESSED_COMPRESSED_LOG_H_
#define TESTS_STORAGE_BLOCK_COMPRESSED_COMPRESSED_LOG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "gtest/gtest.h"
#include "storage/block/block_file.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {

// A way to have a compressed log; a parameter of tests.
struct CompressedKind {
  uint64_t unit_bytes = 512;
  bool encrypted = false;
};
std::string CompressedKindName(const testing::TestParamInfo<CompressedKind>& kind);
inline const CompressedKind kCompressedKinds[] = {
    {512, false}, {4096, false}, {512, true}, {4096, true}};

// Compresses the blocks behind the last one.
BlockLogOptions CompressedOptions(const CompressedKind& kind, uint64_t block_bytes);

// Gets smaller by a half or so.
std::string CompressibleText(size_t i, size_t length);

// Appends to both groups, a batch each time, until the log has so many blocks.
void FillBlocks(LogDriver& driver, size_t blocks, size_t entry_bytes = 900);

// Compresses all there is to compress. What is to be told of it, empty as a rule.
std::string CompressAll(LogDriver& driver);

std::string BlockPath(uint64_t block);
// Blocks that are compressed, with the length of their files.
std::map<uint64_t, uint64_t> CompressedBlocks(SimulatedFileSystem& file_system);
// Names in the log's directory that end so.
std::vector<std::string> NamesWith(SimulatedFileSystem& file_system, const std::string& end);

// The header of a block's file.
BlockHeader HeaderOf(SimulatedFileSystem& file_system, uint64_t block);

void ExpectAllThere(LogDriver& driver, const Model& model);
// And the log was opened with it.
void ExpectRecovered(LogDriver& driver, const Model& model);

}  // namespace cairn

#endif  // TESTS_STORAGE_BLOCK_COMPRESSED_COMPRESSED_LOG_H_
