// Loaded before a program (LD_PRELOAD): what its disk does goes wrong when the test says so.
//
// FAILING_CALLS names a file. While that is there, calls on files whose path has "/log/" in it
// fail: if it says "sync once", the next fdatasync or fsync, with EIO, and the file is removed; if
// it says "full", every write, with ENOSPC; if it says "read only", every write and sync, with
// EROFS. If it says "no room", every call that would make a file below "/data/" longer fails, with
// ENOSPC; but files of "/log/" may take what another of them gave up since.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

bool IsBelow(int descriptor, const char* directory) {
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  char path[4096];
  const ssize_t length = readlink(link.c_str(), path, sizeof(path));
  return length > 0 &&
         std::string(path, static_cast<size_t>(length)).find(directory) != std::string::npos;
}

bool IsOfLog(int descriptor) { return IsBelow(descriptor, "/log/"); }

// What the test wants to fail now; empty if nothing.
std::string Order() {
  const char* control = getenv("FAILING_CALLS");
  if (control == nullptr) return "";
  const int file = open(control, O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  char text[32] = "";
  const ssize_t length = read(file, text, sizeof(text) - 1);
  close(file);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : "";
}

off_t SizeOf(int descriptor) {
  struct stat information;
  return fstat(descriptor, &information) == 0 ? information.st_size : 0;
}

std::atomic<off_t> given_up = 0;  // by files of the log, while there was no room

bool LacksRoom(int descriptor, off_t end) {
  if (Order() != "no room" || !IsBelow(descriptor, "/data/")) return false;
  const off_t needed = end - SizeOf(descriptor);
  if (needed <= 0) return false;
  if (!IsOfLog(descriptor)) return true;
  off_t left = given_up;
  while (left >= needed) {
    if (given_up.compare_exchange_weak(left, left - needed)) return false;
  }
  return true;
}

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int SyncOr(const char* name, int descriptor) {
  if (Order() == "read only" && IsOfLog(descriptor)) {
    errno = EROFS;
    return -1;
  }
  if (Order() == "sync once" && IsOfLog(descriptor)) {
    unlink(getenv("FAILING_CALLS"));
    errno = EIO;
    return -1;
  }
  return Next<int(int)>(name)(descriptor);
}

int TruncateOr(const char* name, int descriptor, off_t length) {
  const off_t before = SizeOf(descriptor);
  const int result = Next<int(int, off_t)>(name)(descriptor, length);
  if (result == 0 && length < before && Order() == "no room" && IsOfLog(descriptor)) {
    given_up += before - length;
  }
  return result;
}

ssize_t WriteOr(const char* name, int descriptor, const void* data, size_t length, off_t offset) {
  if (Order() == "read only" && IsOfLog(descriptor)) {
    errno = EROFS;
    return -1;
  }
  const bool full = Order() == "full" && IsOfLog(descriptor);
  if (full || LacksRoom(descriptor, offset + static_cast<off_t>(length))) {
    errno = ENOSPC;
    return -1;
  }
  return Next<ssize_t(int, const void*, size_t, off_t)>(name)(descriptor, data, length, offset);
}

}  // namespace

extern "C" {

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
  if (LacksRoom(descriptor, offset + length)) {
    errno = ENOSPC;
    return -1;
  }
  return Next<int(int, int, off_t, off_t)>("fallocate")(descriptor, mode, offset, length);
}
int posix_fallocate(int descriptor, off_t offset, off_t length) {
  if (LacksRoom(descriptor, offset + length)) return ENOSPC;
  return Next<int(int, off_t, off_t)>("posix_fallocate")(descriptor, offset, length);
}
int ftruncate(int descriptor, off_t length) { return TruncateOr("ftruncate", descriptor, length); }
int ftruncate64(int descriptor, off_t length) {
  return TruncateOr("ftruncate64", descriptor, length);
}
int fdatasync(int descriptor) { return SyncOr("fdatasync", descriptor); }
int fsync(int descriptor) { return SyncOr("fsync", descriptor); }
ssize_t pwrite(int descriptor, const void* data, size_t length, off_t offset) {
  return WriteOr("pwrite", descriptor, data, length, offset);
}
ssize_t pwrite64(int descriptor, const void* data, size_t length, off_t offset) {
  return WriteOr("pwrite64", descriptor, data, length, offset);
}

}  // extern "C"
