// ExitLine: how cairnd ends, and the line it ends with. Part of the outside contract.

#ifndef SERVICE_EXIT_LINE_H_
#define SERVICE_EXIT_LINE_H_

#include <string>

#include "absl/status/status.h"
#include "raft/group_status.h"

namespace cairn {

enum ServerExit : int {
  kServerStopped = 0,
  kServerBadFlags = 64,
  kServerInternal = 70,
  kServerDirectoryInUse = 73,
  kServerStorageFailed = 74,
  kServerDataDamaged = 75,
  kServerNoPermission = 77,
  kServerMismatch = 78,
};

struct ExitLine {
  ServerExit code = kServerInternal;
  std::string what;
  std::string where;
  std::string what_to_do;

  // "cairnd: what (where): what to do", control characters escaped.
  std::string ToString() const;
};

// Why ParseConfig failed.
ExitLine ExitOfConfig(const absl::Status& status);
// Why the encryption keys cannot be had.
ExitLine ExitOfKeys(const absl::Status& status);
// Why Server::Start or Open failed.
ExitLine ExitOfStart(const absl::Status& status, const std::string& data_directory);
// Why a node stopped serving (HostDependencies::stopped).
ExitLine ExitOfStop(NodeState state, const absl::Status& status, const std::string& data_directory);
// A check of our own failed (base/check_handler.h); `text` says which, and begins with its place.
ExitLine ExitOfCheck(const std::string& text);

}  // namespace cairn

#endif  // SERVICE_EXIT_LINE_H_
