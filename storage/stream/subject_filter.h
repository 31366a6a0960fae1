// SubjectFilter: which subjects a stream takes or a reader wants.

#ifndef STORAGE_STREAM_SUBJECT_FILTER_H_
#define STORAGE_STREAM_SUBJECT_FILTER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cairn {

inline constexpr size_t kMaxSubjectBytes = 512;

// A subject is tokens with dots between them: at least one, none empty, without white space and
// control characters, at most kMaxSubjectBytes in all. In a subject the tokens `*` and `>` are not
// allowed; inside a longer token these characters mean nothing.
//
// INVALID_ARGUMENT that says what is wrong. The text of the subject is escaped in it.
absl::Status CheckSubject(absl::string_view subject);

// A filter is spelled as a subject; a token `*` stands for any one token, and `>`, which may only
// be the last one, for one or more. (The rules of NATS' subjects.)
class SubjectFilter {
 public:
  // INVALID_ARGUMENT as CheckSubject.
  static absl::StatusOr<SubjectFilter> Parse(absl::string_view text);

  // `subject` is a valid one.
  bool Matches(absl::string_view subject) const;
  const std::string& text() const { return text_; }

 private:
  explicit SubjectFilter(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

// Any of some filters; without any, everything.
class SubjectFilters {
 public:
  SubjectFilters() = default;
  static absl::StatusOr<SubjectFilters> Parse(const std::vector<std::string>& texts);

  bool Matches(absl::string_view subject) const;
  bool empty() const { return filters_.empty(); }

 private:
  std::vector<SubjectFilter> filters_;
};

}  // namespace cairn

#endif  // STORAGE_STREAM_SUBJECT_FILTER_H_
