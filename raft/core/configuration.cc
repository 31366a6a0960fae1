#include "raft/core/configuration.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/coding.h"

namespace cairn {
namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kVersionWithTarget = 2;
constexpr uint8_t kVersionWithRecoveries = 3;
constexpr uint8_t kVersionWithRemoved = 4;
constexpr uint8_t kVersionWithFormerDisks = 5;

const Member* FindIn(const std::vector<Member>& members, NodeId node) {
  auto found = std::find_if(members.begin(), members.end(),
                            [node](const Member& member) { return member.node == node; });
  return found == members.end() ? nullptr : &*found;
}

bool Ordered(const std::vector<Member>& members) {
  NodeId before = NodeId::kNone;
  for (const Member& member : members) {
    if (member.node <= before) return false;
    before = member.node;
  }
  return true;
}

absl::string_view FindFault(const MembershipTarget& target) {
  if (target.voters.empty() || target.voters_before.empty()) return "a target without voters";
  for (const auto* members :
       {&target.voters, &target.learners, &target.voters_before, &target.learners_before}) {
    if (!Ordered(*members)) return "a target is not ordered by node";
  }
  for (const Member& learner : target.learners) {
    if (FindIn(target.voters, learner.node) != nullptr) return "a target's learner is a voter, too";
  }
  return "";
}

bool Ordered(const std::vector<NodeId>& nodes) {
  NodeId before = NodeId::kNone;
  for (NodeId node : nodes) {
    if (node <= before) return false;
    before = node;
  }
  return true;
}

absl::string_view FindFault(const UnsafeRecoveries& recoveries) {
  if (recoveries.count == 0) {
    return recoveries == UnsafeRecoveries() ? "" : "an unsafe recovery that never was";
  }
  if (recoveries.evicted.empty() == (recoveries.quorum == 0)) {
    return "an unsafe recovery that is neither an eviction nor a lower quorum, or both";
  }
  if (!Ordered(recoveries.evicted) || !Ordered(recoveries.evicted_ever)) {
    return "evicted nodes are not ordered";
  }
  if (recoveries.at.index == 0) return "an unsafe recovery without an entry";
  return "";
}

absl::string_view FindFaultOfRemoved(const Configuration& configuration) {
  if (configuration.removed.size() > kMaxRemoved) return "too many removed nodes";
  std::set<NodeId> removed;
  for (NodeId node : configuration.removed) {
    if (node == NodeId::kNone || !removed.insert(node).second) return "removed nodes repeat";
    if (configuration.IsMember(node)) return "a removed node is a member, too";
  }
  return "";
}

bool HasDisk(const Configuration& configuration, const FormerDisk& disk) {
  const Member* member = configuration.Find(disk.node);
  return member != nullptr && member->incarnation == disk.incarnation;
}

absl::string_view FindFaultOfDisks(const Configuration& configuration) {
  if (configuration.former_disks.size() > kMaxFormerDisks) return "too many former disks";
  std::set<FormerDisk> former;
  for (const FormerDisk& disk : configuration.former_disks) {
    if (disk.node == NodeId::kNone || disk.incarnation == Incarnation::kUnknown) {
      return "a former disk of nobody";
    }
    if (!former.insert(disk).second) return "former disks repeat";
    if (HasDisk(configuration, disk)) return "a former disk is a member's";
  }
  return "";
}

// What is wrong with `configuration` as the body of an entry; empty if nothing is.
absl::string_view FindFault(const Configuration& configuration) {
  if (configuration.voters.empty()) return "no voters";
  if (!Ordered(configuration.voters)) return "voters are not ordered by node";
  if (!Ordered(configuration.outgoing_voters)) return "outgoing voters are not ordered by node";
  if (!Ordered(configuration.learners)) return "learners are not ordered by node";
  for (const Member& learner : configuration.learners) {
    if (configuration.IsVoter(learner.node)) return "a learner is a voter, too";
  }
  if (absl::string_view fault = FindFault(configuration.unsafe_recoveries); !fault.empty()) {
    return fault;
  }
  if (absl::string_view fault = FindFaultOfRemoved(configuration); !fault.empty()) return fault;
  if (absl::string_view fault = FindFaultOfDisks(configuration); !fault.empty()) return fault;
  return configuration.target ? FindFault(*configuration.target) : "";
}

void AppendMembers(std::string* to, const std::vector<Member>& members) {
  AppendLittleEndian(to, static_cast<uint32_t>(members.size()));
  for (const Member& member : members) {
    AppendLittleEndian(to, ToInteger(member.node));
    AppendLittleEndian(to, ToInteger(member.incarnation));
    AppendLengthPrefixed(to, member.address);
  }
}

// The count is not trusted: memory grows with what is there.
std::vector<Member> ReadMembers(Decoder& from) {
  std::vector<Member> members;
  auto count = from.Read<uint32_t>();
  for (uint32_t i = 0; i < count && from.ok(); ++i) {
    Member member;
    member.node = NodeId{from.Read<uint64_t>()};
    member.incarnation = Incarnation{from.Read<uint64_t>()};
    member.address = std::string(from.ReadLengthPrefixed());
    members.push_back(std::move(member));
  }
  return members;
}

void AppendTarget(std::string* to, const MembershipTarget& target) {
  AppendMembers(to, target.voters);
  AppendMembers(to, target.learners);
  AppendMembers(to, target.voters_before);
  AppendMembers(to, target.learners_before);
}

MembershipTarget ReadTarget(Decoder& from) {
  // A brace-enclosed list is read in order.
  return MembershipTarget{.voters = ReadMembers(from),
                          .learners = ReadMembers(from),
                          .voters_before = ReadMembers(from),
                          .learners_before = ReadMembers(from)};
}

void AppendNodes(std::string* to, const std::vector<NodeId>& nodes) {
  AppendLittleEndian(to, static_cast<uint32_t>(nodes.size()));
  for (NodeId node : nodes) AppendLittleEndian(to, ToInteger(node));
}

std::vector<NodeId> ReadNodes(Decoder& from) {
  std::vector<NodeId> nodes;
  auto count = from.Read<uint32_t>();
  for (uint32_t i = 0; i < count && from.ok(); ++i) nodes.push_back(NodeId{from.Read<uint64_t>()});
  return nodes;
}

void AppendDisks(std::string* to, const std::vector<FormerDisk>& disks) {
  AppendLittleEndian(to, static_cast<uint32_t>(disks.size()));
  for (const FormerDisk& disk : disks) {
    AppendLittleEndian(to, ToInteger(disk.node));
    AppendLittleEndian(to, ToInteger(disk.incarnation));
  }
}

std::vector<FormerDisk> ReadDisks(Decoder& from) {
  std::vector<FormerDisk> disks;
  auto count = from.Read<uint32_t>();
  for (uint32_t i = 0; i < count && from.ok(); ++i) {
    // A brace-enclosed list is read in order.
    disks.push_back({NodeId{from.Read<uint64_t>()}, Incarnation{from.Read<uint64_t>()}});
  }
  return disks;
}

void AppendRecoveries(std::string* to, const UnsafeRecoveries& recoveries) {
  AppendLittleEndian(to, recoveries.count);
  AppendNodes(to, recoveries.evicted);
  AppendLittleEndian(to, recoveries.quorum);
  AppendLittleEndian(to, recoveries.at.index);
  AppendLittleEndian(to, recoveries.at.term);
  AppendLittleEndian(to, static_cast<uint64_t>(recoveries.asked.nanoseconds));
  AppendNodes(to, recoveries.evicted_ever);
}

UnsafeRecoveries ReadRecoveries(Decoder& from) {
  UnsafeRecoveries recoveries;
  recoveries.count = from.Read<uint64_t>();
  recoveries.evicted = ReadNodes(from);
  recoveries.quorum = from.Read<uint64_t>();
  recoveries.at.index = from.Read<uint64_t>();
  recoveries.at.term = from.Read<uint64_t>();
  recoveries.asked.nanoseconds = static_cast<int64_t>(from.Read<uint64_t>());
  recoveries.evicted_ever = ReadNodes(from);
  return recoveries;
}

uint8_t VersionOf(const Configuration& configuration) {
  if (!configuration.former_disks.empty()) return kVersionWithFormerDisks;
  if (!configuration.removed.empty()) return kVersionWithRemoved;
  if (configuration.unsafe_recoveries.count > 0) return kVersionWithRecoveries;
  return configuration.target ? kVersionWithTarget : kVersion;
}

std::string JoinNodes(const std::vector<Member>& members) {
  return absl::StrJoin(members, ",", [](std::string* out, const Member& member) {
    absl::StrAppend(out, ToInteger(member.node));
  });
}

}  // namespace

