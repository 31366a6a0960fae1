#include <cstdio>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/storage/block/crash_enumerator.h"
#include "tests/storage/block/log_driver.h"
#include "tests/storage/block/test_keys.h"

namespace cairn {
namespace {

std::string Text(size_t i, size_t length = 120) {
  std::string text = "entry " + std::to_string(i) + " ";
  text.resize(length, static_cast<char>('a' + i % 26));
  return text;
}

void Must(LogDriver& driver) { ASSERT_TRUE(driver.Sync().ok()); }

void SetUpGroups(LogDriver& driver) {
  driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(2)});
  driver.Append(kGroupA, 1, {Text(1), Text(2), Text(3)});
  driver.Append(kGroupB, 1, {Text(4)});
  driver.AppendConfiguration(kGroupB, 1, "members 1 2 3");
}

uint64_t total_states = 0;

void Report(const char* name, const CrashEnumerator& enumerator) {
  const CrashEnumerator::Counts& counts = enumerator.counts();
  total_states += counts.states + counts.inside_recovery;
  std::printf(
      "%s: %llu boundaries, %llu states (%llu as synced, %llu as issued, %llu torn), "
      "%llu inside recovery; %llu so far\n",
      name, static_cast<unsigned long long>(counts.boundaries),
      static_cast<unsigned long long>(counts.states), static_cast<unsigned long long>(counts.cut),
      static_cast<unsigned long long>(counts.kept), static_cast<unsigned long long>(counts.torn),
      static_cast<unsigned long long>(counts.inside_recovery),
      static_cast<unsigned long long>(total_states));
}

TEST(CrashEnumerationTest, FirstStart) {
  CrashEnumerator enumerator(1);
  enumerator.Run(nullptr, [](LogDriver& driver) {
    SetUpGroups(driver);
    Must(driver);
  });
  Report("first start", enumerator);
}

TEST(CrashEnumerationTest, FirstStartWithTheSmallestBlocks) {
  BlockLogOptions options = TestOptions();
  options.geometry = {.block_bytes = 8 << 10, .unit_bytes = 512};
  CrashEnumerator enumerator(10, options);
  enumerator.Run(nullptr, [](LogDriver& driver) {
    driver.Append(kGroupA, 1, {Text(1)});
    Must(driver);
  });
  Report("first start with the smallest blocks", enumerator);
}

TEST(CrashEnumerationTest, Append) {
  CrashEnumerator enumerator(2);
  enumerator.Run(SetUpGroups, [](LogDriver& driver) {
    driver.Append(kGroupA, 1, {Text(10)});
    Must(driver);
    driver.Append(kGroupA, 2, {Text(11, 700), Text(12, 900)});
    Must(driver);
    driver.Append(kGroupA, 2, {std::string(1500, '\0')});
    Must(driver);
  });
  EXPECT_GT(enumerator.counts().torn, 0u);
  EXPECT_GT(enumerator.counts().kept, 0u);
  Report("append", enumerator);
}

TEST(CrashEnumerationTest, BatchOfSeveralGroups) {
  CrashEnumerator enumerator(3);
  enumerator.Run(SetUpGroups, [](LogDriver& driver) {
    for (size_t i = 0; i < 2; ++i) {
      driver.Append(kGroupA, 2, {Text(20, 300), Text(21, 40)});
      driver.Vote(kGroupB, {.term = 2 + i, .vote = static_cast<NodeId>(1)});
      driver.AppendConfiguration(kGroupB, 2, "members 1 2 3 4");
      driver.Append(kGroupC, 1, {Text(22, 1200 + 2000 * i), Text(23), Text(24)});
      Must(driver);
    }
  });
  EXPECT_GT(enumerator.counts().torn, 0u);
  Report("batch of several groups", enumerator);
}

