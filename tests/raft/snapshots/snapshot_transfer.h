// A sender and a receiver of snapshots, and a link between them in virtual time.

#ifndef TESTS_RAFT_SNAPSHOTS_SNAPSHOT_TRANSFER_H_
#define TESTS_RAFT_SNAPSHOTS_SNAPSHOT_TRANSFER_H_

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/time.h"
#include "gtest/gtest.h"
#include "raft/snapshots/snapshot_receiver.h"
#include "raft/snapshots/snapshot_sender.h"
#include "storage/simulated_file_system.h"
#include "storage/snapshot_store.h"
#include "tests/storage/snapshot_content.h"

namespace cairn {

class ServedContent final : public ServedSnapshot {
 public:
  ServedContent(SnapshotManifest head, TestContent::Files files)
      : position_(head.position), content_(files), encoded_(ManifestOf(std::move(head), files)) {}
  LogPosition position() const override { return position_; }
  const std::string& encoded() const override { return encoded_; }
  absl::StatusOr<std::string> Read(size_t file, uint64_t offset, size_t bytes) const override {
    const auto& files = content_.content();
    if (file >= files.size() || offset + bytes > files[file].second.size()) {
      return absl::OutOfRangeError("no such bytes");
    }
    std::string read = files[file].second.substr(offset, bytes);
    if (lying) read[0] = static_cast<char>(read[0] ^ 1);
    return read;
  }

  bool lying = false;

 private:
  const LogPosition position_;
  const TestContent content_;
  const std::string encoded_;
};

// Heartbeats bring an offer every 100 ms.
class SnapshotTransfer {
 public:
  static constexpr NodeId kLeader{1};

  SnapshotTransfer() { RestartReceiver(); }

  static SnapshotManifest Head(Index index) {
    SnapshotManifest head;
    head.group = GroupId{1};
    head.position = {index, 2};
    return head;
  }
  std::shared_ptr<ServedContent> Serve(Index index, TestContent::Files files) {
    auto served = std::make_shared<ServedContent>(Head(index), std::move(files));
    sender->Serve(served, now);
    return served;
  }
  // A new process: what is on the link is lost.
  void RestartReceiver() {
    // What had not begun to be sent does not count as moved.
    for (const auto& [arrival, piece] : link_) {
      if (arrival - delay - Takes(piece.bytes.size()) > now) {
        bytes_sent -= piece.bytes.size();
      }
    }
    link_.clear();
    free_ = now;
    receiver.reset();
    store.reset();
    store = SnapshotStore::Open(&file_system, "/snapshots", ClusterId(), GroupId{1}).value();
    receiver = std::make_unique<SnapshotReceiver>(store.get());
  }
  // Until it is received, or for `most`. True if it is.
  bool Run(Duration most) {
    const Instant end = now + most;
    while (now < end) {
      if (now >= next_offer_) {
        next_offer_ = now + Milliseconds(100);
        if (std::optional<SnapshotOffer> offer = sender->Offer(5, base, now)) {
          offer->failures_wanted = true;
          receiver->TakeOffer(from, *offer, now);
        }
      }
      Answer();
      const Instant next = link_.empty() ? next_offer_ : std::min(next_offer_, link_.front().first);
      now = std::max(now, std::min(next, end));
      if (!link_.empty() && link_.front().first <= now) {
        SnapshotPiece piece = std::move(link_.front().second);
        link_.pop_front();
        if (lose == nullptr || !lose()) receiver->TakePiece(from, std::move(piece), now);
      }
      if ((received = receiver->TakeReceived())) return true;
    }
    return false;
  }

  SimulatedFileSystem file_system;
  std::unique_ptr<SnapshotStore> store;
  std::unique_ptr<SnapshotReceiver> receiver;
  std::unique_ptr<SnapshotSender> sender = std::make_unique<SnapshotSender>();
  std::optional<SnapshotReceiver::Received> received;
  Instant now = Instant{} + Seconds(1000);
  NodeId from = kLeader;
  Index base = 0;
  double bytes_per_second = 16.0 * (1 << 20);
  Duration delay = Milliseconds(1);
  uint64_t bytes_sent = 0;
  int manifest_pieces_sent = 0;
  std::function<bool()> lose;
  std::function<Duration()> busy;  // so long the sender is from now on

 private:
  Duration Takes(size_t bytes) const {
    return Nanoseconds(static_cast<int64_t>(static_cast<double>(bytes) / bytes_per_second * 1e9));
  }
  void Answer() {
    for (auto& [to, request] : receiver->TakeRequests()) {
      if (to != from) continue;  // of a leader that is gone
      SnapshotPiece piece = sender->Answer(request, now);
      ready_ = std::max(ready_, now + (busy == nullptr ? Duration() : busy()));
      piece.held = ready_ - now;
      const Instant begin = std::max(ready_, free_);
      free_ = begin + Takes(piece.bytes.size());
      bytes_sent += piece.bytes.size();
      if (piece.file == kManifestPart) ++manifest_pieces_sent;
      link_.emplace_back(free_ + delay, std::move(piece));
    }
  }

  std::deque<std::pair<Instant, SnapshotPiece>> link_;
  Instant free_;
  Instant ready_;  // the sender has come to all requests
  Instant next_offer_;
};

}  // namespace cairn

#endif  // TESTS_RAFT_SNAPSHOTS_SNAPSHOT_TRANSFER_H_
