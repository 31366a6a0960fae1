#include "raft/core/durability.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(DurabilityTest, WhatWasRecoveredIsDurable) {
  Durability durability(7);
  EXPECT_EQ(durability.durable(), 7u);
  EXPECT_TRUE(durability.HardStateDurable());
  EXPECT_EQ(durability.synced(), durability.written());
}

TEST(DurabilityTest, RisesToTheLastEntryOfTheBatch) {
  Durability durability;
  durability.OnAppend(1, 3);
  durability.OnAppend(2, 4);
  durability.OnAppend(2, 6);
  durability.OnAppend(3, 9);
  EXPECT_EQ(durability.durable(), 0u);
  durability.OnSynced(2);
  EXPECT_EQ(durability.durable(), 6u);
  durability.OnSynced(1);
  EXPECT_EQ(durability.durable(), 6u);
  durability.OnSynced(3);
  EXPECT_EQ(durability.durable(), 9u);
}

TEST(DurabilityTest, TruncationLowersItAndWhatOlderBatchesProve) {
  Durability durability(5);
  durability.OnAppend(1, 9);
  durability.OnTruncate(2, 4);
  durability.OnAppend(2, 7);
  EXPECT_EQ(durability.durable(), 3u);
  durability.OnSynced(1);
  EXPECT_EQ(durability.durable(), 3u);
  durability.OnSynced(2);
  EXPECT_EQ(durability.durable(), 7u);
}

TEST(DurabilityTest, AnOldCompletionStillProvesWhatStandsBeforeTheTruncation) {
  Durability durability;
  durability.OnAppend(1, 9);
  durability.OnTruncate(2, 8);
  durability.OnAppend(2, 12);
  durability.OnSynced(1);
  EXPECT_EQ(durability.durable(), 7u);
}

// The scenario of the header: written, overwritten, written again, then the first completion.
TEST(DurabilityTest, ACompletionDoesNotCountForAnEntryWrittenAgain) {
  Durability durability(4);
  durability.OnAppend(1, 5);
  durability.OnTruncate(2, 5);
  durability.OnAppend(2, 5);
  durability.OnTruncate(3, 5);
  durability.OnAppend(3, 5);
  durability.OnSynced(1);
  EXPECT_EQ(durability.durable(), 4u);
  durability.OnSynced(2);
  EXPECT_EQ(durability.durable(), 4u);
  durability.OnSynced(3);
  EXPECT_EQ(durability.durable(), 5u);
}

// A snapshot takes the log's place: until the batch is synced nothing behind the old base is sure.
TEST(DurabilityTest, AResetProvesItsBaseOnceItIsSynced) {
  Durability durability(9);
  durability.OnAppend(1, 12);
  durability.OnReset(2, 4, 100);
  durability.OnAppend(2, 102);
  EXPECT_EQ(durability.durable(), 4u);
  durability.OnSynced(1);
  EXPECT_EQ(durability.durable(), 4u) << "what batch 1 wrote is gone";
  durability.OnSynced(2);
  EXPECT_EQ(durability.durable(), 102u);
}

// Also where the new base is before the old end: an old completion says nothing of the new entries.
TEST(DurabilityTest, AnOldCompletionDoesNotCountForALogThatWasReset) {
  Durability durability(3);
  durability.OnAppend(1, 50);
  durability.OnReset(2, 3, 10);
  durability.OnAppend(3, 40);
  durability.OnSynced(1);
  EXPECT_EQ(durability.durable(), 3u);
  durability.OnSynced(2);
  EXPECT_EQ(durability.durable(), 10u);
  durability.OnSynced(3);
  EXPECT_EQ(durability.durable(), 40u);
}

TEST(DurabilityTest, HardStateIsDurableWithItsBatch) {
  Durability durability;
  durability.OnHardState(1);
  EXPECT_FALSE(durability.HardStateDurable());
  durability.OnAppend(2, 1);
  durability.OnSynced(1);
  EXPECT_TRUE(durability.HardStateDurable());
  durability.OnHardState(3);
  durability.OnSynced(2);
  EXPECT_FALSE(durability.HardStateDurable());
  durability.OnSynced(3);
  EXPECT_TRUE(durability.HardStateDurable());
  EXPECT_EQ(durability.synced(), 3u);
  EXPECT_EQ(durability.written(), 3u);
}

TEST(DurabilityDeathTest, BatchesAreCompletedAfterTheyWereWritten) {
  Durability durability;
  durability.OnAppend(2, 1);
  EXPECT_DEATH(durability.OnSynced(3), "check failed");
  EXPECT_DEATH(durability.OnAppend(1, 2), "check failed");
  EXPECT_DEATH(durability.OnAppend(3, 1), "check failed");
  durability.OnSynced(2);
  EXPECT_DEATH(durability.OnHardState(2), "check failed");
}

