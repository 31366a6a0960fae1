// RandomLog: the life of several groups, drawn by chance and written to a log of any store.

#ifndef TESTS_STORAGE_OFFLINE_RANDOM_LOG_H_
#define TESTS_STORAGE_OFFLINE_RANDOM_LOG_H_

#include <map>

#include "base/random.h"
#include "base/types.h"
#include "storage/log_store.h"
#include "tests/storage/log_twin.h"

namespace cairn {

using LogTwins = std::map<GroupId, LogTwin>;

// Votes, entries, configurations, truncations, dropped prefixes, resets and dropped groups, in
// `steps` steps on up to four groups of `disk`, which is empty. All of it is synced on return; the
// twins are of the groups that are left.
LogTwins FillByChance(LogDisk& disk, Random& random, int steps);

// Of a group as it was found: `opened` holds what the twin does.
void ExpectHolds(const OpenedLog& opened, const LogTwin& twin);

}  // namespace cairn

#endif  // TESTS_STORAGE_OFFLINE_RANDOM_LOG_H_
