// What a group's status says of health, queues and counters, as cluster.proto has it.

#ifndef SERVICE_MONITORING_LOAD_REPORT_H_
#define SERVICE_MONITORING_LOAD_REPORT_H_

#include "cairn/v1/cluster.pb.h"
#include "raft/group_status.h"

namespace cairn {

void WriteLoad(const GroupStatus& from, v1::GroupStatus* to);
void WriteLoad(const LogWriterStatus& from, v1::LogWriterLoad* to);

}  // namespace cairn

#endif  // SERVICE_MONITORING_LOAD_REPORT_H_
