#include "service/append_pipeline.h"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "service/stream_command.h"

namespace cairn {
namespace {

RpcError Explain(const ProposalResult& result) {
  RpcError error;
  error.reason = std::holds_alternative<ProposalUnknown>(result)
                     ? "OUTCOME_UNKNOWN"
                     : NameOf(std::get<ProposalNotApplied>(result).reason);
  return error;
}

ProposalResult Appended(Index index, uint64_t first, uint64_t last, bool duplicate = false) {
  return ProposalApplied{
      {index, 2}, Bytes::Take(EncodeReply(AppendedReply{first, last, {}})), duplicate};
}
ProposalResult Refused(RefusedReply::Reason reason, uint64_t actual) {
  return ProposalApplied{{7, 2}, Bytes::Take(EncodeReply(RefusedReply{reason, actual, ""})), false};
}
ProposalResult NotApplied(ProposalNotApplied::Reason reason) {
  return ProposalNotApplied{reason, NodeId::kNone, ""};
}

v1::AppendStreamRequest Opening(uint64_t session, uint64_t first_number) {
  v1::AppendStreamRequest request;
  request.mutable_open()->set_stream("s");
  request.mutable_open()->set_session_id(session);
  request.mutable_open()->set_first_session_number(first_number);
  return request;
}

v1::AppendStreamRequest InTerm(v1::AppendStreamRequest opening, uint64_t term) {
  opening.mutable_open()->set_expected_term(term);
  return opening;
}

v1::AppendStreamRequest Batches(int count, uint64_t first_number = 0) {
  v1::AppendStreamRequest request;
  for (int i = 0; i < count; ++i) {
    v1::AppendBatch* batch = request.add_batches();
    batch->add_messages()->set_payload(std::string(10, 'x'));
    if (first_number != 0) batch->set_session_number(first_number + static_cast<uint64_t>(i));
  }
  return request;
}

class AppendPipelineTest : public testing::Test {
 protected:
  static ServiceLimits SmallLimits() {
    ServiceLimits limits;
    limits.stream_inflight_batches = 100;
    limits.stream_inflight_bytes = 10'000;
    return limits;
  }
  v1::AppendStreamResponse Collect() {
    v1::AppendStreamResponse response;
    collected_ = pipeline_.Collect(&response);
    return response;
  }
  std::string Failure() const { return pipeline_.failure() ? pipeline_.failure()->reason : ""; }

