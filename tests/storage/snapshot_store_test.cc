#include "storage/snapshot_store.h"

#include <errno.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "storage/simulated_file_system.h"
#include "tests/storage/snapshot_content.h"

namespace cairn {
namespace {

constexpr char kDirectory[] = "/snapshots/1";
constexpr GroupId kGroup{1};

std::string Text(char fill, size_t bytes) { return std::string(bytes, fill); }

class SnapshotStoreTest : public testing::Test {
 protected:
  SnapshotStoreTest() { Open(); }

  void Open() {
    store_.reset();
    absl::StatusOr<std::unique_ptr<SnapshotStore>> store =
        SnapshotStore::Open(&file_system_, kDirectory, cluster_, kGroup);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  SnapshotManifest Head(Index index) const {
    SnapshotManifest head;
    head.cluster = cluster_;
    head.group = kGroup;
    head.position = {index, 2};
    head.hash = {.high = 1, .low = index};
    return head;
  }
  absl::Status Save(Index index, const TestContent& content) {
    return store_->Save(Head(index), content, [] { return false; }).status();
  }
  std::unique_ptr<IncomingSnapshot> Receive(const std::string& encoded) {
    absl::StatusOr<std::unique_ptr<IncomingSnapshot>> incoming = store_->Receive(encoded);
    EXPECT_TRUE(incoming.ok()) << incoming.status();
    return incoming.ok() ? *std::move(incoming) : nullptr;
  }
  static std::string ChunkOf(const TestContent::Files& content, ChunkPlace place) {
    return content[place.file].second.substr(place.chunk * kChunkBytes, kChunkBytes);
  }
  // Puts up to `limit` missing chunks; gives how many bytes that were.
  static uint64_t PutMissing(IncomingSnapshot& incoming, const TestContent::Files& content,
                             int limit = 1000) {
    uint64_t bytes = 0;
    while (limit-- > 0) {
      std::optional<ChunkPlace> place = incoming.NextMissing({});
      if (!place) break;
      bytes += incoming.LengthOf(*place);
      EXPECT_TRUE(incoming.Put(*place, ChunkOf(content, *place)).ok());
    }
    return bytes;
  }
  void ExpectLast(Index index, const TestContent::Files& content) {
    std::shared_ptr<const StoredSnapshot> last = store_->last();
    ASSERT_NE(last, nullptr);
    EXPECT_EQ(last->position().index, index);
    EXPECT_TRUE(last->Verify().ok()) << last->Verify();
    ASSERT_EQ(last->manifest().files.size(), content.size());
    for (size_t file = 0; file < content.size(); ++file) {
      const auto& [name, bytes] = content[file];
      EXPECT_EQ(last->manifest().files[file].name, name);
      EXPECT_TRUE(last->Read(file, 0, bytes.size()).value() == bytes);
      EXPECT_TRUE(ReadWholeFile(file_system_, last->PathOf(file)).value() == bytes);
    }
  }
  std::vector<std::string> Names() { return file_system_.List(kDirectory).value(); }

  SimulatedFileSystem file_system_;
  ClusterId cluster_ = {{1, 2, 3}};
  std::unique_ptr<SnapshotStore> store_;
};

const TestContent::Files kContent = {
    {"cairn", "archive"}, {"empty", ""}, {"state", Text('a', kChunkBytes) + Text('b', 1000)}};

TEST_F(SnapshotStoreTest, ASavedSnapshotIsThereAfterAPowerCut) {
  EXPECT_EQ(store_->last(), nullptr);
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  ExpectLast(10, kContent);
  EXPECT_EQ(store_->last()->kind(), SnapshotKind::kSaved);
  EXPECT_EQ(store_->last()->encoded(), ManifestOf(Head(10), kContent)) << "the same on all members";
  file_system_.Crash(CrashChoice());
  Open();
  ExpectLast(10, kContent);
  EXPECT_TRUE(store_->TakeNotes().empty());
}

TEST_F(SnapshotStoreTest, ALaterOneTakesThePlaceOfTheLastOnceNobodyReadsIt) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  std::shared_ptr<const StoredSnapshot> reading = store_->last();
  const TestContent::Files later = {{"cairn", "later"}};
  ASSERT_TRUE(Save(20, TestContent(later)).ok());
  ExpectLast(20, later);
  EXPECT_TRUE(reading->Verify().ok());
  reading.reset();
  EXPECT_EQ(Names().size(), 2u);
  Open();
  ExpectLast(20, later);
}

TEST_F(SnapshotStoreTest, AnAbortedOrFailedSaveLeavesNothing) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  int asked = 0;
  EXPECT_TRUE(absl::IsCancelled(
      store_->Save(Head(20), TestContent(kContent), [&] { return ++asked == 3; }).status()));
  TestContent failing(kContent);
  failing.FailRead(2);
  EXPECT_TRUE(absl::IsInternal(Save(20, failing)));
  file_system_.set_fault_hook(
      NthFault(FileAccess::Operation::kWrite, "00020-", 2, {.error = ENOSPC}));
  EXPECT_TRUE(absl::IsResourceExhausted(Save(20, TestContent(kContent))));
  file_system_.set_fault_hook(nullptr);
  EXPECT_EQ(Names().size(), 1 + kContent.size());
  ExpectLast(10, kContent);
  Open();
  ExpectLast(10, kContent);
}

TEST_F(SnapshotStoreTest, ChunksComeInAnyOrderAndTwice) {
  std::unique_ptr<IncomingSnapshot> incoming = Receive(ManifestOf(Head(30), kContent));
  ASSERT_NE(incoming, nullptr);
  EXPECT_EQ(incoming->missing_bytes(), kChunkBytes + 1007);
  for (const ChunkPlace place : {ChunkPlace{2, 1}, {0, 0}, {2, 1}, {2, 0}}) {
    EXPECT_TRUE(incoming->Put(place, ChunkOf(kContent, place)).ok());
  }
  EXPECT_TRUE(incoming->complete());
  EXPECT_EQ(incoming->NextMissing({}), std::nullopt);
  ASSERT_TRUE(store_->Publish(*incoming).ok());
  ExpectLast(30, kContent);
  EXPECT_EQ(store_->last()->kind(), SnapshotKind::kReceived);
  Open();
  ExpectLast(30, kContent);
  EXPECT_EQ(store_->last()->kind(), SnapshotKind::kReceived);
}

// Faults 5.2, rows 20 and 21: nothing of it is taken, and the rest goes on.
TEST_F(SnapshotStoreTest, WhatIsNotTheChunkIsRefused) {
  std::unique_ptr<IncomingSnapshot> incoming = Receive(ManifestOf(Head(30), kContent));
  const uint64_t missing = incoming->missing_bytes();
  EXPECT_TRUE(absl::IsDataLoss(incoming->Put({0, 0}, "archivE")));
  EXPECT_TRUE(absl::IsDataLoss(incoming->Put({0, 0}, "")));
  EXPECT_TRUE(absl::IsDataLoss(incoming->Put({0, 0}, "archive and more")));
  EXPECT_TRUE(absl::IsDataLoss(incoming->Put({2, 0}, ChunkOf(kContent, {2, 1}))));
  EXPECT_TRUE(absl::IsOutOfRange(incoming->Put({1, 0}, "")));
  EXPECT_TRUE(absl::IsOutOfRange(incoming->Put({2, uint64_t{1} << 63}, "x")));
  EXPECT_TRUE(absl::IsOutOfRange(incoming->Put({3, 0}, "x")));
  EXPECT_EQ(incoming->missing_bytes(), missing);
  PutMissing(*incoming, kContent);
  EXPECT_TRUE(store_->Publish(*incoming).ok());
}

TEST_F(SnapshotStoreTest, SnapshotsOfOthersAndOldOnesAreRefused) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  SnapshotManifest stranger = Head(30);
  stranger.group = GroupId{2};
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Receive(ManifestOf(stranger, kContent)).status()));
  stranger = Head(30);
  stranger.cluster.bytes[0] = 99;
  EXPECT_TRUE(absl::IsInvalidArgument(store_->Receive(ManifestOf(stranger, kContent)).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(store_->Receive(ManifestOf(Head(10), kContent)).status()));
  EXPECT_TRUE(absl::IsAlreadyExists(store_->Receive(ManifestOf(Head(9), kContent)).status()));
  EXPECT_TRUE(absl::IsDataLoss(store_->Receive("nonsense").status()));
  ExpectLast(10, kContent);
}