TEST(CrashEnumerationTest, Vote) {
  CrashEnumerator enumerator(4);
  enumerator.Run(SetUpGroups, [](LogDriver& driver) {
    for (uint64_t term = 2; term < 8; ++term) {
      driver.Vote(kGroupA, {.term = term, .vote = static_cast<NodeId>(term % 3)});
      Must(driver);
    }
  });
  EXPECT_EQ(enumerator.counts().torn, 0u);
  Report("vote", enumerator);
}

TEST(CrashEnumerationTest, TruncateAndOverwrite) {
  CrashEnumerator enumerator(5);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        driver.Append(kGroupA, 1, {Text(30), Text(31), Text(32)});
      },
      [](LogDriver& driver) {
        driver.Truncate(kGroupA, 4, 3, {Text(33, 600), Text(34)});
        Must(driver);
        driver.Append(kGroupA, 3, {Text(35)});
        driver.Truncate(kGroupA, 2, 4, {});  // takes back what was not even written
        Must(driver);
        driver.Append(kGroupA, 5, {Text(36, 400)});
        driver.Truncate(kGroupB, 2, 6, {Text(37), Text(38)});
        Must(driver);
      });
  EXPECT_GT(enumerator.counts().torn, 0u);
  Report("truncate and overwrite", enumerator);
}

TEST(CrashEnumerationTest, GoOnInAnotherBlock) {
  CrashEnumerator enumerator(6);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        for (size_t i = 0; i < 4; ++i) {
          driver.Append(kGroupA, 2, {Text(i, 3300)});
          Must(driver);
        }
      },
      [](LogDriver& driver) {
        for (size_t i = 0; i < 3; ++i) {
          driver.Append(kGroupA, 2, {Text(i, 3300)});
          driver.Append(kGroupB, 2, {Text(i)});
          Must(driver);
        }
      });
  EXPECT_GT(enumerator.counts().torn, 0u);
  Report("go on in another block", enumerator);
}

TEST(CrashEnumerationTest, DropAndRecycle) {
  CrashEnumerator enumerator(7);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        for (size_t i = 0; i < 25; ++i) {
          driver.Append(kGroupA, 2, {Text(i, 1100)});
          Must(driver);
        }
      },
      [](LogDriver& driver) {
        driver.Drop(kGroupA, 26);
        Must(driver);
        for (size_t i = 0; i < 6; ++i) {
          driver.Append(kGroupA, 3, {Text(i, 3300)});
          Must(driver);
        }
      });
  Report("drop and recycle", enumerator);
}

// As a replica does it: what a snapshot covers is dropped in the batch of the next entries.
TEST(CrashEnumerationTest, Compact) {
  CrashEnumerator enumerator(11);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        for (size_t i = 0; i < 8; ++i) driver.Append(kGroupA, 2, {Text(i, 700)});
      },
      [](LogDriver& driver) {
        driver.Drop(kGroupA, 5);
        Must(driver);
        driver.Append(kGroupA, 2, {Text(20, 900)});
        driver.Drop(kGroupA, 9);
        driver.Drop(kGroupB, 1);
        Must(driver);
        driver.Drop(kGroupA, 12);
        driver.Append(kGroupB, 2, {Text(21)});
        Must(driver);
      });
  EXPECT_GT(enumerator.counts().torn, 0u);
  Report("compact", enumerator);
}

// A snapshot takes the place of the log: behind its end, in the middle of it, twice before a sync,
// and with the log going on in other blocks.
TEST(CrashEnumerationTest, Reset) {
  CrashEnumerator enumerator(12);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        for (size_t i = 0; i < 6; ++i) driver.Append(kGroupA, 2, {Text(i, 1100)});
      },
      [](LogDriver& driver) {
        driver.Vote(kGroupA, {.term = 4, .vote = static_cast<NodeId>(1)});
        driver.Reset(kGroupA, {.index = 7, .term = 4});
        Must(driver);
        driver.Append(kGroupA, 4, {Text(10, 500), Text(11)});
        driver.Reset(kGroupB, {.index = 40, .term = 3});
        driver.Append(kGroupB, 3, {Text(12, 1200)});
        Must(driver);
        driver.Reset(kGroupA, {.index = 8, .term = 5});
        driver.Append(kGroupA, 5, {Text(13)});
        driver.Reset(kGroupA, {.index = 100, .term = 5});
        driver.Reset(kGroupC, {.index = 9, .term = 2});
        Must(driver);
        for (size_t i = 0; i < 4; ++i) {
          driver.Append(kGroupA, 6, {Text(i, 3300)});
          Must(driver);
        }
      });
  EXPECT_GT(enumerator.counts().torn, 0u);
  Report("reset", enumerator);
}

