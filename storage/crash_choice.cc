#include "storage/crash_choice.h"

#include <utility>

#include "base/check.h"

namespace cairn {
namespace {

using Operations = std::vector<PendingOperation>;

CrashChoice Prefix(const Operations& pending, size_t count) {
  CrashChoice choice;
  for (size_t i = 0; i < count; ++i) choice.kept.insert(choice.kept.end(), pending[i].id);
  return choice;
}

CrashChoice RandomSubset(const Operations& pending, Random& random) {
  CrashChoice choice;
  for (const PendingOperation& operation : pending) {
    if (random.OneIn(2)) choice.kept.insert(operation.id);
  }
  return choice;
}

// Where the calls begin in `pending`, and its end.
std::vector<size_t> CallStarts(const Operations& pending) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < pending.size(); ++i) {
    if (i == 0 || pending[i].call != pending[i - 1].call) starts.push_back(i);
  }
  starts.push_back(pending.size());
  return starts;
}

CrashChoice TornCall(const Operations& pending, Random& random) {
  if (pending.empty()) return {};
  const std::vector<size_t> starts = CallStarts(pending);
  const size_t call = static_cast<size_t>(random.Below(starts.size() - 1));
  CrashChoice choice = Prefix(pending, starts[call]);
  for (size_t i = starts[call]; i < starts[call + 1]; ++i) {
    if (random.OneIn(2)) choice.kept.insert(pending[i].id);
  }
  return choice;
}

// The tail of each call survives without its beginning; the other way round is a prefix.
void AddTornCalls(const Operations& pending, std::set<CrashChoice>& choices) {
  const std::vector<size_t> starts = CallStarts(pending);
  for (size_t call = 0; call + 1 < starts.size(); ++call) {
    for (size_t cut = starts[call] + 1; cut < starts[call + 1]; ++cut) {
      CrashChoice choice = Prefix(pending, starts[call]);
      for (size_t i = cut; i < starts[call + 1]; ++i) choice.kept.insert(pending[i].id);
      choices.insert(std::move(choice));
    }
  }
}

}  // namespace

CrashChoice ChooseCrash(CrashPolicy policy, const Operations& pending, Random& random) {
  switch (policy) {
    case CrashPolicy::kDropAll:
      return {};
    case CrashPolicy::kKeepAll:
      return Prefix(pending, pending.size());
    case CrashPolicy::kKeepPrefix:
      return Prefix(pending, static_cast<size_t>(random.Below(pending.size() + 1)));
    case CrashPolicy::kRandomSubset:
      return RandomSubset(pending, random);
    case CrashPolicy::kTornCall:
      return TornCall(pending, random);
  }
  CAIRN_CHECK(false) << "crash policy " << static_cast<int>(policy);
  return {};
}

std::vector<CrashChoice> EnumerateCrashes(const Operations& pending,
                                          const CrashEnumeration& options, Random& random) {
  std::set<CrashChoice> choices;
  const size_t count = pending.size();
  if (count <= options.exhaustive) {
    for (uint64_t bits = 0; bits < uint64_t{1} << count; ++bits) {
      CrashChoice choice;
      for (size_t i = 0; i < count; ++i) {
        if ((bits >> i) & 1) choice.kept.insert(pending[i].id);
      }
      choices.insert(std::move(choice));
    }
    return {choices.begin(), choices.end()};
  }
  const CrashChoice all = Prefix(pending, count);
  for (size_t i = 0; i <= count; ++i) choices.insert(Prefix(pending, i));
  for (const PendingOperation& operation : pending) {
    CrashChoice without = all;
    without.kept.erase(operation.id);
    choices.insert(std::move(without));
    choices.insert(CrashChoice{{operation.id}});
  }
  AddTornCalls(pending, choices);
  for (size_t i = 0; i < options.samples; ++i) choices.insert(RandomSubset(pending, random));
  return {choices.begin(), choices.end()};
}

}  // namespace cairn
