#include "service/exit_line.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/block/block_key.h"

namespace cairn {
namespace {

ExitLine Mismatch(const std::string& what, const std::string& where) {
  bool amnesia = absl::string_view(what).substr(0, 14) == "MEMBER_AMNESIA";
  return {
      kServerMismatch, what, where,
      amnesia
          ? "restore the data directory, or remove this node from the cluster and bring it "
            "back under a new id"
          : "check --data_dir, --node_id, --initial_cluster, --cluster_token, --join, --log_store"};
}

ExitLine Damaged(const std::string& what, const std::string& where) {
  return {kServerDataDamaged, what, where,
          "keep the directory and look at it with cairn log verify; docs/operations.md tells what "
          "the other members may still have"};
}

ExitLine StorageFailed(const std::string& what, const std::string& where) {
  return {kServerStorageFailed, what, where, "check the disk and its free space, then start again"};
}

}  // namespace

std::string ExitLine::ToString() const {
  return absl::StrCat("cairnd: ", absl::Utf8SafeCEscape(what), " (", absl::Utf8SafeCEscape(where),
                      "): ", absl::Utf8SafeCEscape(what_to_do));
}

ExitLine ExitOfConfig(const absl::Status& status) {
  std::string what(status.message());
  if (absl::IsFailedPrecondition(status)) {
    return {kServerMismatch, what, "flags", "listen on a loopback address"};
  }
  return {kServerBadFlags, what, "flags", "see cairnd --help"};
}

ExitLine ExitOfKeys(const absl::Status& status) {
  const bool permission = absl::IsPermissionDenied(status);
  return {permission ? kServerNoPermission : kServerMismatch, std::string(status.message()),
          "encryption keys",
          permission ? "let the user of this process, and nobody else, read the key"
                     : "check --encryption_key_file or --encryption_key_command"};
}

ExitLine ExitOfStart(const absl::Status& status, const std::string& data_directory) {
  std::string what(status.message());
  switch (status.code()) {
    case absl::StatusCode::kAlreadyExists:
      return {kServerDirectoryInUse, what, data_directory,
              "stop the other process, or name another --data_dir"};
    case absl::StatusCode::kPermissionDenied:
      return {kServerNoPermission, what, data_directory,
              "let the user of this process read and write the directory"};
    case absl::StatusCode::kNotFound:
      return {kServerDirectoryInUse, what, data_directory, "name a --data_dir that can be made"};
    case absl::StatusCode::kFailedPrecondition:
      if (IsMissingKey(status)) {
        return {kServerMismatch, what, data_directory,
                "give the key by --encryption_key_file or --encryption_key_command; nothing is "
                "damaged, and nothing was changed"};
      }
      return Mismatch(what, data_directory);
    case absl::StatusCode::kInvalidArgument:
      return {kServerBadFlags, what, "flags", "see cairnd --help"};
    case absl::StatusCode::kDataLoss:
      return Damaged(what, data_directory);
    default:
      return StorageFailed(what, data_directory);
  }
}

ExitLine ExitOfStop(NodeState state, const absl::Status& status,
                    const std::string& data_directory) {
  std::string what(status.message());
  if (state != NodeState::kHalted) {
    if (!absl::StartsWith(what, "safety violation")) return StorageFailed(what, data_directory);
    return {kServerStorageFailed, what, data_directory,
            "keep the directory, for it contradicts its leader's log; take this node out of the "
            "cluster and bring it back under a new id"};
  }
  // What an operator wanted is no failure (fault catalogue M2).
  if (absl::StartsWith(what, "MEMBER_REMOVED")) return {kServerStopped, what, data_directory, ""};
  if (absl::IsFailedPrecondition(status)) return Mismatch(what, data_directory);
  return Damaged(what, data_directory);
}

ExitLine ExitOfCheck(const std::string& text) {
  const size_t place = text.find(": ");
  const bool has_place = place != std::string::npos;
  return {kServerInternal, has_place ? text.substr(place + 2) : text,
          has_place ? text.substr(0, place) : "",
          "keep the log and the data directory, start again, and report it"};
}

}  // namespace cairn
