// RefusedCalls: a disk in memory that refuses calls as LogStoreFixture::Refuse says.

#ifndef TESTS_STORAGE_REFUSED_CALLS_H_
#define TESTS_STORAGE_REFUSED_CALLS_H_

#include <cerrno>

#include "storage/simulated_file_system.h"
#include "tests/storage/log_store_contract.h"

namespace cairn {

inline void RefuseCalls(SimulatedFileSystem& file_system, LogStoreFixture::Refusal refusal) {
  using Operation = FileAccess::Operation;
  switch (refusal) {
    case LogStoreFixture::Refusal::kNone:
      return file_system.set_fault_hook(nullptr);
    case LogStoreFixture::Refusal::kNoHandles:
      return file_system.set_fault_hook([](const FileAccess& access) {
        const bool opens =
            access.operation == Operation::kOpen || access.operation == Operation::kLock;
        return FileFault{.error = opens ? EMFILE : 0};
      });
    case LogStoreFixture::Refusal::kReadOnly:
      return file_system.set_fault_hook([](const FileAccess& access) {
        const bool reads =
            access.operation == Operation::kOpen || access.operation == Operation::kRead ||
            access.operation == Operation::kReadDirect || access.operation == Operation::kList;
        return FileFault{.error = reads ? 0 : EROFS};
      });
  }
}

}  // namespace cairn

#endif  // TESTS_STORAGE_REFUSED_CALLS_H_