// Interrupted by a new process each time, a transfer moves each byte once.
TEST_F(SnapshotStoreTest, ATransferGoesOnWhereItWas) {
  TestContent::Files content = {{"cairn", "archive"}, {"state", ""}};
  for (char fill = 'a'; fill < 'k'; ++fill) content[1].second += Text(fill, kChunkBytes);
  content[1].second += "end";
  const std::string encoded = ManifestOf(Head(30), content);
  uint64_t moved = 0;
  int processes = 0;
  for (bool complete = false; !complete; ++processes) {
    std::unique_ptr<IncomingSnapshot> incoming = Receive(encoded);
    moved += PutMissing(*incoming, content, 2);
    complete = incoming->complete();
    if (complete) {
      EXPECT_TRUE(store_->Publish(*incoming).ok());
    }
    incoming.reset();
    file_system_.RestartProcess();
    Open();
  }
  EXPECT_EQ(processes, 6);
  EXPECT_EQ(moved, content[0].second.size() + content[1].second.size());
  ExpectLast(30, content);
}

// So does one of which not even a chunk comes at a time.
TEST_F(SnapshotStoreTest, APartOfAChunkIsKept) {
  const std::string encoded = ManifestOf(Head(30), kContent);
  EXPECT_TRUE(absl::IsNotFound(store_->Resume(SnapshotIdOf(encoded)).status()));
  std::unique_ptr<IncomingSnapshot> incoming = Receive(encoded);
  const ChunkPlace place = {2, 0};
  EXPECT_EQ(incoming->Kept(place), "");
  EXPECT_TRUE(incoming->Keep(place, 5000, Text('a', 1000)).ok());
  EXPECT_TRUE(absl::IsOutOfRange(incoming->Keep(place, kChunkBytes - 1, "aa")));
  EXPECT_TRUE(absl::IsOutOfRange(incoming->Keep(place, kChunkBytes + 1, "")));
  EXPECT_TRUE(absl::IsOutOfRange(incoming->Keep({2, 2}, 0, "a")));
  incoming.reset();
  file_system_.RestartProcess();
  Open();
  absl::StatusOr<std::unique_ptr<IncomingSnapshot>> resumed = store_->Resume(SnapshotIdOf(encoded));
  ASSERT_TRUE(resumed.ok()) << resumed.status();
  EXPECT_EQ((*resumed)->Kept({2, 1}), "");
  const std::string kept = (*resumed)->Kept(place);
  ASSERT_EQ(kept.size(), kChunkBytes);
  EXPECT_TRUE(kept == Text('\0', 5000) + Text('a', 1000) + Text('\0', kChunkBytes - 6000));
  PutMissing(**resumed, kContent);
  EXPECT_EQ((*resumed)->Kept(place), "");
  // It is there: what comes late changes nothing.
  EXPECT_TRUE((*resumed)->Keep(place, 0, "late").ok());
  ASSERT_TRUE(store_->Publish(**resumed).ok());
  ExpectLast(30, kContent);
  EXPECT_TRUE(absl::IsNotFound(store_->Resume(SnapshotIdOf(encoded)).status()));
}

