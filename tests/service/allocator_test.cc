// What cairnd allocates with.

#include <mimalloc.h>

#include <memory>

#include "gtest/gtest.h"

namespace cairn {
namespace {

TEST(AllocatorTest, NewTakesItsMemoryFromMimalloc) {
  const auto memory = std::make_unique<char[]>(100);
  EXPECT_TRUE(mi_is_in_heap_region(memory.get()));
}

TEST(AllocatorTest, WhatIsFreedIsKeptForAQuarterOfASecond) {
  EXPECT_EQ(mi_option_get(mi_option_decommit_delay), 250);
}

}  // namespace
}  // namespace cairn
