// The RocksDB store joins the contract suite, on each file system. On the simulated one it suffers
// power cuts; its write buffer is small in one case, so that tables are written and merged.

#include <memory>
#include <string>
#include <utility>

#include "storage/encrypted/encrypted_file_system.h"
#include "storage/posix_file_system.h"
#include "storage/rocksdb/rocksdb_log.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/log_store_contract.h"
#include "tests/storage/refused_calls.h"
#include "tests/storage/test_directory.h"

namespace cairn {
namespace {

RocksDbLogOptions WithBuffer(size_t write_buffer_bytes) {
  RocksDbLogOptions options;
  options.directory = "/log";
  options.identity = {{}, NodeId{1}, Incarnation{7}};
  options.write_buffer_bytes = write_buffer_bytes;
  return options;
}

class SimulatedFixture final : public LogStoreFixture {
 public:
  explicit SimulatedFixture(size_t write_buffer_bytes,
                            std::shared_ptr<const KeyRing> keys = nullptr)
      : options_(WithBuffer(write_buffer_bytes)),
        encrypted_(file_system_, std::move(keys), {options_.directory}) {}

  absl::StatusOr<std::unique_ptr<LogDisk>> Open() override {
    return RocksDbLog::Open(encrypted_, options_);
  }
  void PowerCut(Random& random) override {
    file_system_.Crash(random.OneIn(2) ? CrashPolicy::kRandomSubset : CrashPolicy::kTornCall,
                       random);
  }
  bool CanRefuse() const override { return true; }
  void Refuse(Refusal refusal) override { RefuseCalls(file_system_, refusal); }

 private:
  const RocksDbLogOptions options_;
  SimulatedFileSystem file_system_;
  EncryptedFileSystem encrypted_;
};

class PosixFixture final : public LogStoreFixture {
 public:
  PosixFixture() : options_(WithBuffer(size_t{1} << 20)) {
    options_.directory = directory_.path() + "/log";
  }

  absl::StatusOr<std::unique_ptr<LogDisk>> Open() override {
    return RocksDbLog::Open(file_system_, options_);
  }
  bool HasPowerCuts() const override { return false; }
  void PowerCut(Random&) override {}

 private:
  TestDirectory directory_;
  PosixFileSystem file_system_;
  RocksDbLogOptions options_;
};

INSTANTIATE_TEST_SUITE_P(
    RocksDb, LogStoreContract,
    testing::Values(
        LogStoreKind{"Small", [] { return std::make_unique<SimulatedFixture>(size_t{64} << 10); }},
        LogStoreKind{"Usual", [] { return std::make_unique<SimulatedFixture>(size_t{4} << 20); }},
        LogStoreKind{"Encrypted",
                     [] {
                       return std::make_unique<SimulatedFixture>(size_t{64} << 10,
                                                                 TestRing(Cipher::kAes256Gcm));
                     }},
        LogStoreKind{"Posix", [] { return std::make_unique<PosixFixture>(); }}),
    LogStoreKindName());

}  // namespace
}  // namespace cairn