bool Configuration::IsVoter(NodeId node) const {
  return FindIn(voters, node) != nullptr || FindIn(outgoing_voters, node) != nullptr;
}

bool Configuration::IsMember(NodeId node) const { return Find(node) != nullptr; }

bool Configuration::WasRemoved(NodeId node) const {
  return std::find(removed.begin(), removed.end(), node) != removed.end();
}

const Member* Configuration::Find(NodeId node) const {
  for (const auto* members : {&voters, &outgoing_voters, &learners}) {
    if (const Member* member = FindIn(*members, node)) return member;
  }
  return nullptr;
}

std::vector<NodeId> Configuration::Nodes() const {
  std::vector<NodeId> nodes;
  for (const auto* members : {&voters, &outgoing_voters, &learners}) {
    for (const Member& member : *members) nodes.push_back(member.node);
  }
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  return nodes;
}

absl::Status Validate(const Configuration& configuration) {
  absl::string_view fault = FindFault(configuration);
  if (fault.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(ToString(configuration), ": ", fault));
}

std::string EncodeConfiguration(const Configuration& configuration) {
  absl::string_view fault = FindFault(configuration);
  CAIRN_CHECK(fault.empty()) << fault << ": " << ToString(configuration);
  std::string bytes;
  const uint8_t version = VersionOf(configuration);
  AppendLittleEndian(&bytes, version);
  AppendMembers(&bytes, configuration.voters);
  AppendMembers(&bytes, configuration.outgoing_voters);
  AppendMembers(&bytes, configuration.learners);
  if (version >= kVersionWithRemoved) AppendNodes(&bytes, configuration.removed);
  if (version == kVersionWithFormerDisks) AppendDisks(&bytes, configuration.former_disks);
  if (version >= kVersionWithRecoveries) {
    AppendRecoveries(&bytes, configuration.unsafe_recoveries);
    AppendLittleEndian(&bytes, static_cast<uint8_t>(configuration.target ? 1 : 0));
  }
  if (configuration.target) AppendTarget(&bytes, *configuration.target);
  return bytes;
}