// A group is forgotten, with what was not written yet, begins anew in the same sync, and goes again
// while the log goes on in other blocks.
TEST(CrashEnumerationTest, DropGroup) {
  CrashEnumerator enumerator(13);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        for (size_t i = 0; i < 6; ++i) driver.Append(kGroupA, 2, {Text(i, 1100)});
      },
      [](LogDriver& driver) {
        driver.DropGroup(kGroupA);
        Must(driver);
        driver.Vote(kGroupA, {.term = 1, .vote = static_cast<NodeId>(3)});
        driver.Append(kGroupA, 1, {Text(10, 500), Text(11)});
        Must(driver);
        driver.Append(kGroupA, 1, {Text(12, 900)});
        driver.DropGroup(kGroupA);
        driver.Append(kGroupA, 4, {Text(13, 700), Text(14)});
        driver.Append(kGroupB, 3, {Text(15, 1200)});
        Must(driver);
        for (size_t i = 0; i < 4; ++i) {
          driver.Append(kGroupB, 6, {Text(i, 3300)});
          if (i == 1) driver.DropGroup(kGroupA);
          Must(driver);
        }
        driver.Append(kGroupA, 2, {Text(16)});
        Must(driver);
      });
  EXPECT_GT(enumerator.counts().torn, 0u);
  Report("drop a group", enumerator);
}

TEST(CrashEnumerationTest, CopyForward) {
  BlockLogOptions options = TestOptions();
  options.copy_distance = 2;
  CrashEnumerator enumerator(8, options);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        for (size_t i = 0; i < 11; ++i) {
          driver.Append(kGroupA, 2, {Text(i, 3300)});
          Must(driver);
        }
        driver.Drop(kGroupA, 12);
      },
      [](LogDriver& driver) {
        for (size_t i = 0; i < 6; ++i) {
          driver.Append(kGroupA, 3, {Text(i, 3300)});
          Must(driver);
        }
      });
  Report("copy forward", enumerator);
}

TEST(CrashEnumerationTest, UnitsOfPages) {
  BlockLogOptions options = TestOptions();
  options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
  CrashEnumerator enumerator(9, options);
  enumerator.Run(SetUpGroups, [](LogDriver& driver) {
    driver.Append(kGroupA, 1, {Text(1), Text(2, 3000)});
    driver.Append(kGroupB, 1, {Text(3, 700)});
    Must(driver);
    driver.Truncate(kGroupA, 3, 2, {Text(4, 5000)});
    Must(driver);
  });
  EXPECT_GT(enumerator.counts().torn, 0u);
  Report("units of pages", enumerator);
}

// The same with encrypted blocks: appends, a block that is left for the next one, and what a
// process writes that opens a log which it goes on with.
TEST(CrashEnumerationTest, Encrypted) {
  BlockLogOptions options = TestOptions();
  options.keys = TestRing(Cipher::kAes256Gcm);
  CrashEnumerator enumerator(20, options);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        driver.Append(kGroupA, 2, {Text(1, 3300)});
      },
      [](LogDriver& driver) {
        for (size_t i = 0; i < 4; ++i) {
          driver.Append(kGroupA, 2, {Text(i, 3300)});
          driver.Append(kGroupB, 2, {Text(i)});
          Must(driver);
        }
        driver.Truncate(kGroupA, 5, 3, {Text(33, 600), Text(34)});
        Must(driver);
      });
  EXPECT_GT(enumerator.counts().torn, 0u);
  EXPECT_GT(enumerator.counts().kept, 0u);
  Report("encrypted", enumerator);
}

