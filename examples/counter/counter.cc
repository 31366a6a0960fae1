// A counter that is replicated, durable and linearizable. Run it three times:
//   counter 1 DIR1 1=127.0.0.1:7201,2=127.0.0.1:7202,3=127.0.0.1:7203     (then 2 DIR2 …, 3 DIR3 …)
// On stdin: "add N" or "get"; on stdout: the counter, or why not.

#include <atomic>
#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/numbers.h"
#include "cairn/server.h"

class Counter : public cairn::StateMachine {
 public:
  void Apply(cairn::ApplyBatch& batch) override {
    for (cairn::ApplyEntry& entry : batch) {
      int64_t amount = 0;  // a command that is no number adds nothing, on every member
      if (absl::SimpleAtoi(entry.command().view(), &amount)) value_ += amount;
      entry.Reply(std::to_string(value_));
    }
  }
  int64_t value() const { return value_; }

 private:
  std::atomic<int64_t> value_ = 0;  // written by Apply, read by main
};

int main(int argc, char** argv) {
  if (argc != 4) return std::cerr << "usage: counter NODE DIRECTORY CLUSTER\n", 64;
  auto members = cairn::ParseInitialCluster(argv[3]);
  if (!members.ok()) return std::cerr << members.status() << "\n", 64;
  cairn::ServerOptions options;
  options.node = static_cast<cairn::NodeId>(std::stoull(argv[1]));
  options.data_directory = argv[2];
  options.initial_members = *members;
  auto server = cairn::Server::Start(options);
  if (!server.ok()) return std::cerr << server.status() << "\n", 1;
  auto machine = std::make_unique<Counter>();
  const Counter& counter = *machine;  // the group owns it
  auto group = (*server)->Open(cairn::GroupId::kDefault, std::move(machine));
  if (!group.ok()) return std::cerr << group.status() << "\n", 1;
  if (auto status = (*server)->Listen(); !status.ok()) return std::cerr << status << "\n", 1;

  for (std::string word; std::cin >> word;) {
    if (word == "get") {
      auto ready = group->Linearize()->Wait();  // now this node's state is as fresh as any
      bool fresh = std::holds_alternative<cairn::ReadReady>(ready);
      std::cout << (fresh ? std::to_string(counter.value()) : "no quorum") << std::endl;
    } else if (word == "add" && std::cin >> word) {
      auto result = group->Propose(word)->Wait();
      auto* applied = std::get_if<cairn::ProposalApplied>(&result);
      std::cout << (applied != nullptr ? std::string(applied->reply.view())
                    : std::holds_alternative<cairn::ProposalUnknown>(result) ? "unknown"
                                                                             : "not added")
                << std::endl;
    }
  }
}