// What is the same in the last snapshot, or in another one on its way, does not come again.
TEST_F(SnapshotStoreTest, ChunksThatAreHereAreNotAskedFor) {
  const std::string a = Text('a', kChunkBytes), b = Text('b', kChunkBytes);
  const std::string c = Text('c', kChunkBytes), d = Text('d', kChunkBytes);
  ASSERT_TRUE(Save(10, TestContent({{"cairn", "1"}, {"state", a + b}})).ok());
  const TestContent::Files second = {{"cairn", "2"}, {"state", a + b + c + d}};
  std::unique_ptr<IncomingSnapshot> incoming = Receive(ManifestOf(Head(20), second));
  EXPECT_EQ(incoming->missing_bytes(), 1 + 2 * kChunkBytes);
  EXPECT_TRUE(incoming->Put({1, 2}, c).ok());
  incoming.reset();
  // The leader is another one, which has another snapshot.
  const TestContent::Files third = {{"cairn", "3"}, {"state", b + c}, {"more", d}};
  incoming = Receive(ManifestOf(Head(25), third));
  EXPECT_EQ(incoming->missing_bytes(), 1 + kChunkBytes);
  for (const std::string& name : Names()) EXPECT_FALSE(absl::StrContains(name, "020-")) << name;
  PutMissing(*incoming, third);
  ASSERT_TRUE(store_->Publish(*incoming).ok());
  ExpectLast(25, third);
}