  const ServiceLimits limits_ = SmallLimits();
  AppendPipeline pipeline_{limits_, Explain};
  bool collected_ = false;
};

TEST_F(AppendPipelineTest, OpensAndSaysItsLimits) {
  EXPECT_TRUE(pipeline_.Take(Opening(0, 0)).entries.empty());
  v1::AppendStreamResponse response = Collect();
  EXPECT_TRUE(response.has_opened());
  EXPECT_EQ(response.opened().max_message_bytes(), limits_.max_message_bytes);
  EXPECT_EQ(response.credit_bytes(), limits_.stream_inflight_bytes);
  Collect();
  EXPECT_FALSE(collected_);
}

TEST_F(AppendPipelineTest, RunsOfAnswersShareAnAck) {
  pipeline_.Take(Opening(0, 0));
  AppendPipeline::Taken taken = pipeline_.Take(Batches(5));
  EXPECT_EQ(taken.first, 1u);
  EXPECT_EQ(taken.entries.size(), 5u);
  pipeline_.Answer(1, {Appended(10, 1, 1), Appended(11, 2, 4), Appended(12, 5, 5)});
  pipeline_.Answer(4, {Appended(20, 6, 6), Appended(21, 7, 7, true)});
  v1::AppendStreamResponse response = Collect();
  ASSERT_EQ(response.acks_size(), 3);
  EXPECT_EQ(response.acks(0).first_batch(), 1u);
  EXPECT_EQ(response.acks(0).batches(), 3u);
  EXPECT_EQ(response.acks(0).first_sequence(), 1u);
  EXPECT_EQ(response.acks(0).last_sequence(), 5u);
  EXPECT_EQ(response.acks(0).first_index(), 10u);
  EXPECT_EQ(response.acks(1).first_batch(), 4u);
  EXPECT_TRUE(response.acks(2).duplicate());
  EXPECT_EQ(response.answered_batch(), 5u);
  EXPECT_TRUE(pipeline_.idle());
}

TEST_F(AppendPipelineTest, AnswersInOrderWhateverOrderResultsComeIn) {
  const uint64_t seed = 17;
  Random random(seed);
  pipeline_.Take(Opening(0, 0));
  const uint64_t count = 60;
  pipeline_.Take(Batches(count));
  std::vector<uint64_t> order;
  for (uint64_t i = 0; i < count; ++i) {
    order.insert(order.begin() + static_cast<int64_t>(random.Below(order.size() + 1)), i);
  }
  uint64_t next = 1;
  for (uint64_t i : order) {
    pipeline_.Answer(1 + i, {Appended(100 + i, 1 + i, 1 + i)});
    v1::AppendStreamResponse response = Collect();
    for (const v1::AppendAck& ack : response.acks()) {
      EXPECT_EQ(ack.first_batch(), next) << "seed " << seed;
      EXPECT_EQ(ack.first_sequence(), next);
      next += ack.batches();
    }
  }
  EXPECT_EQ(next, count + 1);
}

TEST_F(AppendPipelineTest, SessionsCountOnFromTheirNumber) {
  pipeline_.Take(Opening(9, 40));
  AppendPipeline::Taken taken = pipeline_.Take(Batches(2, 40));
  EXPECT_EQ(taken.first, 40u);
  EXPECT_EQ(taken.entries[1].call(), (SessionCall{9, 41, true}));
  taken = pipeline_.Take(Batches(1));
  EXPECT_EQ(taken.entries[0].call().number, 42u);
  EXPECT_TRUE(pipeline_.Take(Batches(1, 44)).entries.empty());
  EXPECT_TRUE(pipeline_.closed());
  EXPECT_EQ(Failure(), "");  // not before what went before is answered
  pipeline_.Answer(40, {Appended(1, 1, 1), Appended(2, 2, 2), Appended(3, 3, 3)});
  EXPECT_EQ(Failure(), "SEQUENCE_GAP");
  EXPECT_EQ(pipeline_.failure()->metadata.at("batch"), "43");
  EXPECT_EQ(Collect().answered_batch(), 42u);
}

TEST_F(AppendPipelineTest, ARefusalByTheStreamConcernsItsBatchOnly) {
  pipeline_.Take(Opening(0, 0));
  pipeline_.Take(Batches(3));
  pipeline_.Answer(
      1, {Appended(5, 1, 1), Refused(RefusedReply::Reason::kConflict, 8), Appended(7, 2, 2)});
  v1::AppendStreamResponse response = Collect();
  EXPECT_EQ(response.acks_size(), 2);
  ASSERT_EQ(response.failures_size(), 1);
  EXPECT_EQ(response.failures(0).batch(), 2u);
  EXPECT_EQ(response.failures(0).reason(), "APPEND_CONFLICT");
  EXPECT_EQ(response.failures(0).code(), static_cast<int>(absl::StatusCode::kAborted));
  EXPECT_EQ(response.failures(0).metadata().at("actualSequence"), "8");
  EXPECT_EQ(response.answered_batch(), 3u);
  EXPECT_EQ(Failure(), "");
}

TEST_F(AppendPipelineTest, NothingBehindAFailureIsAnswered) {
  pipeline_.Take(Opening(0, 0));
  pipeline_.Take(Batches(4));
  pipeline_.Answer(3, {NotApplied(ProposalNotApplied::Reason::kOrderBroken)});
  EXPECT_EQ(Failure(), "");
  pipeline_.Answer(1, {Appended(5, 1, 1), ProposalUnknown{}});
  EXPECT_EQ(Failure(), "OUTCOME_UNKNOWN");
  pipeline_.Answer(4, {Appended(9, 3, 3)});
  EXPECT_EQ(Collect().answered_batch(), 1u);
  EXPECT_TRUE(pipeline_.Take(Batches(1)).entries.empty());
}

TEST_F(AppendPipelineTest, ReadsNoFurtherThanItsLimits) {
  AppendPipeline pipeline(limits_, Explain);
  pipeline.Take(Opening(0, 0));
  pipeline.Take(Batches(99));
  EXPECT_FALSE(pipeline.full());
  pipeline.Take(Batches(1));
  EXPECT_TRUE(pipeline.full());
  pipeline.Answer(1, {Appended(1, 1, 1)});
  EXPECT_FALSE(pipeline.full());
  v1::AppendStreamRequest large;
  large.add_batches()->add_messages()->set_payload(std::string(10'000, 'x'));
  pipeline.Take(large);
  EXPECT_TRUE(pipeline.full());
  v1::AppendStreamResponse response;
  pipeline.Collect(&response);
  EXPECT_EQ(response.credit_bytes(), 0u);
}

TEST_F(AppendPipelineTest, RefusesWhatIsNoRequest) {
  auto failure = [this](std::vector<v1::AppendStreamRequest> requests) {
    AppendPipeline pipeline(limits_, Explain);
    for (const v1::AppendStreamRequest& request : requests) pipeline.Take(request);
    return pipeline.failure() ? pipeline.failure()->field : "";
  };
  EXPECT_EQ(failure({Batches(1)}), "open");
  EXPECT_EQ(failure({Opening(0, 0), Opening(0, 0)}), "open");
  EXPECT_EQ(failure({Opening(0, 5)}), "open.first_session_number");
  EXPECT_EQ(failure({Opening(5, 0)}), "open.first_session_number");
  EXPECT_EQ(failure({Opening(0, 0), Batches(1, 1)}), "batches.session_number");
  v1::AppendStreamRequest empty;
  empty.add_batches();
  EXPECT_EQ(failure({Opening(0, 0), empty}), "messages");
  v1::AppendStreamRequest name = Opening(0, 0);
  name.mutable_open()->set_stream("../x");
  EXPECT_EQ(failure({name}), "open.stream");
  v1::AppendStreamRequest large;
  large.add_batches()->add_messages()->set_payload(std::string(limits_.max_message_bytes + 1, 'x'));
  EXPECT_EQ(failure({Opening(0, 0), large}), "messages");
}

TEST_F(AppendPipelineTest, ARequestThatCannotBeReadFailsBehindWhatWasTaken) {
  pipeline_.Take(Opening(0, 0));
  AppendPipeline::Taken taken = pipeline_.Take(Batches(1));
  RpcError unreadable;
  unreadable.code = absl::StatusCode::kInternal;
  pipeline_.Refuse(unreadable);
  EXPECT_TRUE(pipeline_.closed());
  EXPECT_FALSE(pipeline_.failure().has_value()) << "the batch before it comes first";
  EXPECT_TRUE(pipeline_.Take(Batches(1)).entries.empty());
  pipeline_.Answer(taken.first, {Appended(5, 1, 1)});
  EXPECT_EQ(Collect().acks_size(), 1);
  ASSERT_TRUE(pipeline_.failure().has_value());
  EXPECT_EQ(pipeline_.failure()->code, absl::StatusCode::kInternal);
}

TEST_F(AppendPipelineTest, ItsTermIsThatOfEveryBatch) {
  pipeline_.Take(InTerm(Opening(0, 0), 7));
  EXPECT_EQ(pipeline_.expected_term(), 7u);
  pipeline_.Take(Batches(3));
  pipeline_.Answer(1, {Appended(5, 1, 1), NotApplied(ProposalNotApplied::Reason::kTermChanged),
                       NotApplied(ProposalNotApplied::Reason::kOrderBroken)});
  EXPECT_EQ(Collect().answered_batch(), 1u);
  ASSERT_TRUE(pipeline_.failure().has_value());
  EXPECT_EQ(pipeline_.failure()->reason, NameOf(ProposalNotApplied::Reason::kTermChanged));
  EXPECT_EQ(pipeline_.failure()->metadata.at("batch"), "2");
}

}  // namespace
}  // namespace cairn
