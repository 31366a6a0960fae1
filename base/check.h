#ifndef BASE_CHECK_H_
#define BASE_CHECK_H_

// Checks of what our own code computed, in every build. A check that fails writes one line
//
//   file:line: check failed: condition (left vs. right) message
//
// to stderr and aborts. What disks, peers and clients send is not checked but validated, and gets
// an error.
//
//   CAIRN_CHECK(entry.index > 0) << "in batch " << batch;
//   CAIRN_CHECK_LE(committed, last_index);
//
// The operands are evaluated once. The message is evaluated only if the check fails.

#include <cstddef>
#include <memory>
#include <ostream>
#include <sstream>
#include <type_traits>
#include <utility>

#include "absl/base/optimization.h"

namespace cairn::internal {

// Collects the message of a failed check; its end is the end of the process.
class CheckFailure {
 public:
  CheckFailure(const char* file, int line, const char* condition);
  [[noreturn]] ~CheckFailure();
  CheckFailure(const CheckFailure&) = delete;
  CheckFailure& operator=(const CheckFailure&) = delete;

  std::ostream& stream() { return stream_; }

 private:
  std::ostringstream stream_;
};

// Makes the two branches of a check's conditional void; `&` binds weaker than `<<`.
struct Voidify {
  void operator&(std::ostream&) const {}
};

template <typename T>
concept Streamable = requires(std::ostream& out, const T& value) {
  out << value;
};

// Writes numbers as numbers (also a uint8_t), an enum as its number, anything else as its
// operator<< does.
template <typename T>
void PrintOperand(std::ostream& out, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    out << (value ? "true" : "false");
  } else if constexpr (std::is_same_v<T, std::nullptr_t>) {
    out << "nullptr";
  } else if constexpr (std::is_integral_v<T>) {
    out << +value;
  } else if constexpr (Streamable<T>) {
    out << value;
  } else if constexpr (std::is_enum_v<T>) {
    out << +static_cast<std::underlying_type_t<T>>(value);
  } else {
    out << "?";
  }
}

// Integers whose comparison by value std::cmp_equal and std::cmp_less know.
template <typename T>
concept Integer = std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char> &&
                  !std::is_same_v<T, wchar_t> && !std::is_same_v<T, char8_t> &&
                  !std::is_same_v<T, char16_t> && !std::is_same_v<T, char32_t>;

// The comparisons of the macros. Integers compare by value, whatever their signs and sizes.
struct Equal {
  template <typename Left, typename Right>
  bool operator()(const Left& left, const Right& right) const {
    if constexpr (Integer<Left> && Integer<Right>) {
      return std::cmp_equal(left, right);
    } else {
      return left == right;
    }
  }
};

struct Less {
  template <typename Left, typename Right>
  bool operator()(const Left& left, const Right& right) const {
    if constexpr (Integer<Left> && Integer<Right>) {
      return std::cmp_less(left, right);
    } else {
      return left < right;
    }
  }
};

// Null if `holds`, else a failure whose message begins with both operands.
template <typename Left, typename Right>
std::unique_ptr<CheckFailure> CheckOperands(bool holds, const Left& left, const Right& right,
                                            const char* file, int line, const char* condition) {
  if (ABSL_PREDICT_TRUE(holds)) return nullptr;
  auto failure = std::make_unique<CheckFailure>(file, line, condition);
  failure->stream() << " (";
  PrintOperand(failure->stream(), left);
  failure->stream() << " vs. ";
  PrintOperand(failure->stream(), right);
  failure->stream() << ")";
  return failure;
}

}  // namespace cairn::internal

#define CAIRN_CHECK(condition)                    \
  ABSL_PREDICT_TRUE(static_cast<bool>(condition)) \
  ? static_cast<void>(0)                          \
  : ::cairn::internal::Voidify() &                \
          ::cairn::internal::CheckFailure(__FILE__, __LINE__, #condition).stream() << " "

#define CAIRN_CHECK_EQ(left, right) CAIRN_INTERNAL_CHECK(left, ==, right, Equal()(l, r))
#define CAIRN_CHECK_NE(left, right) CAIRN_INTERNAL_CHECK(left, !=, right, !Equal()(l, r))
#define CAIRN_CHECK_LT(left, right) CAIRN_INTERNAL_CHECK(left, <, right, Less()(l, r))
#define CAIRN_CHECK_LE(left, right) CAIRN_INTERNAL_CHECK(left, <=, right, !Less()(r, l))
#define CAIRN_CHECK_GT(left, right) CAIRN_INTERNAL_CHECK(left, >, right, Less()(r, l))
#define CAIRN_CHECK_GE(left, right) CAIRN_INTERNAL_CHECK(left, >=, right, !Less()(l, r))

// `while` rather than `if`, so that a check can be the body of an if-else. The failure's end is the
// end of the process, so the body runs at most once.
#define CAIRN_INTERNAL_CHECK(left, operation, right, holds)                                 \
  while (auto cairn_check_failure = [](const auto& l, const auto& r) {                      \
    using namespace ::cairn::internal;                                                      \
    return CheckOperands(holds, l, r, __FILE__, __LINE__, #left " " #operation " " #right); \
  }(left, right))                                                                           \
  cairn_check_failure->stream() << " "

#endif  // BASE_CHECK_H_
