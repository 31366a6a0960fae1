#include "tests/storage/block/damaged_log.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/block/block_file.h"

namespace cairn {

DamagedLog::DamagedLog(SimulatedFileSystem& file_system) : file_system_(file_system) {
  LogDriver driver(file_system);
  CAIRN_CHECK(driver.status().ok()) << driver.status();
  auto sync = [&] {
    CAIRN_CHECK(driver.Sync().ok());
    ++batches_;
  };
  driver.Append(kGroupB, 1, {"one", "two", "three"});
  sync();
  for (int i = 0; i < 5; ++i) {
    driver.Append(kGroupA, 1, {absl::StrCat("entry ", batches_, std::string(700, 'p'))});
    sync();
  }
  driver.Truncate(kGroupA, 4, 2, {"another entry 4"});
  sync();
  while (driver.log().figures().blocks < 3) {
    driver.Append(kGroupA, 2, {absl::StrCat("entry ", batches_, std::string(700, 'q'))});
    sync();
  }
  driver.Append(kGroupA, 2, {"the last entry"});
  sync();
  model_ = driver.synced();
  file_system.RestartProcess();
}

std::string DamagedLog::PathOf(uint64_t block) {
  return JoinPath(kTestDirectory, BlockFileName(block));
}

DamagedLog::Place DamagedLog::Find(Index index) const {
  const RecordRun* entry = model_.at(kGroupA).At(index);
  CAIRN_CHECK(entry != nullptr);
  for (uint64_t block = 1; block <= 3; ++block) {
    absl::StatusOr<std::string> bytes = ReadWholeFile(file_system_, PathOf(block));
    CAIRN_CHECK(bytes.ok()) << bytes.status();
    const size_t at = bytes->find(std::string(entry->bytes().view()));
    if (at != std::string::npos) return {PathOf(block), at};
  }
  CAIRN_CHECK(false) << "entry " << index << " is nowhere";
  return {};
}

void DamagedLog::FlipEntry(Index index) const {
  const Place place = Find(index);
  file_system_.FlipBits(place.path, place.offset + kRecordHeaderBytes + 2, 0x10);
}

}  // namespace cairn
