// LogStoreContract: what storage/log_store.h promises, of every store. A store joins with
//
//   INSTANTIATE_TEST_SUITE_P(Mine, LogStoreContract,
//                            testing::Values(LogStoreKind{"Mine", [] { ... }}),
//                            LogStoreKindName());
//
// in a test that depends on the suite.

#ifndef TESTS_STORAGE_LOG_STORE_CONTRACT_H_
#define TESTS_STORAGE_LOG_STORE_CONTRACT_H_

#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/random.h"
#include "base/types.h"
#include "gtest/gtest.h"
#include "storage/log_store.h"
#include "tests/storage/log_twin.h"

namespace cairn {

// The place where a store of the kind under test keeps its data.
class LogStoreFixture {
 public:
  virtual ~LogStoreFixture() = default;

  // Opens what is there, at first nothing. The disk opened before is destroyed by then.
  virtual absl::StatusOr<std::unique_ptr<LogDisk>> Open() = 0;

  // Whether PowerCut can be played.
  virtual bool HasPowerCuts() const { return true; }
  // What was not synced is lost, or some of it, drawn from `random`. The disk that is open is of no
  // use any more and is destroyed next.
  virtual void PowerCut(Random& random) = 0;

  // Whether FillUp can be played, and a full disk is no failure of the store.
  virtual bool CanFillUp() const { return false; }
  // No file can become longer, or can again.
  virtual void FillUp(bool /*full*/) {}

  // Whether Refuse can be played.
  virtual bool CanRefuse() const { return false; }
  // From now on the system refuses all calls that change something (EROFS), or to open a file
  // (EMFILE).
  enum class Refusal { kNone, kReadOnly, kNoHandles };
  virtual void Refuse(Refusal /*refusal*/) {}
  // Whether the store waits for handles, as it does for room; otherwise it fails without.
  virtual bool WaitsForHandles() const { return false; }
};

struct LogStoreKind {
  const char* name;
  std::function<std::unique_ptr<LogStoreFixture>()> make;
  friend void PrintTo(const LogStoreKind& kind, std::ostream* out) { *out << kind.name; }
};

struct LogStoreKindName {
  std::string operator()(const testing::TestParamInfo<LogStoreKind>& tested) const {
    return tested.param.name;
  }
};

class LogStoreContract : public testing::TestWithParam<LogStoreKind> {
 public:
  LogStoreContract();

  // A new place with nothing in it, and new luck.
  void StartOver(uint64_t seed);

  // The group's log on the disk that is open, opening both as needed.
  LogDisk& disk();
  LogStore& store(GroupId group = GroupId::kDefault);
  // What was found when store(group) was opened.
  const RecoveredLog& recovered(GroupId group = GroupId::kDefault);

  void Append(const LogAppend& append, GroupId group = GroupId::kDefault);
  void Append(std::vector<RecordRun> runs, GroupId group = GroupId::kDefault);
  // Waits for its end.
  absl::Status TrySync();
  void Sync();

  // The group's store is closed; store() and recovered() open it again.
  void CloseGroup(GroupId group);

  // The process ends without a word, and starts again.
  void Reopen();
  void PowerCut();
  bool has_power_cuts() const { return fixture_->HasPowerCuts(); }
  bool CanFillUp() const { return fixture_->CanFillUp(); }
  void FillUp(bool full) { fixture_->FillUp(full); }
  using Refusal = LogStoreFixture::Refusal;
  bool CanRefuse() const { return fixture_->CanRefuse(); }
  void Refuse(Refusal refusal) { fixture_->Refuse(refusal); }
  bool WaitsForHandles() const { return fixture_->WaitsForHandles(); }
  // No disk is open. One that can be opened is closed again.
  absl::Status TryOpen() { return fixture_->Open().status(); }
  Random& random() { return random_; }

  // Everything the store can be asked agrees with the twin.
  void ExpectHolds(const LogTwin& twin);
  // Recovery of the group found what the twin holds.
  void ExpectRecovered(const LogTwin& twin);

 private:
  struct Opened {
    LogStore* store;
    RecoveredLog recovered;
  };
  Opened& Open(GroupId group);

  Random random_;
  std::unique_ptr<LogStoreFixture> fixture_;
  std::unique_ptr<LogDisk> disk_;
  std::map<GroupId, Opened> opened_;
};

}  // namespace cairn

#endif  // TESTS_STORAGE_LOG_STORE_CONTRACT_H_
