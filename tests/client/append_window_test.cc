#include "client/append_window.h"

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

class AppendWindowTest : public testing::Test {
 protected:
  // Adds a message whose payload is `name`; its result goes to results_[name].
  void Add(AppendWindow& window, const std::string& name) {
    v1::NewMessage message;
    message.set_payload(name);
    window.Add(std::move(message), [this, name](absl::StatusOr<Appended> result) {
      EXPECT_TRUE(results_.emplace(name, std::move(result)).second) << name << " answered twice";
    });
  }

  absl::Status Answer(AppendWindow& window, const v1::AppendStreamResponse& response) {
    std::vector<AppendWindow::Completion> completions;
    absl::Status status = window.TakeAnswers(response, &completions);
    Run(std::move(completions));
    return status;
  }

  void Run(std::vector<AppendWindow::Completion> completions) {
    for (auto& completion : completions) completion.done(std::move(completion.result));
  }

  static v1::AppendAck* AddAck(v1::AppendStreamResponse& response, uint64_t first_batch,
                               uint64_t batches, uint64_t first_sequence, uint64_t index) {
    v1::AppendAck* ack = response.add_acks();
    ack->set_first_batch(first_batch);
    ack->set_batches(batches);
    ack->set_first_sequence(first_sequence);
    ack->set_first_index(index);
    ack->set_term(7);
    return ack;
  }

  std::map<std::string, absl::StatusOr<Appended>> results_;
};

AppenderOptions Options(size_t entry_messages) {
  AppenderOptions options;
  options.max_entry_messages = entry_messages;
  return options;
}

TEST_F(AppendWindowTest, PutsWaitingMessagesTogether) {
  AppendWindow window(Options(2));
  for (const char* name : {"a", "b", "c"}) Add(window, name);
  v1::AppendStreamRequest request;
  ASSERT_TRUE(window.FillRequest(1 << 20, &request));
  ASSERT_EQ(request.batches_size(), 2);
  EXPECT_EQ(request.batches(0).messages_size(), 2);
  EXPECT_EQ(request.batches(0).session_number(), 1u);
  EXPECT_EQ(request.batches(1).messages(0).payload(), "c");
  EXPECT_EQ(request.batches(1).session_number(), 2u);
  EXPECT_FALSE(window.FillRequest(1 << 20, &request));

  v1::AppendStreamResponse response;
  AddAck(response, 1, 2, 10, 100);
  ASSERT_TRUE(Answer(window, response).ok());
  EXPECT_EQ(results_.at("a")->first_sequence, 10u);
  EXPECT_EQ(results_.at("b")->first_sequence, 11u);
  EXPECT_EQ(results_.at("b")->last_sequence, 11u);
  EXPECT_EQ(results_.at("b")->index, 100u);
  EXPECT_EQ(results_.at("c")->first_sequence, 12u);
  EXPECT_EQ(results_.at("c")->index, 101u);
  EXPECT_EQ(results_.at("c")->term, 7u);
  EXPECT_TRUE(window.empty());
  EXPECT_EQ(window.first_unanswered(), 3u);
}

TEST_F(AppendWindowTest, ABrokenCallIsResumedWithTheSameBatches) {
  AppendWindow window(Options(1));
  for (const char* name : {"a", "b", "c"}) Add(window, name);
  v1::AppendStreamRequest request;
  ASSERT_TRUE(window.FillRequest(1 << 20, &request));
  v1::AppendStreamResponse response;
  AddAck(response, 1, 1, 1, 5);
  ASSERT_TRUE(Answer(window, response).ok());
  window.Rewind();
  EXPECT_EQ(window.first_unanswered(), 2u);
  Add(window, "d");
  ASSERT_TRUE(window.FillRequest(1 << 20, &request));
  ASSERT_EQ(request.batches_size(), 3);
  EXPECT_EQ(request.batches(0).messages(0).payload(), "b");
  EXPECT_EQ(request.batches(0).session_number(), 2u);
  EXPECT_EQ(request.batches(2).messages(0).payload(), "d");
  EXPECT_EQ(request.batches(2).session_number(), 4u);
}