// All interleavings of writes and completions within small bounds. The disk does nothing before the
// completion says so: whatever it did earlier is one of the power cuts that are looked at anyway.

constexpr size_t kMaxEntries = 3;
constexpr Term kMaxTerms = 3;

struct Bounds {
  Ticket writes = 0;
  size_t entries = 0;  // at most kMaxEntries
  Term terms = 0;      // at most kMaxTerms
};

// The terms of the entries from 1 on.
struct Log {
  std::array<Term, kMaxEntries> terms = {};
  size_t size = 0;

  void Add(Term term) { terms[size++] = term; }
  Term Last() const { return size == 0 ? 0 : terms[size - 1]; }
  bool StartsLike(const Log& other, Index count) const {
    if (size < count || other.size < count) return false;
    for (size_t i = 0; i < count; ++i) {
      if (terms[i] != other.terms[i]) return false;
    }
    return true;
  }
};

// Entries behind the first `kept`.
struct Write {
  size_t kept = 0;
  Log appended;
};

Log After(const Log& before, const Write& write, size_t entries) {
  Log after = before;
  after.size = std::min(after.size, write.kept);
  for (size_t i = 0; i < entries; ++i) after.Add(write.appended.terms[i]);
  return after;
}

// Acknowledging by position, the wrong rule: a completion counts if the batch's last entry still
// stands in the log under its term.
struct ByPosition {
  Index durable = 0;

  void OnTruncate(Index first_removed) { durable = std::min(durable, first_removed - 1); }
  void OnSynced(const Log& disk, const Log& log) {
    bool stands =
        disk.size >= 1 && disk.size <= log.size && log.terms[disk.size - 1] == disk.Last();
    if (stands) durable = std::max<Index>(durable, disk.size);
  }
};

// The least a ticket rule can do: completions older than the last truncation are ignored.
struct IgnoringOlder {
  Index durable = 0;
  Ticket truncation = 0;

  void OnTruncate(Ticket ticket, Index first_removed) {
    durable = std::min(durable, first_removed - 1);
    truncation = ticket;
  }
  void OnSynced(Ticket ticket, const Log& disk) {
    if (ticket >= truncation) durable = std::max<Index>(durable, disk.size);
  }
};

struct Model {
  Log log;                      // what the core has
  Log disk;                     // what surely survives a power cut
  std::vector<Write> unsynced;  // the tickets completed + 1 .. written
  Ticket written = 0;
  Ticket completed = 0;
  // Log matching: whatever the history, an entry has one predecessor. Its term plus one, by index
  // and term; 0 while unknown.
  std::array<std::array<Term, kMaxTerms + 1>, kMaxEntries> before = {};
  Durability by_ticket;
  ByPosition by_position;
  IgnoringOlder ignoring_older;
};

// True if the first `durable` entries survive each power cut: one may leave any number of the
// unsynced writes, the last of them in part.
bool Survives(const Model& model, Index durable) {
  Log disk = model.disk;
  if (!disk.StartsLike(model.log, durable)) return false;
  for (const Write& write : model.unsynced) {
    for (size_t entries = 0; entries <= write.appended.size; ++entries) {
      if (!After(disk, write, entries).StartsLike(model.log, durable)) return false;
    }
    disk = After(disk, write, write.appended.size);
  }
  return true;
}

// Models with equal keys behave alike from here on.
std::string KeyOf(const Model& model) {
  std::string key;
  auto add = [&key](uint64_t number) { key += static_cast<char>(number); };
  auto add_log = [&add](const Log& log) {
    add(log.size);
    for (size_t i = 0; i < log.size; ++i) add(log.terms[i]);
  };
  add(model.written);
  add(model.unsynced.size());
  add_log(model.log);
  add_log(model.disk);
  for (const Write& write : model.unsynced) {
    add(write.kept);
    add_log(write.appended);
  }
  for (const auto& terms : model.before) {
    for (Term term : terms) add(term);
  }
  // All that can be seen of a Durability: what each completion would make of it.
  add(model.by_ticket.durable());
  Durability then = model.by_ticket;
  for (Ticket ticket = model.completed + 1; ticket <= model.written; ++ticket) {
    then.OnSynced(ticket);
    add(then.durable());
  }
  add(model.by_position.durable);
  add(model.ignoring_older.durable);
  add(std::max(model.ignoring_older.truncation, model.completed) - model.completed);
  return key;
}

