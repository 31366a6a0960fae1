#include "storage/stream/subject_filter.h"

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/random.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

// The rules once more, token list against token list, by recursion.
bool NaiveMatches(const std::vector<std::string>& filter, const std::vector<std::string>& subject,
                  size_t f = 0, size_t s = 0) {
  if (f == filter.size()) return s == subject.size();
  if (filter[f] == ">") return s < subject.size();
  return s < subject.size() && (filter[f] == "*" || filter[f] == subject[s]) &&
         NaiveMatches(filter, subject, f + 1, s + 1);
}

SubjectFilter MustParse(const std::string& text) {
  absl::StatusOr<SubjectFilter> filter = SubjectFilter::Parse(text);
  EXPECT_TRUE(filter.ok()) << filter.status();
  return *std::move(filter);
}

TEST(SubjectFilterTest, MatchesTokenByToken) {
  EXPECT_TRUE(MustParse("orders.eu").Matches("orders.eu"));
  EXPECT_FALSE(MustParse("orders.eu").Matches("orders.eu.paid"));
  EXPECT_FALSE(MustParse("orders.eu").Matches("orders"));
  EXPECT_TRUE(MustParse("orders.*").Matches("orders.eu"));
  EXPECT_FALSE(MustParse("orders.*").Matches("orders"));
  EXPECT_FALSE(MustParse("orders.*").Matches("orders.eu.paid"));
  EXPECT_TRUE(MustParse("*.*.paid").Matches("orders.eu.paid"));
  EXPECT_TRUE(MustParse("orders.>").Matches("orders.eu.paid"));
  EXPECT_FALSE(MustParse("orders.>").Matches("orders"));
  EXPECT_TRUE(MustParse(">").Matches("a"));
  EXPECT_TRUE(MustParse("a*").Matches("a*"));
  EXPECT_FALSE(MustParse("a*").Matches("ab"));
  EXPECT_FALSE(MustParse("order").Matches("orders"));
}

TEST(SubjectFilterTest, AgreesWithANaiveMatcher) {
  const std::vector<std::string> tokens = {"a", "b", "ab", "*", ">", "a>"};
  const uint64_t seed = 20261121;
  Random random(seed);
  int matched = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::vector<std::string> filter, subject;
    for (uint64_t n = 1 + random.Below(4); n > 0; --n) {
      filter.push_back(tokens[random.Below(tokens.size())]);
    }
    for (uint64_t n = 1 + random.Below(4); n > 0; --n) subject.push_back(tokens[random.Below(3)]);
    absl::StatusOr<SubjectFilter> parsed = SubjectFilter::Parse(absl::StrJoin(filter, "."));
    bool inner_rest = false;
    for (size_t i = 0; i + 1 < filter.size(); ++i) inner_rest |= filter[i] == ">";
    ASSERT_EQ(parsed.ok(), !inner_rest) << absl::StrJoin(filter, ".");
    if (!parsed.ok()) continue;
    bool matches = parsed->Matches(absl::StrJoin(subject, "."));
    matched += matches ? 1 : 0;
    ASSERT_EQ(matches, NaiveMatches(filter, subject))
        << absl::StrJoin(filter, ".") << " on " << absl::StrJoin(subject, ".") << " seed " << seed;
  }
  EXPECT_GT(matched, 10'000);
}

TEST(SubjectFilterTest, RefusesWhatIsNoSubject) {
  for (const char* bad :
       {"", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r\nb", "*", "a.*", "a.>", "a.\x7f"}) {
    EXPECT_EQ(CheckSubject(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(CheckSubject(absl::string_view("a\0b", 3)).ok());
  EXPECT_FALSE(CheckSubject(std::string(kMaxSubjectBytes + 1, 'a')).ok());
  EXPECT_TRUE(CheckSubject(std::string(kMaxSubjectBytes, 'a')).ok());
  EXPECT_TRUE(CheckSubject("a*.b>.c").ok());
  EXPECT_TRUE(CheckSubject("stra\xc3\x9f"
                           "e.1")
                  .ok());
}

TEST(SubjectFilterTest, EscapesWhatItRefuses) {
  EXPECT_EQ(CheckSubject("a\nb").message().find('\n'), absl::string_view::npos);
}

TEST(SubjectFiltersTest, AnyOfThemOrEverything) {
  EXPECT_TRUE(SubjectFilters().Matches("a.b"));
  absl::StatusOr<SubjectFilters> filters = SubjectFilters::Parse({"a.*", "c"});
  ASSERT_TRUE(filters.ok());
  EXPECT_TRUE(filters->Matches("a.b"));
  EXPECT_TRUE(filters->Matches("c"));
  EXPECT_FALSE(filters->Matches("a"));
  EXPECT_FALSE(SubjectFilters::Parse({"a", "b..c"}).ok());
}

}  // namespace
}  // namespace cairn