TEST_F(AppendWindowTest, FailuresStandBetweenAcks) {
  AppendWindow window(Options(1));
  for (const char* name : {"a", "b", "c"}) Add(window, name);
  v1::AppendStreamRequest request;
  ASSERT_TRUE(window.FillRequest(1 << 20, &request));
  v1::AppendStreamResponse response;
  AddAck(response, 1, 1, 1, 5);
  AddAck(response, 3, 1, 2, 7);
  v1::AppendFailure* failure = response.add_failures();
  failure->set_batch(2);
  failure->set_code(10);
  failure->set_reason("APPEND_CONFLICT");
  ASSERT_TRUE(Answer(window, response).ok());
  EXPECT_TRUE(results_.at("a").ok());
  EXPECT_EQ(ReasonOf(results_.at("b").status()), "APPEND_CONFLICT");
  EXPECT_FALSE(OutcomeUnknown(results_.at("b").status()));
  EXPECT_EQ(results_.at("c")->first_sequence, 2u);
}

TEST_F(AppendWindowTest, AnswersOfOtherBatchesAreRefused) {
  AppendWindow window(Options(1));
  Add(window, "a");
  v1::AppendStreamResponse early;
  AddAck(early, 1, 1, 1, 1);
  EXPECT_FALSE(Answer(window, early).ok()) << "nothing was sent";
  v1::AppendStreamRequest request;
  ASSERT_TRUE(window.FillRequest(1 << 20, &request));
  v1::AppendStreamResponse skipped;
  AddAck(skipped, 2, 1, 1, 1);
  EXPECT_FALSE(Answer(window, skipped).ok());
  EXPECT_TRUE(results_.empty());
}

TEST_F(AppendWindowTest, OnlyWhatWasSentIsUnknown) {
  AppendWindow window(Options(1));
  Add(window, "sent");
  v1::AppendStreamRequest request;
  ASSERT_TRUE(window.FillRequest(1 << 20, &request));
  Add(window, "waiting");
  window.Rewind();
  std::vector<AppendWindow::Completion> completions;
  window.FailAll(MakeClientError(absl::StatusCode::kUnavailable, "OUTCOME_UNKNOWN", "", true),
                 MakeClientError(absl::StatusCode::kUnavailable, "NO_LEADER", "", false),
                 &completions);
  Run(std::move(completions));
  EXPECT_TRUE(OutcomeUnknown(results_.at("sent").status()));
  EXPECT_FALSE(OutcomeUnknown(results_.at("waiting").status()));
  EXPECT_EQ(window.first_unanswered(), 1u);
  EXPECT_TRUE(window.HasRoom());
}

TEST_F(AppendWindowTest, LimitsWhatIsUnderWay) {
  AppenderOptions options;
  options.max_inflight_messages = 2;
  AppendWindow window(options);
  Add(window, "a");
  EXPECT_TRUE(window.HasRoom());
  Add(window, "b");
  EXPECT_FALSE(window.HasRoom());
}

// Requests of any size, broken at any moment: each message is answered once, in order, and batches
// keep number and content.
TEST_F(AppendWindowTest, RandomCallsAgainstAServer) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Random random(seed);
    results_.clear();
    AppendWindow window(Options(1 + random.Below(4)));
    std::vector<v1::AppendBatch> applied;  // by session number - 1
    std::vector<uint64_t> first_sequences;
    uint64_t sequence = 1;
    uint64_t added = 0;
    while (added < 60 || !window.empty()) {
      if (added < 60 && random.OneIn(2)) Add(window, absl::StrCat(added++));
      v1::AppendStreamRequest request;
      if (random.OneIn(3)) {
        window.FillRequest(1 + random.Below(60), &request);
      }
      v1::AppendStreamResponse response;
      for (const v1::AppendBatch& batch : request.batches()) {
        uint64_t number = batch.session_number();
        ASSERT_LE(number, applied.size() + 1) << "a gap";
        if (number == applied.size() + 1) {
          applied.push_back(batch);
          first_sequences.push_back(sequence);
          sequence += static_cast<uint64_t>(batch.messages_size());
        }
        ASSERT_EQ(batch.SerializeAsString(), applied[number - 1].SerializeAsString());
        AddAck(response, number, 1, first_sequences[number - 1], 100 + number);
      }
      if (random.OneIn(4)) {
        window.Rewind();  // the answers are lost
      } else {
        ASSERT_TRUE(Answer(window, response).ok());
      }
    }
    for (uint64_t i = 0; i < added; ++i) {
      EXPECT_EQ(results_.at(absl::StrCat(i))->first_sequence, i + 1);
    }
  }
}

}  // namespace
}  // namespace cairn
