#include "service/cli/log_keys.h"

#include <utility>
#include <vector>

namespace cairn {

absl::StatusOr<std::shared_ptr<KeyRing>> LogKeys::Load() {
  if (source.empty()) return std::shared_ptr<KeyRing>();
  absl::StatusOr<std::vector<MasterKey>> given = LoadMasterKeys(source);
  if (!given.ok()) return given.status();
  return std::make_shared<KeyRing>(Cipher::kAes256Gcm, *std::move(given), source.ToString(),
                                   random);
}

void AddKeyOptions(CLI::App& verb, LogKeys& keys) {
  CLI::Option* file = verb.add_option("--encryption_key_file", keys.source.file,
                                      "the keys of an encrypted log, as cairnd has them");
  verb.add_option("--encryption_key_command", keys.source.command,
                  "a command that writes them to its stdout")
      ->excludes(file);
}

}  // namespace cairn
