#include "service/wire/refusal.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "raft/sender_check.h"

namespace cairn {
namespace {

std::optional<Envelope> MessageOf(const grpc::Status& status, const Envelope& greeting) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (!details.ParseFromString(status.error_details()) || details.details_size() == 0 ||
      !details.details(0).UnpackTo(&info) || info.reason() != kMemberRemoved) {
    return std::nullopt;
  }
  return RemovalOf(greeting, [&](absl::string_view name) {
    const auto value = info.metadata().find(std::string(name));
    return value == info.metadata().end() ? std::string() : value->second;
  });
}

}  // namespace

Refusal RefusalOf(const grpc::Status& status, const Envelope& greeting) {
  switch (status.error_code()) {
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::PERMISSION_DENIED:
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::UNIMPLEMENTED:
      break;
    default:
      return {};
  }
  return {status.error_message().empty() ? absl::StrCat("code ", status.error_code())
                                         : status.error_message(),
          MessageOf(status, greeting)};
}

}  // namespace cairn
