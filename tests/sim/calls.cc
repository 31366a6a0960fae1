#include "tests/sim/calls.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "storage/checksum.h"

namespace cairn::sim {

void Calls::Answered(NodeId node, bool& answered) {
  if (answered) {
    cluster_.world().violations.Report(
        "each callback is called once",
        absl::StrCat("n", ToInteger(node), " calls one for the second time"));
    return;
  }
  answered = true;
  --open_;
}

bool Calls::Lives(NodeId node, uint64_t life) const {
  const SimNode& asked = cluster_.node(node);
  return asked.running() && asked.life() == life;
}

ProposalCallback Calls::Wrap(NodeId node, Done done) {
  ++open_;
  uint64_t life = cluster_.node(node).life();
  return
      [this, node, life, done = std::move(done), answered = false](ProposalResult result) mutable {
        Answered(node, answered);
        if (!Lives(node, life)) result = ProposalUnknown{{}, "process ended"};
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
  referee.states().Proposed(id, Checksum(command), options.session);
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
  auto open = std::make_shared<bool>(false);
  auto answered = std::make_shared<bool>(false);
  const size_t bytes = command.size();
  const uint64_t life = cluster_.node(node).life();
  handle->Propose(command, std::move(options),
                  Wrap(node, [this, &referee, told = std::move(told), open, answered, bytes, node,
                              life](ProposalResult result) {
                    *answered = true;
                    if (*open && Lives(node, life)) referee.bounds().Answered(node, bytes);
                    told(std::move(result));
                  }));
  if (*answered) return;
  *open = true;
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
  ++open_;
  uint64_t life = cluster_.node(node).life();
  handle->BeginRead(options, [this, node, life, horizon, &clients, done = std::move(done),
                              answered = false](ReadResult result) mutable {
    Answered(node, answered);
    const auto* ready = std::get_if<ReadReady>(&result);
    bool counts = ready != nullptr && Lives(node, life);
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
  void operator()(UnsafeRecoveryRequest&) { CAIRN_CHECK(false) << "what it loses is no violation"; }
};

}  // namespace

void Calls::Control(GroupId group, NodeId node, ControlRequest request, Instant deadline,
                    ControlTold done) {
  Group* handle = cluster_.node(node).group(group);
  if (handle == nullptr) return;
  ++open_;
  const uint64_t number = ++requests_;
  cluster_.world().log.Add(node, "operator", {number, request.index()},
                           [&] { return absl::StrCat("asks, request ", number); });
  ControlCallback told = [this, node, number, life = cluster_.node(node).life(),
                          done = std::move(done), answered = false](ControlResult result) mutable {
    Answered(node, answered);
    if (!Lives(node, life)) {
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
  ++open_;
  handle->Snapshot([this, node, answered = false](const absl::StatusOr<LogPosition>& at) mutable {
    Answered(node, answered);
    cluster_.world().counters.Count(at.ok() ? "snapshot asked for: taken"
                                            : "snapshot asked for: not taken");
  });
}

}  // namespace cairn::sim