absl::StatusOr<Configuration> DecodeConfiguration(absl::string_view bytes) {
  Decoder decoder(bytes);
  auto version = decoder.Read<uint8_t>();
  if (decoder.ok() && (version < kVersion || version > kVersionWithFormerDisks)) {
    return absl::DataLossError(
        absl::StrCat("configuration entry: version ", version, " is not known"));
  }
  Configuration configuration;
  configuration.voters = ReadMembers(decoder);
  configuration.outgoing_voters = ReadMembers(decoder);
  configuration.learners = ReadMembers(decoder);
  uint8_t targets = version == kVersionWithTarget ? 1 : 0;
  if (version >= kVersionWithRemoved) configuration.removed = ReadNodes(decoder);
  if (version == kVersionWithFormerDisks) configuration.former_disks = ReadDisks(decoder);
  if (version >= kVersionWithRecoveries) {
    configuration.unsafe_recoveries = ReadRecoveries(decoder);
    targets = decoder.Read<uint8_t>();
  }
  if (decoder.ok() && targets > 1) {
    return absl::DataLossError(absl::StrCat("configuration entry: ", targets, " targets"));
  }
  if (targets == 1) configuration.target = ReadTarget(decoder);
  if (!decoder.ok()) return absl::DataLossError("configuration entry: cut short");
  if (!decoder.Done()) {
    return absl::DataLossError(
        absl::StrCat("configuration entry: ", decoder.remaining(), " bytes left over"));
  }
  absl::string_view fault = FindFault(configuration);
  if (fault.empty() && version != VersionOf(configuration)) fault = "not of its version";
  if (!fault.empty()) return absl::DataLossError(absl::StrCat("configuration entry: ", fault));
  return configuration;
}

std::string ToString(const Configuration& configuration) {
  std::string text = absl::StrCat("voters=", JoinNodes(configuration.voters));
  if (configuration.joint()) {
    absl::StrAppend(&text, " outgoing=", JoinNodes(configuration.outgoing_voters));
  }
  if (!configuration.learners.empty()) {
    absl::StrAppend(&text, " learners=", JoinNodes(configuration.learners));
  }
  if (configuration.target) {
    absl::StrAppend(&text, " target=", JoinNodes(configuration.target->voters));
    if (!configuration.target->learners.empty()) {
      absl::StrAppend(&text, " target_learners=", JoinNodes(configuration.target->learners));
    }
  }
  if (configuration.unsafe_recoveries.count > 0) {
    absl::StrAppend(&text, " unsafe_recoveries=", configuration.unsafe_recoveries.count);
  }
  return text;
}

std::vector<NodeId> RemovedAfter(const Configuration& before, const Configuration& after) {
  std::vector<NodeId> removed = before.removed;
  for (NodeId node : before.Nodes()) {
    if (!after.IsMember(node)) removed.push_back(node);
  }
  std::erase_if(removed, [&](NodeId node) { return after.IsMember(node); });
  if (removed.size() > kMaxRemoved) {
    removed.erase(removed.begin(), removed.end() - static_cast<std::ptrdiff_t>(kMaxRemoved));
  }
  return removed;
}

std::vector<FormerDisk> FormerDisksAfter(const Configuration& before, const Configuration& after) {
  std::vector<FormerDisk> former = before.former_disks;
  for (NodeId node : before.Nodes()) {
    const Incarnation disk = before.Find(node)->incarnation;
    if (disk != Incarnation::kUnknown && !after.IsMember(node)) former.push_back({node, disk});
  }
  std::erase_if(former, [&](const FormerDisk& disk) { return HasDisk(after, disk); });
  if (former.size() > kMaxFormerDisks) {
    former.erase(former.begin(), former.end() - static_cast<std::ptrdiff_t>(kMaxFormerDisks));
  }
  return former;
}

bool SameNodes(const std::vector<Member>& a, const std::vector<Member>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Member& x, const Member& y) { return x.node == y.node; });
}

}  // namespace cairn
