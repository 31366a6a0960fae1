#include "storage/rocksdb/rocksdb_status.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

// RocksDB has no code for it.
constexpr char kDenied[] = "[PERMISSION_DENIED]";

}  // namespace

absl::Status FromRocksDb(const rocksdb::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrCat("RocksDB: ", status.ToString());
  if (status.IsCorruption()) return absl::DataLossError(message);
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message);
  if (status.IsNotFound() || status.IsPathNotFound()) return absl::NotFoundError(message);
  if (status.IsInvalidArgument() || status.IsNotSupported()) {
    return absl::FailedPreconditionError(message);
  }
  if (status.IsIOError() && absl::StrContains(message, kDenied)) {
    return absl::PermissionDeniedError(message);
  }
  return absl::InternalError(message);
}

rocksdb::IOStatus ToRocksDb(const absl::Status& status) {
  if (status.ok()) return rocksdb::IOStatus::OK();
  const std::string message(status.message());
  rocksdb::IOStatus io;
  switch (status.code()) {
    case absl::StatusCode::kNotFound:
      io = rocksdb::IOStatus::PathNotFound(message);
      break;
    case absl::StatusCode::kResourceExhausted:
      io = rocksdb::IOStatus::NoSpace(message);
      break;
    case absl::StatusCode::kDataLoss:
      io = rocksdb::IOStatus::Corruption(message);
      break;
    case absl::StatusCode::kPermissionDenied:
      io = rocksdb::IOStatus::IOError(kDenied, message);
      break;
    default:
      io = rocksdb::IOStatus::IOError(message);
  }
  io.SetRetryable(false);
  return io;
}

}  // namespace cairn
