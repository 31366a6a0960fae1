#include "client/read_window.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "client/errors.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

class ReadWindowTest : public testing::Test {
 protected:
  static absl::Time At(int64_t second) { return absl::FromUnixSeconds(second); }

  // Adds a read of the stream `name`; what comes of it goes to results_[name].
  void Add(const std::string& name, int64_t deadline = 1000) {
    v1::ReadRequest request;
    request.set_stream(name);
    window_.Add(
        std::move(request),
        [this, name](absl::StatusOr<v1::ReadResponse> result) {
          EXPECT_TRUE(results_.emplace(name, std::move(result)).second)
              << name << " answered twice";
        },
        At(deadline));
  }
  // The names of the reads of the next request, and their numbers for the answers.
  std::string Send(size_t most = 100) {
    v1::ReadStreamRequest request;
    const bool filled = window_.FillRequest(most, &request);
    EXPECT_EQ(filled, request.reads_size() > 0);
    std::string names;
    for (const v1::StreamedRead& read : request.reads()) {
      numbers_[read.request().stream()] = read.id();
      absl::StrAppend(&names, read.request().stream());
    }
    return names;
  }
  void Found(const std::string& name) {
    v1::StreamedAnswer& answer = *response_.add_answers();
    answer.set_id(numbers_.at(name));
    answer.mutable_response()->set_last_sequence(numbers_.at(name));
  }
  void Failed(const std::string& name, absl::StatusCode code, const std::string& reason) {
    v1::StreamedAnswer& answer = *response_.add_answers();
    answer.set_id(numbers_.at(name));
    answer.mutable_failure()->set_code(static_cast<int>(code));
    answer.mutable_failure()->set_reason(reason);
  }
  absl::Status Answer() {
    std::vector<ReadWindow::Completion> completions;
    absl::Status status = window_.TakeAnswers(response_, &completions);
    response_.Clear();
    Run(std::move(completions));
    return status;
  }
  void FailOverdue(int64_t now) {
    std::vector<ReadWindow::Completion> completions;
    window_.FailOverdue(At(now), absl::UnavailableError("nobody leads"), &completions);
    Run(std::move(completions));
  }
  static void Run(std::vector<ReadWindow::Completion> completions) {
    for (auto& completion : completions) completion.done(std::move(completion.result));
  }
  std::string Answered() const {
    std::string names;
    for (const auto& [name, result] : results_) absl::StrAppend(&names, name);
    return names;
  }

  ReadWindow window_{{.max_inflight = 4}};
  std::map<std::string, uint64_t> numbers_;
  std::map<std::string, absl::StatusOr<v1::ReadResponse>> results_;
  v1::ReadStreamResponse response_;
};

TEST_F(ReadWindowTest, EachIsSentOnceACallAndAnsweredInAnyOrder) {
  for (const char* name : {"a", "b", "c"}) Add(name);
  EXPECT_TRUE(window_.HasUnsent());
  EXPECT_EQ(Send(2), "ab");
  EXPECT_EQ(Send(2), "c");
  EXPECT_FALSE(window_.HasUnsent());
  EXPECT_EQ(Send(2), "");
  Found("c");
  Found("a");
  EXPECT_TRUE(Answer().ok());
  EXPECT_EQ(Answered(), "ac");
  EXPECT_EQ(results_.at("c")->last_sequence(), numbers_.at("c"));
  Add("d");
  EXPECT_EQ(Send(), "d");
  EXPECT_TRUE(window_.HasRoom());
  Add("e");
  Add("f");
  EXPECT_FALSE(window_.HasRoom()) << "b, d, e, f";
}

TEST_F(ReadWindowTest, WhatABrokenCallLeftIsAskedAgain) {
  for (const char* name : {"a", "b", "c"}) Add(name);
  EXPECT_EQ(Send(2), "ab");
  Found("a");
  EXPECT_TRUE(Answer().ok());
  window_.Rewind();
  EXPECT_TRUE(window_.HasUnsent());
  EXPECT_EQ(Send(), "bc");
  Found("b");
  Found("b");
  Found("c");
  EXPECT_TRUE(Answer().ok());
  EXPECT_TRUE(window_.empty());
  EXPECT_EQ(Answered(), "abc");
}

