// Channels: connections to the members of a cluster, and which of them leads.

#ifndef CLIENT_CHANNELS_H_
#define CLIENT_CHANNELS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "base/time.h"
#include "cairn/v1/cluster.pb.h"

namespace grpc {
class Channel;
class ClientContext;
}  // namespace grpc

namespace cairn {

// Threads: any.
class Channels {
 public:
  explicit Channels(std::vector<std::string> endpoints);
  ~Channels();

  // The channel to `endpoint`, made at the first call.
  std::shared_ptr<grpc::Channel> To(const std::string& endpoint);

  // The member to call next: the leader as far as known, else one of the endpoints.
  std::string Preferred() const;
  // A call to `endpoint` failed: the next Preferred is another member.
  void Avoid(const std::string& endpoint);

  // Asks the members who leads, Preferred() first, for at most `patience`. Preferred() is that
  // member afterwards. UNAVAILABLE if nobody answered, or nobody leads.
  absl::StatusOr<std::string> FindLeader(Duration patience);

  absl::StatusOr<v1::GetStatusResponse> GetStatus(const std::string& endpoint, Duration patience);
  absl::StatusOr<v1::UnsafeRecoverResponse> UnsafeRecover(const std::string& endpoint,
                                                          const v1::UnsafeRecoverRequest& request,
                                                          Duration patience);

  const std::vector<std::string>& endpoints() const { return endpoints_; }

 private:
  const std::vector<std::string> endpoints_;
  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels_ CAIRN_GUARDED_BY(mutex_);
  size_t next_endpoint_ CAIRN_GUARDED_BY(mutex_) = 0;
  std::string preferred_ CAIRN_GUARDED_BY(mutex_);  // empty: endpoints_[next_endpoint_]
};

// Makes `context` end `patience` from now.
void SetDeadline(grpc::ClientContext* context, Duration patience);

}  // namespace cairn

#endif  // CLIENT_CHANNELS_H_
