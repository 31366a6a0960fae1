// Loaded before a program (LD_PRELOAD): what its disk does goes wrong when the test says so.
//
// FAILING_CALLS names a file. While that is there, calls on files whose path has "/log/" in it
// fail: if it says "sync once", the next fdatasync or fsync, with EIO, and the file is removed; if
// it says "full", every write, with ENOSPC. If it says "no room", every call that would make a file
// below "/data/" longer fails, with ENOSPC.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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

bool LacksRoom(int descriptor, off_t end) {
  struct stat information;
  return Order() == "no room" && IsBelow(descriptor, "/data/") &&
         fstat(descriptor, &information) == 0 && information.st_size < end;
}

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int SyncOr(const char* name, int descriptor) {
  if (Order() == "sync once" && IsOfLog(descriptor)) {
    unlink(getenv("FAILING_CALLS"));
    errno = EIO;
    return -1;
  }
  return Next<int(int)>(name)(descriptor);
}

ssize_t WriteOr(const char* name, int descriptor, const void* data, size_t length, off_t offset) {
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
int fdatasync(int descriptor) { return SyncOr("fdatasync", descriptor); }
int fsync(int descriptor) { return SyncOr("fsync", descriptor); }
ssize_t pwrite(int descriptor, const void* data, size_t length, off_t offset) {
  return WriteOr("pwrite", descriptor, data, length, offset);
}
ssize_t pwrite64(int descriptor, const void* data, size_t length, off_t offset) {
  return WriteOr("pwrite64", descriptor, data, length, offset);
}

}  // extern "C"
