#include "service/membership/member_edit.h"

#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace cairn {
namespace {

Member MakeMember(uint64_t node) {
  return {NodeId{node}, Incarnation{100 + node}, absl::StrCat("127.0.0.1:", 7100 + node)};
}

std::vector<Member> Members(const std::vector<uint64_t>& nodes) {
  std::vector<Member> members;
  for (const uint64_t node : nodes) members.push_back(MakeMember(node));
  return members;
}

Configuration Current() {
  return {.voters = Members({1, 2, 3}), .outgoing_voters = {}, .learners = Members({4})};
}

// "1,2,3 learners 4", or the error's reason.
std::string Text(const Declaration& declaration) {
  if (const auto* error = std::get_if<RpcError>(&declaration)) return error->reason;
  std::string text;
  const auto& members = std::get<DeclaredMembers>(declaration);
  for (const Member& member : members.voters) {
    absl::StrAppend(&text, text.empty() ? "" : ",", ToInteger(member.node));
  }
  for (const Member& member : members.learners) {
    absl::StrAppend(&text, " learner ", ToInteger(member.node));
  }
  return text;
}

TEST(MemberEditTest, AddsVotersAndLearners) {
  EXPECT_EQ(Text(WithMember(Current(), MakeMember(5), false)), "1,2,3,5 learner 4");
  EXPECT_EQ(Text(WithMember(Current(), MakeMember(5), true)), "1,2,3 learner 4 learner 5");
}

TEST(MemberEditTest, AddsNobodyTwice) {
  EXPECT_EQ(Text(WithMember(Current(), MakeMember(3), false)), "1,2,3 learner 4");
  EXPECT_EQ(Text(WithMember(Current(), MakeMember(4), true)), "1,2,3 learner 4");
  EXPECT_EQ(Text(WithMember(Current(), MakeMember(4), false)), "1,2,3,4") << "promoted";
  EXPECT_EQ(Text(WithMember(Current(), MakeMember(3), true)), "MEMBER_EXISTS");
}

TEST(MemberEditTest, WhoWasRemovedComesBackByAnOperatorOnly) {
  Configuration current = Current();
  current.removed = {NodeId{5}};
  EXPECT_EQ(Text(WithMember(current, MakeMember(5), false)), "MEMBER_REMOVED");
  EXPECT_EQ(Text(WithMember(current, MakeMember(5), true)), "MEMBER_REMOVED");
  EXPECT_EQ(Text(WithMember(current, MakeMember(6), false)), "1,2,3,6 learner 4");
  Member by_hand = MakeMember(5);
  by_hand.incarnation = Incarnation::kUnknown;
  EXPECT_EQ(Text(WithMember(current, by_hand, false)), "1,2,3,5 learner 4");
}

TEST(MemberEditTest, MovesAMember) {
  Member moved = MakeMember(2);
  moved.address = "127.0.0.1:9";
  const Declaration declaration = WithMember(Current(), moved, false);
  ASSERT_TRUE(std::holds_alternative<DeclaredMembers>(declaration));
  EXPECT_EQ(std::get<DeclaredMembers>(declaration).voters[1].address, "127.0.0.1:9");
}

TEST(MemberEditTest, RefusesWhatIsNoMember) {
  Member member = MakeMember(5);
  for (const char* address : {"", "nowhere", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999"}) {
    member.address = address;
    EXPECT_EQ(Text(WithMember(Current(), member, false)), "INVALID_FIELD") << address;
  }
  member = MakeMember(0);
  EXPECT_EQ(Text(WithMember(Current(), member, false)), "INVALID_FIELD");
  member = MakeMember(5);
  member.node = NodeId{UINT64_MAX};
  EXPECT_EQ(Text(WithMember(Current(), member, false)), "INVALID_FIELD");
}

TEST(MemberEditTest, PromotesLearners) {
  EXPECT_EQ(Text(WithPromoted(Current(), NodeId{4})), "1,2,3,4");
  EXPECT_EQ(Text(WithPromoted(Current(), NodeId{3})), "1,2,3 learner 4");
  EXPECT_EQ(Text(WithPromoted(Current(), NodeId{9})), "MEMBER_NOT_FOUND");
}

TEST(MemberEditTest, RemovesMembers) {
  EXPECT_EQ(Text(WithoutMember(Current(), NodeId{2})), "1,3 learner 4");
  EXPECT_EQ(Text(WithoutMember(Current(), NodeId{4})), "1,2,3");
  EXPECT_EQ(Text(WithoutMember(Current(), NodeId{9})), "MEMBER_NOT_FOUND");
}

// What is under way is the beginning, so that asking again is asking for the same.
TEST(MemberEditTest, BeginsWithTheTargetOfAChangeUnderWay) {
  Configuration current = Current();
  current.target = MakeTarget(Current(), {.voters = Members({1, 2, 5}), .learners = {}});
  EXPECT_EQ(Text(WithMember(current, MakeMember(5), false)), "1,2,5");
  EXPECT_EQ(Text(WithoutMember(current, NodeId{3})), "1,2,5") << "it leaves already";
  EXPECT_EQ(Text(WithoutMember(current, NodeId{9})), "MEMBER_NOT_FOUND");
  EXPECT_EQ(Text(WithPromoted(current, NodeId{5})), "1,2,5");
}

}  // namespace
}  // namespace cairn
