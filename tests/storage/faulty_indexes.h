// FaultyIndexes: each entry that recovery calls faulty. Of small logs.

#ifndef TESTS_STORAGE_FAULTY_INDEXES_H_
#define TESTS_STORAGE_FAULTY_INDEXES_H_

#include <set>

#include "base/types.h"
#include "storage/log_store.h"

namespace cairn {

inline std::set<Index> FaultyIndexes(const RecoveredLog& log) {
  std::set<Index> indexes;
  for (const FaultyEntries& range : log.faulty) {
    for (Index index = range.first.index; index <= range.last; ++index) indexes.insert(index);
  }
  return indexes;
}

}  // namespace cairn

#endif  // TESTS_STORAGE_FAULTY_INDEXES_H_