TEST(CrashEnumerationTest, EncryptedFirstStart) {
  BlockLogOptions options = TestOptions();
  options.geometry = {.block_bytes = 8 << 10, .unit_bytes = 512};
  options.keys = TestRing(Cipher::kChaCha20Poly1305);
  CrashEnumerator enumerator(21, options);
  enumerator.Run(nullptr, [](LogDriver& driver) {
    driver.Append(kGroupA, 1, {Text(1)});
    Must(driver);
  });
  Report("encrypted, first start", enumerator);
}

TEST(CrashEnumerationTest, EncryptedUnitsOfPages) {
  BlockLogOptions options = TestOptions();
  options.geometry = {.block_bytes = 64 << 10, .unit_bytes = 4096};
  options.keys = TestRing(Cipher::kAes256Gcm);
  CrashEnumerator enumerator(22, options);
  enumerator.Run(SetUpGroups, [](LogDriver& driver) {
    driver.Append(kGroupA, 1, {Text(1), Text(2, 3000)});
    driver.Append(kGroupB, 1, {Text(3, 700)});
    Must(driver);
    driver.Truncate(kGroupA, 3, 2, {Text(4, 5000)});
    Must(driver);
  });
  EXPECT_GT(enumerator.counts().torn, 0u);
  Report("encrypted units of pages", enumerator);
}

// The keys change while the log is used: it goes on in another block, and the ones before are
// wrapped anew.
TEST(CrashEnumerationTest, NewMasterKey) {
  const std::shared_ptr<KeyRing> keys = TestRing(Cipher::kAes256Gcm);
  BlockLogOptions options = TestOptions();
  options.keys = keys;
  CrashEnumerator enumerator(23, options);
  enumerator.Run(
      [](LogDriver& driver) {
        SetUpGroups(driver);
        for (size_t i = 0; i < 5; ++i) {
          driver.Append(kGroupA, 2, {Text(i, 3300)});
          Must(driver);
        }
      },
      [&keys](LogDriver& driver) {
        driver.Append(kGroupA, 2, {Text(6)});
        Must(driver);
        ASSERT_TRUE(keys->Replace({TestKey(2), TestKey(1)}).ok());
        driver.Append(kGroupA, 2, {Text(7)});
        Must(driver);
        driver.Append(kGroupA, 2, {Text(8)});
        Must(driver);
      });
  Report("new master key", enumerator);
}

// What stands in plain blocks is written anew into encrypted ones, some of it before each batch.
TEST(CrashEnumerationTest, FromPlainToEncrypted) {
  for (const bool back : {false, true}) {
    BlockLogOptions options = TestOptions();
    options.keys = TestRing(back ? Cipher::kNone : Cipher::kChaCha20Poly1305);
    CrashEnumerator enumerator(24, options);
    options.keys = back ? TestRing(Cipher::kAes256Gcm) : nullptr;
    enumerator.set_setup_options(options);
    enumerator.Run(
        [](LogDriver& driver) {
          SetUpGroups(driver);
          driver.Append(kGroupA, 2, {Text(4, 900), Text(5, 700)});
        },
        [](LogDriver& driver) {
          for (size_t i = 0; i < 2; ++i) {
            driver.Append(kGroupB, 2, {Text(10 + i)});
            Must(driver);
          }
        });
    Report(back ? "from encrypted to plain" : "from plain to encrypted", enumerator);
  }
}

// Counts what the tests before it did.
TEST(CrashEnumerationTest, EnoughWasTried) {
  std::printf("%llu states in total\n", static_cast<unsigned long long>(total_states));
  EXPECT_GE(total_states, 20'000u);
}

}  // namespace
}  // namespace cairn
