#include "service/one_request.h"

#include <grpcpp/support/slice.h>

#include <optional>
#include <string>

#include "cairn/v1/streams.pb.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

grpc::ByteBuffer BufferOf(const std::string& first, const std::string& second = "") {
  grpc::Slice slices[] = {grpc::Slice(first), grpc::Slice(second)};
  return grpc::ByteBuffer(slices, 2);
}

void ExpectOfGrpc(const std::optional<RpcError>& error, absl::StatusCode code) {
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, code);
  EXPECT_EQ(error->reason, "") << "no details: it is gRPC's own";
  EXPECT_FALSE(error->message.empty());
}

TEST(OneRequestTest, ReadsWhatWasSerialized) {
  v1::AppendRequest request;
  request.set_stream("orders");
  request.add_messages()->set_payload(std::string(100'000, 'x'));
  v1::AppendRequest read;
  EXPECT_FALSE(ParseRequest(Serialize(request), &read).has_value());
  EXPECT_EQ(read.SerializeAsString(), request.SerializeAsString());
}

TEST(OneRequestTest, ReadsAMessageInPiecesAndAnEmptyOne) {
  v1::GetStreamRequest read;
  EXPECT_FALSE(ParseRequest(BufferOf("\x0a\x03", "abc"), &read).has_value());
  EXPECT_EQ(read.name(), "abc");
  EXPECT_FALSE(ParseRequest(Serialize(v1::GetStreamRequest()), &read).has_value());
  EXPECT_EQ(read.name(), "");
}

TEST(OneRequestTest, NoMessageIsUnimplemented) {
  v1::GetStreamRequest read;
  ExpectOfGrpc(ParseRequest(grpc::ByteBuffer(), &read), absl::StatusCode::kUnimplemented);
}

// Fault catalogue 5.2, row 4.
TEST(OneRequestTest, BytesThatAreNoMessageAreInternal) {
  const std::string deep = std::string(1000, '\x7b') + std::string(1000, '\x7c');
  for (const std::string& bytes : {std::string("\xff\xff\xff"), std::string("\x0a\x05zz"),
                                   std::string("\x0a\x01\xff"), deep}) {
    v1::GetStreamRequest read;
    ExpectOfGrpc(ParseRequest(BufferOf(bytes), &read), absl::StatusCode::kInternal);
  }
}

}  // namespace
}  // namespace cairn
