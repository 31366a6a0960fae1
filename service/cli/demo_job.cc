#include "service/cli/demo_job.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/mutex.h"
#include "client/retry.h"
#include "service/cli/cluster_view.h"
#include "service/cli/progress.h"

namespace cairn {
namespace {

constexpr char kStream[] = "demo";
constexpr absl::Duration kLeaderPatience = absl::Seconds(20);

// Counts acknowledgements. Threads: any.
class AckCounter {
 public:
  void Add(const absl::StatusOr<Appended>& appended) {
    MutexLock lock(mutex_);
    if (appended.ok()) {
      ++acknowledged_;
    } else if (error_.ok()) {
      error_ = appended.status();
    }
  }

  uint64_t acknowledged() const {
    MutexLock lock(mutex_);
    return acknowledged_;
  }

  absl::Status error() const {
    MutexLock lock(mutex_);
    return error_;
  }

 private:
  mutable Mutex mutex_;
  uint64_t acknowledged_ CAIRN_GUARDED_BY(mutex_) = 0;
  absl::Status error_ CAIRN_GUARDED_BY(mutex_);
};

Row Step(const char* name) { return Row().Add("step", name).Add("ok", true); }

absl::StatusOr<ClusterView::Leader> WaitForLeader(DemoCluster& cluster, Client& client) {
  Retry retry(absl::Now() + kLeaderPatience);
  while (true) {
    ClusterView::Leader leader = ViewCluster(client, cluster.endpoints()).leader();
    if (leader.node != 0) return leader;
    if (!retry.Pause()) return absl::UnavailableError("no leader was elected");
  }
}

// Appends all lines; when half of them are acknowledged and others are under way, the leader dies.
absl::Status AppendLines(DemoCluster& cluster, Client& client,
                         const std::vector<std::string>& lines,
                         const std::function<void(const Row&)>& report, AckCounter* counter) {
  absl::Time start = absl::Now();
  uint64_t half = lines.size() / 2;
  AppenderOptions options;
  options.max_inflight_messages = 1024;
  {
    std::unique_ptr<Appender> appender = client.OpenAppender(kStream, options);
    ProgressLine progress("appended", lines.size());
    for (uint64_t i = 0; i < lines.size(); ++i) {
      v1::NewMessage message;
      message.set_payload(lines[i]);
      appender->Append(std::move(message),
                       [counter](absl::StatusOr<Appended> result) { counter->Add(result); });
      progress.Update(counter->acknowledged());
      // Some of those appended are not acknowledged yet: they meet the change of leaders.
      if (i == half && cluster.nodes() > 1) {
        absl::StatusOr<ClusterView::Leader> leader = WaitForLeader(cluster, client);
        if (!leader.ok()) return leader.status();
        absl::Status killed = cluster.Kill(static_cast<int>(leader->node));
        if (!killed.ok()) return killed;
        report(Step("kill leader")
                   .Add("node", leader->node)
                   .Add("term", leader->term)
                   .Add("acknowledged", counter->acknowledged()));
      }
    }
    absl::Status flushed = appender->Flush();
    if (!flushed.ok()) return flushed;
  }
  report(Step("append")
             .Add("messages", counter->acknowledged())
             .Add("seconds", absl::ToDoubleSeconds(absl::Now() - start)));
  return absl::OkStatus();
}

absl::Status ReadBack(Client& client, const std::vector<std::string>& lines, DemoResult* result) {
  ProgressLine progress("read", lines.size());
  v1::ReadRequest request;
  request.set_stream(kStream);
  uint64_t intact = 0;
  absl::Status status = client.ReadRange(std::move(request), [&](const v1::StoredMessage& message) {
    uint64_t place = result->read_back++;
    if (message.sequence() == place + 1 && place < lines.size() &&
        message.payload() == lines[place]) {
      ++intact;
    }
    progress.Update(result->read_back);
    return true;
  });
  result->lost = lines.size() - intact;
  result->duplicated = result->read_back > lines.size() ? result->read_back - lines.size() : 0;
  return status;
}

}  // namespace

absl::StatusOr<DemoResult> RunDemoJob(DemoCluster& cluster, Client& client,
                                      const std::vector<std::string>& lines,
                                      const std::function<void(const Row&)>& report) {
  absl::StatusOr<ClusterView::Leader> first = WaitForLeader(cluster, client);
  if (!first.ok()) return first.status();
  report(Step("elect").Add("leader", first->node).Add("term", first->term));

  v1::StreamDefinition definition;
  definition.set_name(kStream);
  absl::StatusOr<v1::Stream> stream = client.CreateStream(definition);
  if (!stream.ok()) return stream.status();
  if (stream->state().last_sequence() != 0) {
    return absl::FailedPreconditionError(absl::StrCat("the stream ", kStream, " in ",
                                                      cluster.directory(),
                                                      " has messages already: name another --dir"));
  }

  DemoResult result;
  AckCounter counter;
  absl::Status appended = AppendLines(cluster, client, lines, report, &counter);
  if (!appended.ok()) return appended;
  result.appended = counter.acknowledged();

  absl::StatusOr<ClusterView::Leader> last = WaitForLeader(cluster, client);
  if (!last.ok()) return last.status();
  result.leader_changes = last->term - first->term;
  absl::Status read = ReadBack(client, lines, &result);
  if (!read.ok()) return read;
  report(Row()
             .Add("step", "read back")
             .Add("ok", result.ok())
             .Add("leader", last->node)
             .Add("term", last->term)
             .Add("messages", result.read_back));
  return result;
}

}  // namespace cairn
