#include "raft/core/messages.h"

#include <set>
#include <string>
#include <utility>

#include "gtest/gtest.h"

namespace cairn {
namespace {

template <size_t... kKinds>
std::vector<MessageBody> MakeOneOfEach(Term term, std::index_sequence<kKinds...>) {
  std::vector<MessageBody> bodies;
  (bodies.emplace_back(std::in_place_index<kKinds>), ...);
  for (MessageBody& body : bodies) std::visit([&term](auto& b) { b.term = term++; }, body);
  return bodies;
}

TEST(MessagesTest, EveryKindHasATermAndItsOwnName) {
  constexpr size_t kKinds = std::variant_size_v<MessageBody>;
  auto bodies = MakeOneOfEach(40, std::make_index_sequence<kKinds>());
  std::set<std::string> names;
  for (size_t i = 0; i < kKinds; ++i) {
    EXPECT_EQ(TermOf(bodies[i]), 40 + i);
    names.insert(NameOf(bodies[i]));
  }
  EXPECT_EQ(names.size(), kKinds);
  EXPECT_STREQ(NameOf(VoteRequest{}), "VoteRequest");
  EXPECT_STREQ(NameOf(AppendEntries{}), "AppendEntries");
}

TEST(MessagesTest, LastIndexOfAnAppendIsThatOfItsLastRun) {
  AppendEntries append;
  append.previous = {7, 2};
  EXPECT_EQ(append.last_index(), 7u);
  append.runs = {{2, 9}, {3, 12}};
  EXPECT_EQ(append.last_index(), 12u);
}

}  // namespace
}  // namespace cairn