// What another member, or the same one later, may answer stays; what will not change is told.
TEST_F(ReadWindowTest, SomeFailuresAreWorthAnotherTry) {
  for (const char* name : {"a", "b", "c", "d"}) Add(name);
  EXPECT_EQ(Send(), "abcd");
  Failed("a", absl::StatusCode::kUnavailable, "NO_LEADER");
  Failed("b", absl::StatusCode::kNotFound, "STREAM_NOT_FOUND");
  Failed("c", absl::StatusCode::kUnavailable, "STOPPING");
  Found("d");
  EXPECT_EQ(ReasonOf(Answer()), "NO_LEADER");
  EXPECT_EQ(Answered(), "bd");
  EXPECT_EQ(ReasonOf(results_.at("b").status()), "STREAM_NOT_FOUND");
  EXPECT_FALSE(OutcomeUnknown(results_.at("b").status()));
  window_.Rewind();
  EXPECT_EQ(Send(), "ac");
}

TEST_F(ReadWindowTest, WhoseTimeIsOverFailsAndIsNotMissed) {
  Add("a", 10);
  Add("b", 10);
  Add("c", 20);
  EXPECT_EQ(window_.first_deadline(), At(10));
  EXPECT_EQ(Send(), "abc");
  FailOverdue(9);
  EXPECT_EQ(Answered(), "");
  FailOverdue(10);
  EXPECT_EQ(Answered(), "ab");
  EXPECT_TRUE(absl::IsUnavailable(results_.at("a").status()));
  EXPECT_EQ(window_.first_deadline(), At(20));
  Found("a");
  Found("c");
  EXPECT_TRUE(Answer().ok());
  EXPECT_EQ(Answered(), "abc");
  EXPECT_EQ(window_.first_deadline(), absl::InfiniteFuture());
}

// Calls that break at any time: each read is answered once, with its own answer.
TEST_F(ReadWindowTest, RandomCalls) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    ReadWindow window({.max_inflight = 1000});
    std::map<uint64_t, uint64_t> answered;  // sequence asked for -> sequence told
    std::map<uint64_t, uint64_t> open;      // number -> sequence, of this call
    uint64_t added = 0;
    while (answered.size() < 100) {
      const uint64_t what = random.Below(10);
      if (what < 3 && added < 100) {
        v1::ReadRequest request;
        request.set_from_sequence(++added);
        window.Add(
            std::move(request),
            [&, own = added](absl::StatusOr<v1::ReadResponse> result) {
              ASSERT_TRUE(result.ok());
              ASSERT_TRUE(answered.emplace(own, result->last_sequence()).second);
            },
            At(1000));
      } else if (what < 6) {
        v1::ReadStreamRequest request;
        window.FillRequest(1 + random.Below(5), &request);
        for (const v1::StreamedRead& read : request.reads()) {
          ASSERT_TRUE(open.emplace(read.id(), read.request().from_sequence()).second);
        }
      } else if (what == 9) {
        window.Rewind();
        open.clear();
      } else if (!open.empty()) {
        const auto at = std::next(open.begin(), static_cast<int64_t>(random.Below(open.size())));
        v1::ReadStreamResponse response;
        v1::StreamedAnswer& answer = *response.add_answers();
        answer.set_id(at->first);
        const bool fails = random.OneIn(4);
        if (fails) {
          answer.mutable_failure()->set_code(static_cast<int>(absl::StatusCode::kUnavailable));
        } else {
          answer.mutable_response()->set_last_sequence(at->second);
        }
        open.erase(at);
        std::vector<ReadWindow::Completion> completions;
        ASSERT_EQ(window.TakeAnswers(response, &completions).ok(), !fails);
        Run(std::move(completions));
        if (!fails) continue;
        window.Rewind();
        open.clear();
      }
    }
    for (const auto& [asked, told] : answered) ASSERT_EQ(asked, told);
    EXPECT_TRUE(window.empty());
  }
}

}  // namespace
}  // namespace cairn
