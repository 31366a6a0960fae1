#include "tests/sim/calls.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/checksum.h"

namespace cairn::sim {

bool Calls::Open::Answered() {
  if (answered_) {
    calls_.cluster_.world().violations.Report(
        "each callback is called once",
        absl::StrCat("n", ToInteger(node_), " calls one for the second time"));
    return false;
  }
  answered_ = true;
  --calls_.open_;
  return Lives();
}

bool Calls::Open::Lives() const {
  const SimNode& asked = calls_.cluster_.node(node_);
  return asked.running() && asked.life() == life_;
}

Calls::Open Calls::Begin(NodeId node) {
  ++open_;
  return Open(*this, node, cluster_.node(node).life());
}

ProposalCallback Calls::Wrap(NodeId node, Done done) {
  return [open = Begin(node), done = std::move(done)](ProposalResult result) mutable {
    if (!open.Answered()) result = ProposalUnknown{{}, "process ended"};
    done(std::move(result));
  };
}

Group* Calls::Reach(GroupId group, NodeId node, const Done& done) {
  Group* handle = cluster_.node(node).group(group);
  if (handle == nullptr) {
    done(ProposalNotApplied{ProposalNotApplied::Reason::kStopping, NodeId::kNone, "not running"});
  }
  return handle;
}

void Calls::Propose(GroupId group, NodeId node, CommandId id, const std::string& command,
                    ProposeOptions options, Done done) {
  Referee& referee = *cluster_.referees().at(group);
  referee.states().Proposed(id, Checksum(command), options.session, options.expected_term);
  referee.clients().Asked(id);
  Done told = [&referee, node, id, done = std::move(done)](ProposalResult result) {
    referee.clients().Told(id, node, result);
    done(std::move(result));
  };
  cluster_.world().log.Add(node, "propose", {id}, [&] {
    return absl::StrCat("g", ToInteger(group), " command ", id, " session ",
                        options.session.session, " number ", options.session.number);
  });
  Group* handle = Reach(group, node, told);
  if (handle == nullptr) return;
  // What is refused at once was never taken.
  auto taken = std::make_shared<bool>(false);
  auto answered = std::make_shared<bool>(false);
  const size_t bytes = command.size();
  const uint64_t life = cluster_.node(node).life();
  handle->Propose(command, std::move(options),
                  Wrap(node, [open = Open(*this, node, life), &referee, told = std::move(told),
                              taken, answered, bytes, node](ProposalResult result) {
                    *answered = true;
                    if (*taken && open.Lives()) referee.bounds().Answered(node, bytes);
                    told(std::move(result));
                  }));
  if (*answered) return;
  *taken = true;
  referee.bounds().Taken(node, bytes);
}

void Calls::OpenSession(GroupId group, NodeId node, ProposeOptions options, Done done) {
  Group* handle = Reach(group, node, done);
  if (handle == nullptr) return;
  handle->OpenSession("client", std::move(options), Wrap(node, std::move(done)));
}

void Calls::CloseSession(GroupId group, NodeId node, uint64_t session, ProposeOptions options,
                         Done done) {
  Group* handle = Reach(group, node, done);
  if (handle == nullptr) return;
  handle->CloseSession(session, std::move(options), Wrap(node, std::move(done)));
}

Index Calls::ReadHorizon(GroupId group) const {
  return cluster_.referees().at(group)->clients().AskedToRead();
}

void Calls::Read(GroupId group, NodeId node, const ReadOptions& options, Index horizon,
                 std::function<void(bool)> done) {
  Group* handle = cluster_.node(node).group(group);
  if (handle == nullptr) return done(false);
  ClientChecker& clients = cluster_.referees().at(group)->clients();
  handle->BeginRead(options, [this, node, horizon, &clients, open = Begin(node),
                              done = std::move(done)](ReadResult result) mutable {
    const bool lives = open.Answered();
    const auto* ready = std::get_if<ReadReady>(&result);
    bool counts = ready != nullptr && lives;
    cluster_.world().log.Add(node, "read", {counts, horizon}, [&] {
      return counts ? absl::StrCat("ready at ", ready->index) : std::string("refused");
    });
    if (counts) clients.ToldToRead(node, horizon, *ready);
    done(counts);
  });
}

namespace {

struct Ask {
  Group& group;
  Instant deadline;
  ControlCallback done;

  void operator()(MembershipRequest& request) {
    group.ChangeMembership(std::move(request.members), deadline, std::move(done), request.based_on);
  }
  void operator()(CancelRequest&) { group.CancelMembership(deadline, std::move(done)); }
  void operator()(TransferRequest& request) {
    group.TransferLeadership(request.target, deadline, std::move(done));
  }
  void operator()(CampaignRequest&) { group.Campaign(std::move(done)); }
  void operator()(StepDownRequest&) { group.StepDown(std::move(done)); }
  void operator()(UnsafeRecoveryRequest& request) {
    group.RecoverUnsafely(std::move(request), std::move(done));
  }
};

}  // namespace

void Calls::Control(GroupId group, NodeId node, ControlRequest request, Instant deadline,
                    ControlTold done) {
  Group* handle = cluster_.node(node).group(group);
  if (handle == nullptr) return;
  const uint64_t number = ++requests_;
  cluster_.world().log.Add(node, "operator", {number, request.index()},
                           [&] { return absl::StrCat("asks, request ", number); });
  ControlCallback told = [this, node, number, open = Begin(node),
                          done = std::move(done)](ControlResult result) mutable {
    if (!open.Answered()) {
      result = ControlRefused{ControlRefused::Reason::kUnknown, "process ended", NodeId::kNone};
    }
    const auto* refused = std::get_if<ControlRefused>(&result);
    cluster_.world().log.Add(node, "operator", {number, result.index()}, [&] {
      return absl::StrCat("is told of request ", number, ": ",
                          refused == nullptr ? "done" : NameOf(refused->reason), " ",
                          refused == nullptr ? "" : refused->message);
    });
    done(std::move(result));
  };
  std::visit(Ask{*handle, deadline, std::move(told)}, request);
}

void Calls::Declare(GroupId group, NodeId node, MembershipRequest request, const std::string& tag,
                    Instant deadline) {
  MembershipChecker& checker = cluster_.referees().at(group)->membership();
  const uint64_t number = requests_ + 1;
  checker.Declared(number, request.members, tag);
  Control(group, node, std::move(request), deadline,
          [&checker, number, node](const ControlResult& result) {
            checker.Told(number, node, result);
          });
}

void Calls::Snapshot(GroupId group, NodeId node) {
  Group* handle = cluster_.node(node).group(group);
  if (handle == nullptr) return;
  handle->Snapshot([this, open = Begin(node)](const absl::StatusOr<LogPosition>& at) mutable {
    open.Answered();
    cluster_.world().counters.Count(at.ok() ? "snapshot asked for: taken"
                                            : "snapshot asked for: not taken");
  });
}

}  // namespace cairn::sim
