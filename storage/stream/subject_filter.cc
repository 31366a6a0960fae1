#include "storage/stream/subject_filter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace cairn {
namespace {

// Takes the first token off `rest`, which is not empty, with the dot behind it.
absl::string_view TakeToken(absl::string_view& rest) {
  size_t dot = rest.find('.');
  absl::string_view token = rest.substr(0, dot);
  rest.remove_prefix(dot == absl::string_view::npos ? rest.size() : dot + 1);
  return token;
}

bool IsForbidden(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte <= ' ' || byte == 0x7f;
}

absl::Status Invalid(absl::string_view what, absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(what, " \"", absl::CHexEscape(text.substr(0, 64)), "\": ", why));
}

// Rules that subjects and filters share.
absl::Status CheckTokens(absl::string_view what, absl::string_view text) {
  if (text.empty()) return Invalid(what, text, "it is empty");
  if (text.size() > kMaxSubjectBytes) {
    return Invalid(what, text, absl::StrCat("it is longer than ", kMaxSubjectBytes, " bytes"));
  }
  if (std::any_of(text.begin(), text.end(), IsForbidden)) {
    return Invalid(what, text, "it has white space or control characters");
  }
  if (text.front() == '.' || text.back() == '.' || text.find("..") != absl::string_view::npos) {
    return Invalid(what, text, "it has an empty token");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckSubject(absl::string_view subject) {
  if (absl::Status status = CheckTokens("subject", subject); !status.ok()) return status;
  for (absl::string_view rest = subject; !rest.empty();) {
    absl::string_view token = TakeToken(rest);
    if (token == "*" || token == ">") {
      return Invalid("subject", subject, "wildcards are for filters");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<SubjectFilter> SubjectFilter::Parse(absl::string_view text) {
  if (absl::Status status = CheckTokens("filter", text); !status.ok()) return status;
  for (absl::string_view rest = text; !rest.empty();) {
    if (TakeToken(rest) == ">" && !rest.empty()) {
      return Invalid("filter", text, "`>` can only be the last token");
    }
  }
  return SubjectFilter(std::string(text));
}

bool SubjectFilter::Matches(absl::string_view subject) const {
  absl::string_view filter = text_;
  while (!filter.empty() && !subject.empty()) {
    absl::string_view wanted = TakeToken(filter);
    if (wanted == ">") return true;
    absl::string_view token = TakeToken(subject);
    if (wanted != "*" && wanted != token) return false;
  }
  return filter.empty() && subject.empty();
}

absl::StatusOr<SubjectFilters> SubjectFilters::Parse(const std::vector<std::string>& texts) {
  SubjectFilters filters;
  for (const std::string& text : texts) {
    absl::StatusOr<SubjectFilter> filter = SubjectFilter::Parse(text);
    if (!filter.ok()) return filter.status();
    filters.filters_.push_back(*std::move(filter));
  }
  return filters;
}

bool SubjectFilters::Matches(absl::string_view subject) const {
  return filters_.empty() ||
         std::any_of(filters_.begin(), filters_.end(),
                     [subject](const SubjectFilter& filter) { return filter.Matches(subject); });
}

}  // namespace cairn