// False if log matching forbids the write.
bool Do(const Write& write, Model& model) {
  bool truncates = write.kept < model.log.size;
  model.log = After(model.log, write, write.appended.size);
  for (size_t i = 0; i < model.log.size; ++i) {
    Term& before = model.before[i][model.log.terms[i]];
    Term previous = (i == 0 ? 0 : model.log.terms[i - 1]) + 1;
    if (before != 0 && before != previous) return false;
    before = previous;
  }
  Ticket ticket = ++model.written;
  model.unsynced.push_back(write);
  if (truncates) {
    model.by_ticket.OnTruncate(ticket, write.kept + 1);
    model.by_position.OnTruncate(write.kept + 1);
    model.ignoring_older.OnTruncate(ticket, write.kept + 1);
  }
  model.by_ticket.OnAppend(ticket, model.log.size);
  return true;
}

// The disk carries out the writes up to `ticket`, and the core hears of it.
void Complete(Ticket ticket, Model& model) {
  while (model.completed < ticket) {
    ++model.completed;
    const Write& write = model.unsynced.front();
    model.disk = After(model.disk, write, write.appended.size);
    model.unsynced.erase(model.unsynced.begin());
  }
  model.by_ticket.OnSynced(ticket);
  model.by_position.OnSynced(model.disk, model.log);
  model.ignoring_older.OnSynced(ticket, model.disk);
}

// Adds `write` and all that begin like it.
void AddLongerWrites(const Write& write, Term term, const Bounds& bounds,
                     std::vector<Write>& writes) {
  if (write.appended.size > 0) writes.push_back(write);
  if (write.kept + write.appended.size == bounds.entries) return;
  for (; term <= bounds.terms; ++term) {
    Write longer = write;
    longer.appended.Add(term);
    AddLongerWrites(longer, term, bounds, writes);
  }
}

// The writes that may come next: terms do not fall, and what is truncated begins with a conflict.
std::vector<Write> NextWrites(const Log& log, const Bounds& bounds) {
  std::vector<Write> writes;
  for (size_t kept = 0; kept <= log.size; ++kept) {
    AddLongerWrites({kept, {}}, kept == 0 ? 1 : log.terms[kept - 1], bounds, writes);
  }
  std::erase_if(writes, [&log](const Write& write) {
    return write.kept < log.size && log.terms[write.kept] == write.appended.terms[0];
  });
  return writes;
}

struct Found {
  size_t models = 0;
  size_t broken_by_ticket = 0;
  size_t broken_by_position = 0;
  size_t stuck = 0;
  size_t later_than_ignoring = 0;
};

void Examine(const Model& model, Found& found) {
  Index durable = model.by_ticket.durable();
  ++found.models;
  if (!Survives(model, durable)) ++found.broken_by_ticket;
  if (!Survives(model, model.by_position.durable)) ++found.broken_by_position;
  if (durable < model.ignoring_older.durable) ++found.later_than_ignoring;
  if (model.completed == model.written && durable != model.log.size) ++found.stuck;
}

Found Enumerate(const Bounds& bounds) {
  Found found;
  absl::flat_hash_set<std::string> seen;
  std::vector<Model> open = {Model()};
  auto visit = [&seen, &open](const Model& model) {
    if (seen.insert(KeyOf(model)).second) open.push_back(model);
  };
  while (!open.empty()) {
    Model model = std::move(open.back());
    open.pop_back();
    Examine(model, found);
    if (model.written < bounds.writes) {
      for (const Write& write : NextWrites(model.log, bounds)) {
        Model next = model;
        if (Do(write, next)) visit(next);
      }
    }
    for (Ticket ticket = model.completed + 1; ticket <= model.written; ++ticket) {
      Model next = model;
      Complete(ticket, next);
      visit(next);
    }
  }
  return found;
}

TEST(DurabilityTest, HoldsInEveryInterleaving) {
  for (const Bounds& bounds : {Bounds{4, 3, 2}, Bounds{5, 2, 3}, Bounds{3, 3, 3}}) {
    SCOPED_TRACE(testing::Message() << bounds.writes << " writes, " << bounds.entries
                                    << " entries, " << bounds.terms << " terms");
    Found found = Enumerate(bounds);
    EXPECT_EQ(found.broken_by_ticket, 0u);
    EXPECT_EQ(found.stuck, 0u);
    EXPECT_EQ(found.later_than_ignoring, 0u);
    // The enumeration can tell: the wrong rule fails in it.
    EXPECT_GT(found.broken_by_position, 0u);
  }
}

}  // namespace
}  // namespace cairn
