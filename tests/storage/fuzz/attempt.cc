#include "tests/storage/fuzz/attempt.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

constexpr unsigned kSecondsOfAttempt = 30;
constexpr char kCorpus[] = "tests/storage/fuzz/testdata/corpus.txt";

// Read by a signal handler, so neither allocated nor locked.
char last_words[1 << 13];

void SayLastWords(int signal) {
  constexpr char kBefore[] = "\nwhile trying ";
  [[maybe_unused]] ssize_t ignored = write(STDERR_FILENO, kBefore, sizeof(kBefore) - 1);
  ignored = write(STDERR_FILENO, last_words, strnlen(last_words, sizeof(last_words)));
  ignored = write(STDERR_FILENO, "\n", 1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

uint64_t NumberFrom(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  uint64_t number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

constexpr bool kSanitized =
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    true;
#else
    false;
#endif

// For the life of this object.
class MemoryLimit {
 public:
  explicit MemoryLimit(uint64_t more) {
    CAIRN_CHECK_EQ(getrlimit(RLIMIT_AS, &before_), 0);
    uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    if (kSanitized || pages == 0) return;
    rlimit now = before_;
    now.rlim_cur = pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE)) + more;
    CAIRN_CHECK_EQ(setrlimit(RLIMIT_AS, &now), 0);
  }
  ~MemoryLimit() { setrlimit(RLIMIT_AS, &before_); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  rlimit before_ = {};
};

}  // namespace

void Trying(const std::string& what) {
  const size_t length = what.copy(last_words, sizeof(last_words) - 1);
  last_words[length] = '\0';
}

void ForEachSeed(const std::string& name, uint64_t count, uint64_t memory_bytes,
                 const std::function<void(uint64_t seed)>& attempt) {
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGALRM, SIGTERM}) {
    std::signal(signal, SayLastWords);
  }
  std::set_new_handler(std::abort);
  const MemoryLimit limit(memory_bytes);
  auto run = [&](uint64_t seed) {
    Trying(absl::StrCat(name, " seed ", seed));
    alarm(kSecondsOfAttempt);
    attempt(seed);
    alarm(0);
    if (!testing::Test::HasFailure()) return true;
    std::fprintf(stderr, "%s: repeat it with CAIRN_FUZZ_FIRST=%llu CAIRN_FUZZ_COUNT=1\n  %s\n",
                 name.c_str(), static_cast<unsigned long long>(seed), last_words);
    return false;
  };
  std::ifstream corpus(kCorpus);
  ASSERT_TRUE(corpus) << kCorpus;
  for (std::string line; std::getline(corpus, line);) {
    std::istringstream words(line);
    std::string test;
    uint64_t seed = 0;
    if (!(words >> test >> seed) || test != name) continue;
    if (!run(seed)) return;
  }
  const uint64_t first = NumberFrom("CAIRN_FUZZ_FIRST", 1);
  const uint64_t number = NumberFrom("CAIRN_FUZZ_COUNT", count);
  std::fprintf(stderr, "%s: seeds from %llu on, %llu of them\n", name.c_str(),
               static_cast<unsigned long long>(first), static_cast<unsigned long long>(number));
  for (uint64_t seed = first; seed < first + number; ++seed) {
    if (!run(seed)) return;
  }
}

}  // namespace cairn
