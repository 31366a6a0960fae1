// SendWindow: append messages sent to one peer and not answered yet.

#ifndef RAFT_CORE_SEND_WINDOW_H_
#define RAFT_CORE_SEND_WINDOW_H_

#include <cstddef>
#include <deque>

#include "base/types.h"

namespace cairn {

struct SendLimits {
  size_t messages = 0;
  size_t bytes = 0;
};

// Acknowledgements are cumulative: one for an entry releases every message that ends at it or
// before. Entries grow from message to message.
class SendWindow {
 public:
  void Add(Index last, size_t bytes);
  void ReleaseUpTo(Index match);

  bool empty() const { return messages_.empty(); }
  size_t messages() const { return messages_.size(); }
  size_t bytes() const { return bytes_; }

  // What may be sent at once; 0 if that much does not fit. A window is filled and released in
  // pieces: in one piece it would be empty while its last bytes are answered, and what each small
  // acknowledgement makes room for would go out as a small message.
  static constexpr size_t kPieces = 4;
  size_t FreeBytes(const SendLimits& limits) const;

 private:
  struct Sent {
    Index last = 0;
    size_t bytes = 0;
  };
  std::deque<Sent> messages_;
  size_t bytes_ = 0;
};

}  // namespace cairn

#endif  // RAFT_CORE_SEND_WINDOW_H_
