#include "service/cli/message_row.h"

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace cairn {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

bool IsCount(const FieldDescriptor& field) {
  return field.message_type()->name() == "RefusalCount";
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

// {"reason":count,…}
Row Counts(const Message& message, const FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  Row row;
  for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
    const Message& count = reflection->GetRepeatedMessage(message, &field, i);
    const auto* of = count.GetDescriptor();
    row.Add(count.GetReflection()->GetString(count, of->FindFieldByName("reason")),
            uint64_t{count.GetReflection()->GetUInt64(count, of->FindFieldByName("count"))});
  }
  return row;
}

void AddMessage(const Message& message, const FieldDescriptor& field, Row& row) {
  const auto* reflection = message.GetReflection();
  if (field.is_repeated()) {
    if (IsCount(field)) {
      row.AddObject(field.name(), Counts(message, field));
      return;
    }
    std::vector<Row> rows;
    for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
      rows.push_back(MessageRow(reflection->GetRepeatedMessage(message, &field, i)));
    }
    row.Add(field.name(), rows, "");
    return;
  }
  const Message& value = reflection->GetMessage(message, &field);
  if (const auto* duration = dynamic_cast<const google::protobuf::Duration*>(&value)) {
    row.Add(field.name(), static_cast<double>(duration->seconds()) + duration->nanos() * 1e-9);
  } else if (const auto* time = dynamic_cast<const google::protobuf::Timestamp*>(&value)) {
    row.Add(field.name(), reflection->HasField(message, &field) ? TimeText(*time) : "");
  } else {
    row.AddObject(field.name(), MessageRow(value));
  }
}

}  // namespace

Row MessageRow(const Message& message) {
  const auto* reflection = message.GetReflection();
  Row row;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      AddMessage(message, field, row);
    } else if (field.is_repeated()) {
      continue;
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_UINT64) {
      row.Add(field.name(), uint64_t{reflection->GetUInt64(message, &field)});
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
      row.Add(field.name(), reflection->GetBool(message, &field));
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      row.Add(field.name(), reflection->GetString(message, &field));
    }
  }
  return row;
}

}  // namespace cairn
