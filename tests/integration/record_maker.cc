// Writes a run of records as hexadecimal digits, for tests that make frames by hand:
//   record_maker GROUP PREVIOUS_INDEX PREVIOUS_TERM TERM COUNT
// The records are commands of term TERM that follow the given entry, whose hash is taken as zero.

#include <cstdint>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "storage/record.h"

int main(int argc, char** argv) {
  std::vector<uint64_t> numbers;
  for (int i = 1; i < argc; ++i) {
    uint64_t number = 0;
    if (!absl::SimpleAtoi(argv[i], &number)) break;
    numbers.push_back(number);
  }
  if (numbers.size() != 5) {
    std::cerr << "usage: record_maker GROUP PREVIOUS_INDEX PREVIOUS_TERM TERM COUNT\n";
    return 64;
  }
  cairn::RecordRunBuilder builder(cairn::GroupId{numbers[0]}, {numbers[1], numbers[2]}, {});
  for (uint64_t i = 0; i < numbers[4]; ++i) {
    builder.Add(cairn::PreparedEntry::Make(cairn::EntryType::kCommand, "hand-made"), numbers[3],
                cairn::WallTime{1});
  }
  cairn::RecordRun run = std::move(builder).Build();
  std::cout << absl::BytesToHexString(run.bytes().view()) << std::endl;
  return 0;
}
