// Uncommitted: how many bytes of proposals a leader has accepted and not committed yet.

#ifndef RAFT_CORE_UNCOMMITTED_H_
#define RAFT_CORE_UNCOMMITTED_H_

#include <cstddef>
#include <deque>

#include "base/types.h"

namespace cairn {

// Remembers one number a batch of proposals; a batch counts until its last entry is committed.
class Uncommitted {
 public:
  void Add(Index last, size_t bytes) {
    batches_.push_back({last, bytes});
    bytes_ += bytes;
  }
  void Commit(Index commit) {
    while (!batches_.empty() && batches_.front().last <= commit) {
      bytes_ -= batches_.front().bytes;
      batches_.pop_front();
    }
  }
  // Whether `bytes` more fit below `limit`. A batch beyond the limit fits only alone, so that the
  // limit never refuses it for ever.
  bool Admits(size_t bytes, size_t limit) const {
    return bytes_ == 0 || (bytes <= limit && bytes_ <= limit - bytes);
  }

 private:
  struct Batch {
    Index last = 0;
    size_t bytes = 0;
  };
  std::deque<Batch> batches_;
  size_t bytes_ = 0;
};

}  // namespace cairn

#endif  // RAFT_CORE_UNCOMMITTED_H_