// Or it would take the place of the later one, up to which the log may be gone.
TEST_F(SnapshotStoreTest, WhatCameInIsNotPublishedOverALaterOneOfThisNode) {
  std::unique_ptr<IncomingSnapshot> incoming = Receive(ManifestOf(Head(27), kContent));
  ASSERT_NE(incoming, nullptr);
  PutMissing(*incoming, kContent);
  const TestContent::Files own = {{"cairn", "own"}};
  ASSERT_TRUE(Save(30, TestContent(own)).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(store_->Publish(*incoming).status()));
  ExpectLast(30, own);
  incoming.reset();
  Open();
  ExpectLast(30, own);
  EXPECT_EQ(Names().size(), 2u) << "what came too late is gone";
}

TEST_F(SnapshotStoreTest, ADiscardedTransferGivesItsSpaceBack) {
  std::unique_ptr<IncomingSnapshot> incoming = Receive(ManifestOf(Head(30), kContent));
  PutMissing(*incoming, kContent, 1);
  store_->Discard(*incoming);
  incoming.reset();
  EXPECT_TRUE(Names().empty());
}

// What the disk made of a chunk after it was verified is noticed before it is published.
TEST_F(SnapshotStoreTest, WhatRottedBeforeItWasPublishedComesAgain) {
  std::unique_ptr<IncomingSnapshot> incoming = Receive(ManifestOf(Head(30), kContent));
  PutMissing(*incoming, kContent);
  file_system_.FlipBits(SnapshotDataPath(incoming->stem(), 2), kChunkBytes + 17, 4);
  EXPECT_TRUE(absl::IsDataLoss(store_->Publish(*incoming).status()));
  EXPECT_EQ(store_->last(), nullptr);
  EXPECT_EQ(incoming->NextMissing({}), (ChunkPlace{2, 1}));
  PutMissing(*incoming, kContent);
  ASSERT_TRUE(store_->Publish(*incoming).ok());
  ExpectLast(30, kContent);
}

// Fault catalogue D9: never loaded, reported, and kept until a later one is here.
TEST_F(SnapshotStoreTest, ADamagedManifestIsKeptAndNotUsed) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  const std::string stem = store_->last()->stem();
  file_system_.FlipBits(stem + ".manifest", 50, 1);
  Open();
  EXPECT_EQ(store_->last(), nullptr);
  std::vector<std::string> notes = store_->TakeNotes();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_TRUE(absl::StrContains(notes[0], stem)) << notes[0];
  EXPECT_TRUE(absl::StrContains(notes[0], "damaged")) << notes[0];
  Open();
  EXPECT_EQ(Names().size(), 1 + kContent.size()) << "it is still there";
  ASSERT_TRUE(Save(20, TestContent(kContent)).ok());
  EXPECT_EQ(store_->TakeNotes().size(), 1u);
  Open();
  ExpectLast(20, kContent);
  EXPECT_EQ(Names().size(), 1 + kContent.size());
}

