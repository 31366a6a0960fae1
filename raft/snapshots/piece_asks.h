// PieceAsks: the pieces of a snapshot that were asked for and have not come.

#ifndef RAFT_SNAPSHOTS_PIECE_ASKS_H_
#define RAFT_SNAPSHOTS_PIECE_ASKS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/time.h"

namespace cairn {

// Requests are answered in their order. So what was asked for 2 s ago is lost if something came
// that was asked for later; or when nothing comes at all, for long compared with what the link
// takes for a piece. What is late is not asked for again: it would come twice, and fill the link.
class PieceAsks {
 public:
  // What was asked for and has not come after so long may be lost, at the least.
  static constexpr Duration kPatience = Milliseconds(500);
  // And at the most, where nothing comes at all.
  static constexpr Duration kLongestPatience = Seconds(2);

  struct Ask {
    uint32_t file = 0;
    uint64_t offset = 0;
    size_t bytes = 0;
    Instant when;
  };

  explicit PieceAsks(Instant now = Instant()) : last_(now) {}

  void Add(Ask ask);
  // Bytes that are under way.
  size_t bytes() const { return bytes_; }
  // Something came that begins here. The ask it answers is over, and given; none if nobody asked.
  std::optional<Ask> Heard(uint32_t file, uint64_t offset, Instant now);
  // Nothing came for long. What is asked for then is asked for ever more rarely.
  bool Silent(Instant now) const { return now - last_ >= patience_; }
  // Those that are lost are over; gives them.
  std::vector<Ask> TakeLost(Instant now);
  // All are: who was asked is asked no more.
  std::vector<Ask> TakeAll();

 private:
  struct Numbered {
    Ask ask;
    uint64_t number = 0;
  };
  bool IsLost(const Numbered& each, bool silent, Instant now) const;

  std::deque<Numbered> asks_;  // in their order
  size_t bytes_ = 0;
  uint64_t last_number_ = 0;
  uint64_t answered_ = 0;  // the last one to which something came
  Instant last_;           // something came
  Duration patience_ = kPatience;
  bool asked_in_silence_ = false;
};

}  // namespace cairn

#endif  // RAFT_SNAPSHOTS_PIECE_ASKS_H_
