// MessageRow: a protobuf message as a row, under its own names.

#ifndef SERVICE_CLI_MESSAGE_ROW_H_
#define SERVICE_CLI_MESSAGE_ROW_H_

#include "google/protobuf/message.h"
#include "service/cli/output.h"

namespace cairn {

// Every field, set or not: numbers as numbers, durations as seconds, times as RFC 3339 or empty,
// lists as lists, a list of {reason, count} as one object. What other kinds of fields there are is
// left out.
Row MessageRow(const google::protobuf::Message& message);

}  // namespace cairn

#endif  // SERVICE_CLI_MESSAGE_ROW_H_
