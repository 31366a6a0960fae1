// LogJson: what a log store reports when it opens a log, for readers in other languages.

#ifndef TESTS_STORAGE_READER_LOG_JSON_H_
#define TESTS_STORAGE_READER_LOG_JSON_H_

#include <string>

#include "absl/status/status.h"
#include "storage/log_store.h"

namespace cairn {

// One object: boot_id, error (of opening the log, "OK"), groups by id. `disk` is null if there was
// an error. Opens each group.
std::string LogJson(const std::string& boot_id, const absl::Status& status, LogDisk* disk);

}  // namespace cairn

#endif  // TESTS_STORAGE_READER_LOG_JSON_H_
