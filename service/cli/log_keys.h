// LogKeys: the keys of an encrypted log, as the offline verbs are given them.

#ifndef SERVICE_CLI_LOG_KEYS_H_
#define SERVICE_CLI_LOG_KEYS_H_

#include <memory>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "cairn/key_source.h"
#include "storage/crypto/key_ring.h"
#include "storage/crypto/random_bytes.h"

namespace cairn {

// Flags and, when the verb runs, the keys. Outlives what uses the ring.
struct LogKeys {
  KeySource source;
  SystemRandomBytes random;

  // Null without keys. Errors are those of LoadMasterKeys.
  absl::StatusOr<std::shared_ptr<KeyRing>> Load();
};

// --encryption_key_file and --encryption_key_command. `keys` outlives the verb.
void AddKeyOptions(CLI::App& verb, LogKeys& keys);

}  // namespace cairn

#endif  // SERVICE_CLI_LOG_KEYS_H_
