#include "raft/peers/peer_book.h"

#include <string>

#include "gtest/gtest.h"

namespace cairn {
namespace {

Introduction At(Index index, const std::string& address) {
  return {GroupId{1}, {index, 1}, address};
}

TEST(PeerBookTest, WhoIsNamedIsAPeerForEver) {
  PeerBook book;
  EXPECT_EQ(book.Hear(NodeId{1}), Standing::kUnknown);
  EXPECT_EQ(book.AddressOf(NodeId{1}), "");
  book.Name(NodeId{1}, "a");
  EXPECT_EQ(book.Hear(NodeId{1}), Standing::kPeer);
  EXPECT_EQ(book.AddressOf(NodeId{1}), "a");
  book.Name(NodeId{1}, "b");
  EXPECT_EQ(book.AddressOf(NodeId{1}), "b");
  EXPECT_TRUE(book.introduced().empty());
}

TEST(PeerBookTest, WhoIsNotBelievedStaysUnknown) {
  PeerBook book;
  EXPECT_EQ(book.Meet(NodeId{4}, {}), NodeId::kNone);
  EXPECT_EQ(book.Hear(NodeId{4}), Standing::kUnknown);
}

TEST(PeerBookTest, AStrangerIsKnownForAsLongAsItIsBelieved) {
  PeerBook book;
  book.Meet(NodeId{4}, {At(8, "a"), At(9, "b")});
  EXPECT_EQ(book.Hear(NodeId{4}), Standing::kStranger);
  EXPECT_EQ(book.AddressOf(NodeId{4}), "a");
  EXPECT_EQ(book.introduced().size(), 2u);
  EXPECT_TRUE(book.Drop(NodeId{4}, At(8, "a")));
  EXPECT_EQ(book.AddressOf(NodeId{4}), "b");
  EXPECT_FALSE(book.Drop(NodeId{4}, At(8, "a"))) << "it is dropped";
  EXPECT_EQ(book.Hear(NodeId{4}), Standing::kStranger);
  EXPECT_TRUE(book.Drop(NodeId{4}, At(9, "b")));
  EXPECT_EQ(book.Hear(NodeId{4}), Standing::kUnknown);
  EXPECT_FALSE(book.Drop(NodeId{4}, At(9, "b")));
}

TEST(PeerBookTest, WhereAPeerSaysItIsCountsBeforeTheLogWhileItIsNews) {
  PeerBook book;
  book.Name(NodeId{1}, "old");
  book.Meet(NodeId{1}, {At(9, "new")});
  EXPECT_EQ(book.Hear(NodeId{1}), Standing::kPeer);
  EXPECT_EQ(book.AddressOf(NodeId{1}), "new");
  book.Name(NodeId{1}, "older");  // the log goes through what was before
  EXPECT_EQ(book.AddressOf(NodeId{1}), "new");
  book.Name(NodeId{1}, "new");
  EXPECT_FALSE(book.Drop(NodeId{1}, At(9, "new"))) << "nothing changes";
  EXPECT_EQ(book.AddressOf(NodeId{1}), "new");
  EXPECT_EQ(book.Hear(NodeId{1}), Standing::kPeer);
}

TEST(PeerBookTest, AStrangerThatIsNamedIsAPeer) {
  PeerBook book;
  book.Meet(NodeId{4}, {At(9, "a")});
  book.Name(NodeId{4}, "a");
  EXPECT_EQ(book.Hear(NodeId{4}), Standing::kPeer);
  EXPECT_FALSE(book.Drop(NodeId{4}, At(9, "a")));
  EXPECT_EQ(book.Hear(NodeId{4}), Standing::kPeer);
}

// Nobody fills the memory by inventing names, nor takes the place of who goes on to speak.
TEST(PeerBookTest, OfTooManyStrangersTheOneNotHeardForLongestIsForgotten) {
  PeerBook book;
  book.Name(NodeId{1}, "peer");
  const uint64_t count = PeerBook::kMaxStrangers;
  for (uint64_t node = 11; node < 11 + count; ++node) {
    EXPECT_EQ(book.Meet(NodeId{node}, {At(9, "a")}), NodeId::kNone);
  }
  for (uint64_t node = 1000; node < 2000; ++node) {
    EXPECT_EQ(book.Hear(NodeId{11}), Standing::kStranger) << "it speaks";
    EXPECT_NE(book.Meet(NodeId{node}, {At(9, "a")}), NodeId::kNone);
    EXPECT_EQ(book.introduced().size(), count);
  }
  EXPECT_EQ(book.Hear(NodeId{11}), Standing::kStranger);
  EXPECT_EQ(book.Hear(NodeId{12}), Standing::kUnknown);
  EXPECT_EQ(book.Hear(NodeId{1}), Standing::kPeer);
}

}  // namespace
}  // namespace cairn