TEST_F(SnapshotStoreTest, DamagedContentIsFoundWhereItIsRead) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  std::shared_ptr<const StoredSnapshot> last = store_->last();
  file_system_.FlipBits(last->PathOf(2), kChunkBytes + 3, 1);
  EXPECT_TRUE(last->ReadChunk(2, 0).ok());
  EXPECT_TRUE(absl::IsDataLoss(last->ReadChunk(2, 1).status()));
  const absl::Status found = last->Verify();
  EXPECT_TRUE(absl::IsDataLoss(found));
  EXPECT_TRUE(absl::StrContains(found.message(), last->PathOf(2))) << found;
  ASSERT_TRUE(store_->MarkDamaged(*last, found.message()).ok());
  EXPECT_EQ(store_->last(), nullptr);
  EXPECT_EQ(store_->TakeNotes().size(), 1u);
  Open();
  EXPECT_EQ(store_->last(), nullptr);
  EXPECT_EQ(Names().size(), 1 + kContent.size());
}

TEST_F(SnapshotStoreTest, WhatIsGoodOfADamagedOneDoesNotComeAgain) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  std::shared_ptr<const StoredSnapshot> last = store_->last();
  const std::string encoded = last->encoded();
  file_system_.FlipBits(last->PathOf(2), kChunkBytes + 3, 1);
  ASSERT_TRUE(store_->MarkDamaged(*last, "test").ok());
  std::unique_ptr<IncomingSnapshot> incoming = Receive(encoded);
  ASSERT_NE(incoming, nullptr);
  EXPECT_EQ(incoming->missing_bytes(), last->manifest().files[2].ChunkLength(1));
  PutMissing(*incoming, kContent);
  ASSERT_TRUE(store_->Publish(*incoming).ok());
  ExpectLast(10, kContent);
}

TEST_F(SnapshotStoreTest, NeitherWhereItsManifestIsDamaged) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  const std::string encoded = store_->last()->encoded();
  const std::string stem = store_->last()->stem();
  file_system_.FlipBits(absl::StrCat(stem, ".manifest"), 20, 1);
  file_system_.FlipBits(store_->last()->PathOf(2), kChunkBytes + 3, 1);
  Open();
  ASSERT_EQ(store_->last(), nullptr);
  std::unique_ptr<IncomingSnapshot> incoming = Receive(encoded);
  ASSERT_NE(incoming, nullptr);
  EXPECT_EQ(incoming->missing_bytes(), incoming->LengthOf({2, 1}));
  PutMissing(*incoming, kContent);
  ASSERT_TRUE(store_->Publish(*incoming).ok());
  ExpectLast(10, kContent);
}

TEST_F(SnapshotStoreTest, AMissingOrShortFileIsDamage) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  std::shared_ptr<const StoredSnapshot> last = store_->last();
  ASSERT_TRUE(file_system_.Remove(last->PathOf(1)).ok());
  EXPECT_TRUE(absl::IsDataLoss(last->Verify())) << "an empty file has to be there too";
}

TEST_F(SnapshotStoreTest, WhatItDidNotMakeIsLeftAlone) {
  ASSERT_TRUE(WriteFileAtomically(file_system_, absl::StrCat(kDirectory, "/notes.txt"), "x").ok());
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  Open();
  EXPECT_EQ(store_->TakeNotes().size(), 1u);
  ExpectLast(10, kContent);
  ASSERT_TRUE(file_system_.Exists(absl::StrCat(kDirectory, "/notes.txt")).value());
}

TEST_F(SnapshotStoreTest, TheSnapshotsOfAnotherGroupAreNotTouched) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  const std::vector<std::string> before = Names();
  store_.reset();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      SnapshotStore::Open(&file_system_, kDirectory, cluster_, GroupId{9}).status()));
  EXPECT_EQ(Names(), before);
}

TEST_F(SnapshotStoreTest, AStateMachineMayTakeTheFiles) {
  ASSERT_TRUE(Save(10, TestContent(kContent)).ok());
  std::shared_ptr<const StoredSnapshot> last = store_->last();
  ASSERT_TRUE(file_system_.Rename(last->PathOf(2), "/taken").ok());
  ASSERT_TRUE(store_->Forget(*last).ok());
  last.reset();
  EXPECT_TRUE(Names().empty());
  Open();
  EXPECT_EQ(store_->last(), nullptr);
}

}  // namespace
}  // namespace cairn
