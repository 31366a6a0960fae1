// KeySource: the file or the command that a program's master keys come from.

#ifndef CAIRN_KEY_SOURCE_H_
#define CAIRN_KEY_SOURCE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/time.h"
#include "storage/crypto/key_ring.h"

namespace cairn {

// One of the two is set, or none: then there are no keys.
struct KeySource {
  std::string file;
  std::string command;  // for /bin/sh; writes the keys to its stdout
  Duration patience = Seconds(30);

  bool empty() const { return file.empty() && command.empty(); }
  // For errors: the file's path, or "the output of COMMAND".
  std::string ToString() const;
};

// What the source gives now, as ParseMasterKeys reads it. Errors name the source and never what it
// gave: PERMISSION_DENIED for a file that this user must not read, or that others than its owner
// and group can read or others than its owner can write; FAILED_PRECONDITION for one that is not
// there, a command that fails or takes longer than `patience`, and for what is no key.
absl::StatusOr<std::vector<MasterKey>> LoadMasterKeys(const KeySource& source);

}  // namespace cairn

#endif  // CAIRN_KEY_SOURCE_H_
