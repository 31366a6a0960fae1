// Cuts the power at every operation of saving, receiving, publishing and replacing a snapshot, in
// every way that matters (fault catalogue 4.5).

#include <cstdint>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/crash_choice.h"
#include "storage/encrypted/encrypted_file_system.h"
#include "storage/simulated_file_system.h"
#include "storage/snapshot_store.h"
#include "tests/storage/block/test_keys.h"
#include "tests/storage/snapshot_content.h"

namespace cairn {
namespace {

constexpr char kDirectory[] = "/snapshots/1";
constexpr GroupId kGroup{1};

SnapshotManifest Head(Index index) {
  SnapshotManifest head;
  head.group = kGroup;
  head.position = {index, 2};
  return head;
}

TestContent::Files Content(Index index) {
  return {{"cairn", absl::StrCat("archive of ", index)},
          {"empty", ""},
          {"state", std::string(1500 + 100 * index, static_cast<char>('a' + index % 26))}};
}

// A store on a disk; with keys, encrypted.
struct OpenedStore {
  std::unique_ptr<EncryptedFileSystem> files;
  std::unique_ptr<SnapshotStore> store;

  OpenedStore(SimulatedFileSystem& disk, std::shared_ptr<const KeyRing> keys)
      : files(std::make_unique<EncryptedFileSystem>(disk, std::move(keys),
                                                    std::vector<std::string>{kDirectory})) {
    absl::StatusOr<std::unique_ptr<SnapshotStore>> opened =
        SnapshotStore::Open(files.get(), kDirectory, ClusterId(), kGroup);
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (opened.ok()) store = *std::move(opened);
  }
};

class Crasher {
 public:
  Crasher(uint64_t seed, std::shared_ptr<const KeyRing> keys)
      : keys_(std::move(keys)), random_(seed) {}

  void Save(Index index) {
    TestContent content(Content(index));
    StepTo(index,
           [&] { ASSERT_TRUE(store().Save(Head(index), content, [] { return false; }).ok()); });
  }
  void Receive(Index index) {
    StepTo(index, [&] {
      auto incoming = store().Receive(ManifestOf(Head(index), Content(index)));
      ASSERT_TRUE(incoming.ok()) << incoming.status();
      while (std::optional<ChunkPlace> place = (*incoming)->NextMissing({})) {
        const std::string bytes = Content(index)[place->file].second;
        ASSERT_TRUE((*incoming)->Put(*place, bytes.substr(place->chunk * kChunkBytes)).ok());
      }
      ASSERT_TRUE(store().Publish(**incoming).ok());
    });
  }
  void Forget() {
    std::shared_ptr<const StoredSnapshot> last = store().last();
    StepTo(0, [&] { ASSERT_TRUE(store().Forget(*last).ok()); });
  }

  uint64_t states() const { return states_; }
  uint64_t states_with_next() const { return with_next_; }

 private:
  // Carries out what makes `index` the last snapshot (0: none), with all its power cuts.
  void StepTo(Index index, const std::function<void()>& step) {
    if (!opened_) opened_.emplace(file_system_, keys_);
    next_ = index;
    file_system_.set_fault_hook([this](const FileAccess&) {
      AtBoundary();
      return FileFault();
    });
    step();
    AtBoundary();
    file_system_.set_fault_hook(nullptr);
    published_ = next_;
    done_ = true;
    AtBoundary();  // now only the new one may be found
    done_ = false;
  }

  void AtBoundary() {
    if (testing::Test::HasFailure()) return;
    const std::vector<PendingOperation> pending = file_system_.Pending();
    std::vector<uint64_t> ids;
    for (const PendingOperation& each : pending) ids.push_back(each.id);
    if (ids == last_ids_ && !done_) return;
    last_ids_ = ids;
    CrashEnumeration options = {.exhaustive = 8, .samples = 32};
    for (const CrashChoice& choice : EnumerateCrashes(pending, options, random_)) {
      ++states_;
      std::unique_ptr<SimulatedFileSystem> image = file_system_.CrashImage(choice);
      const Index first = Look(*image);
      // What recovery made of it is found again, also after a cut at its end.
      std::unique_ptr<SimulatedFileSystem> again = image->WorstCaseImage();
      EXPECT_EQ(Look(*again), first);
      if (testing::Test::HasFailure()) return;
    }
  }

  // The index of the last snapshot found, which has to be whole.
  Index Look(SimulatedFileSystem& image) {
    const OpenedStore opened(image, keys_);
    SnapshotStore* store = opened.store.get();
    if (store == nullptr) return 0;
    EXPECT_TRUE(store->TakeNotes().empty()) << "nothing is damaged";
    std::shared_ptr<const StoredSnapshot> last = store->last();
    const Index found = last == nullptr ? 0 : last->position().index;
    EXPECT_TRUE(found == published_ || (found == next_ && !done_)) << found;
    if (found == next_) ++with_next_;
    if (last == nullptr) return 0;
    EXPECT_TRUE(last->Verify().ok()) << last->Verify();
    EXPECT_EQ(last->encoded(), ManifestOf(Head(found), Content(found)));
    // Nothing is left over but the files of this one and of one on its way.
    const size_t names = image.List(kDirectory)->size();
    EXPECT_LE(names, 2 * (1 + Content(found).size()));
    return found;
  }

  SnapshotStore& store() { return *opened_->store; }

  const std::shared_ptr<const KeyRing> keys_;
  Random random_;
  SimulatedFileSystem file_system_;
  std::optional<OpenedStore> opened_;
  Index published_ = 0;
  Index next_ = 0;
  bool done_ = false;
  std::vector<uint64_t> last_ids_;
  uint64_t states_ = 0;
  uint64_t with_next_ = 0;
};

void Report(const char* name, const Crasher& crasher) {
  std::printf("%s: %llu states, %llu of them with the new snapshot\n", name,
              static_cast<unsigned long long>(crasher.states()),
              static_cast<unsigned long long>(crasher.states_with_next()));
  EXPECT_GT(crasher.states(), 200u);
  EXPECT_GT(crasher.states_with_next(), 0u);
}

// With what is kept plain, and encrypted.
class SnapshotCrashTest : public testing::TestWithParam<bool> {
 protected:
  const std::shared_ptr<const KeyRing> keys_ = GetParam() ? TestRing(Cipher::kAes256Gcm) : nullptr;
};

INSTANTIATE_TEST_SUITE_P(Kept, SnapshotCrashTest, testing::Bool(), [](const auto& tested) {
  return std::string(tested.param ? "Encrypted" : "Plain");
});

TEST_P(SnapshotCrashTest, SaveAndReplace) {
  Crasher crasher(1, keys_);
  crasher.Save(3);
  crasher.Save(7);
  crasher.Save(8);
  Report("save and replace", crasher);
}

TEST_P(SnapshotCrashTest, ReceiveAndReplace) {
  Crasher crasher(2, keys_);
  crasher.Receive(4);
  crasher.Receive(9);
  Report("receive and replace", crasher);
}

TEST_P(SnapshotCrashTest, ReceiveOverASavedOneAndSaveOverThat) {
  Crasher crasher(3, keys_);
  crasher.Save(2);
  crasher.Receive(5);
  crasher.Save(6);
  Report("saved, received, saved", crasher);
}

TEST_P(SnapshotCrashTest, Forget) {
  Crasher crasher(4, keys_);
  crasher.Receive(4);
  crasher.Forget();
  crasher.Save(6);
  Report("forget", crasher);
}

}  // namespace
}  // namespace cairn
