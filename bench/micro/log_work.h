// What benchmarks of log stores share.

#ifndef BENCH_MICRO_LOG_WORK_H_
#define BENCH_MICRO_LOG_WORK_H_

#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/types.h"
#include "storage/record.h"

namespace cairn {

// Makes one log's runs, made before the clock starts.
class Entries {
 public:
  explicit Entries(GroupId group, size_t payload_bytes = 256)
      : group_(group), payload_bytes_(payload_bytes) {}
  // Goes on behind what is there.
  Entries(GroupId group, size_t payload_bytes, LogPosition last, EntryHash hash)
      : group_(group), payload_bytes_(payload_bytes), last_(last), hash_(hash) {}

  std::vector<RecordRun> Runs(size_t count, size_t entries) {
    std::vector<RecordRun> runs;
    for (size_t i = 0; i < count; ++i) {
      RecordRunBuilder builder(group_, last_, hash_);
      for (size_t entry = 0; entry < entries; ++entry) {
        std::string payload = std::to_string(last_.index + entry);
        payload.resize(payload_bytes_, 'x');
        builder.Add(PreparedEntry::Make(EntryType::kCommand, std::move(payload)), Term{1},
                    WallTime{1});
      }
      runs.push_back(std::move(builder).Build());
      last_ = runs.back().last();
      hash_ = runs.back().last_hash();
    }
    return runs;
  }

 private:
  const GroupId group_;
  const size_t payload_bytes_;
  LogPosition last_;
  EntryHash hash_;
};

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// A directory for this run, removed with all in it at the end.
class WorkDirectory {
 public:
  explicit WorkDirectory(const std::string& parent) {
    std::string name = parent + "/bench-XXXXXX";
    CAIRN_CHECK(mkdtemp(name.data()) != nullptr) << parent;
    path_ = name;
    struct statfs information;
    CAIRN_CHECK(statfs(path_.c_str(), &information) == 0) << path_;
    CAIRN_CHECK(information.f_type != TMPFS_MAGIC)
        << path_ << " is in memory, where a sync costs nothing: set CAIRN_BENCH_DIRECTORY";
  }
  ~WorkDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace cairn

#endif  // BENCH_MICRO_LOG_WORK_H_
