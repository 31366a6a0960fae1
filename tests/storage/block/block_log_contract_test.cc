// The block store joins the contract suite, on each file system and with small and usual blocks.

#include <memory>
#include <string>

#include "storage/block/block_log.h"
#include "storage/posix_file_system.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/compressed/compressing_log.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/log_store_contract.h"
#include "tests/storage/refused_calls.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

BlockLogOptions Small() {
  BlockLogOptions options = TestOptions();
  options.geometry.block_bytes = 64 << 10;
  options.copy_distance = 2;
  return options;
}

BlockLogOptions Pages() {
  BlockLogOptions options = TestOptions();
  options.geometry = {.block_bytes = 1 << 20, .unit_bytes = 4096};
  options.recent_bytes = 64 << 10;
  return options;
}

BlockLogOptions Encrypted(BlockLogOptions options, Cipher cipher) {
  options.keys = TestRing(cipher);
  return options;
}

BlockLogOptions Compressed(BlockLogOptions options) {
  options.compression = LogCompression::kZstd;
  options.compression_distance = 1;
  return options;
}

// Where blocks are compressed, this goes on all the time.
absl::StatusOr<std::unique_ptr<LogDisk>> OpenLog(FileSystem& file_system,
                                                 const BlockLogOptions& options) {
  absl::StatusOr<std::unique_ptr<BlockLog>> log = BlockLog::Open(file_system, options);
  if (!log.ok()) return log.status();
  if (options.compression == LogCompression::kNone) return *std::move(log);
  static uint64_t seed = 0;
  return std::make_unique<CompressingLog>(*std::move(log), ++seed);
}

class SimulatedFixture final : public LogStoreFixture {
 public:
  explicit SimulatedFixture(BlockLogOptions options) : options_(std::move(options)) {}

  absl::StatusOr<std::unique_ptr<LogDisk>> Open() override {
    return OpenLog(file_system_, options_);
  }
  void PowerCut(Random& random) override {
    file_system_.Crash(random.OneIn(2) ? CrashPolicy::kRandomSubset : CrashPolicy::kTornCall,
                       random);
  }
  bool CanRefuse() const override { return true; }
  bool WaitsForHandles() const override { return true; }
  void Refuse(Refusal refusal) override { RefuseCalls(file_system_, refusal); }
  bool CanFillUp() const override { return true; }
  void FillUp(bool full) override { file_system_.set_capacity_bytes(full ? 0 : UINT64_MAX); }

 private:
  const BlockLogOptions options_;
  SimulatedFileSystem file_system_;
};

class PosixFixture final : public LogStoreFixture {
 public:
  explicit PosixFixture(BlockLogOptions options) : options_(std::move(options)) {
    options_.directory = directory_.path() + "/log";
  }

  absl::StatusOr<std::unique_ptr<LogDisk>> Open() override {
    return OpenLog(file_system_, options_);
  }
  bool HasPowerCuts() const override { return false; }
  void PowerCut(Random&) override {}

 private:
  TestDirectory directory_;
  PosixFileSystem file_system_;
  BlockLogOptions options_;
};

INSTANTIATE_TEST_SUITE_P(
    Block, LogStoreContract,
    testing::Values(
        LogStoreKind{"Small", [] { return std::make_unique<SimulatedFixture>(Small()); }},
        LogStoreKind{"Pages", [] { return std::make_unique<SimulatedFixture>(Pages()); }},
        LogStoreKind{"Posix", [] { return std::make_unique<PosixFixture>(Pages()); }},
        LogStoreKind{"EncryptedSmall",
                     [] {
                       return std::make_unique<SimulatedFixture>(
                           Encrypted(Small(), Cipher::kAes256Gcm));
                     }},
        LogStoreKind{"EncryptedPages",
                     [] {
                       return std::make_unique<SimulatedFixture>(
                           Encrypted(Pages(), Cipher::kChaCha20Poly1305));
                     }},
        LogStoreKind{
            "EncryptedPosix",
            [] { return std::make_unique<PosixFixture>(Encrypted(Pages(), Cipher::kAes256Gcm)); }},
        LogStoreKind{"CompressedSmall",
                     [] { return std::make_unique<SimulatedFixture>(Compressed(Small())); }},
        LogStoreKind{"CompressedPosix",
                     [] { return std::make_unique<PosixFixture>(Compressed(Pages())); }},
        LogStoreKind{"CompressedEncryptedPages",
                     [] {
                       return std::make_unique<SimulatedFixture>(
                           Compressed(Encrypted(Pages(), Cipher::kAes256Gcm)));
                     }}),
    LogStoreKindName());

}  // namespace
}  // namespace cairn
