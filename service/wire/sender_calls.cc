#include "service/wire/sender_calls.h"

#include <vector>

namespace cairn {

uint64_t SenderCalls::Add(NodeId sender, End end) {
  MutexLock lock(mutex_);
  calls_.emplace(++last_, std::make_pair(sender, std::move(end)));
  return last_;
}

void SenderCalls::Remove(uint64_t place) {
  MutexLock lock(mutex_);
  calls_.erase(place);
}

void SenderCalls::EndAll(NodeId sender, const absl::Status& why) {
  std::vector<End> ends;
  {
    MutexLock lock(mutex_);
    for (const auto& [place, call] : calls_) {
      if (call.first == sender) ends.push_back(call.second);
    }
  }
  for (const End& end : ends) end(why);
}

}  // namespace cairn
