// MetricsPage: what members say of themselves, as Prometheus reads it.

#ifndef SERVICE_MONITORING_METRICS_PAGE_H_
#define SERVICE_MONITORING_METRICS_PAGE_H_

#include <string>
#include <vector>

#include "cairn/v1/cluster.pb.h"

namespace cairn {

inline constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

// docs/operations.md, "Metrics", says what each of them means; tests/docs checks that it names them
// all. Each metric has the label `member`; those of a group have `group`, too.
std::string MetricsPage(const std::vector<v1::GetStatusResponse>& members);

}  // namespace cairn

#endif  // SERVICE_MONITORING_METRICS_PAGE_H_
