#include "service/reads/linearize.h"

#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace cairn {

namespace {

// Nothing is here of what the log goes on from: the state was lost, or has never been here. A read
// of that would say of every stream that there is none.
bool LacksState(const ServiceContext& context) {
  if (context.opened()->machine->applied_index() > 0) return false;
  const std::shared_ptr<const GroupStatus> standing = context.standing();
  // Before anything is told of the log it may be so.
  return standing == nullptr || standing->first_index != 1;
}

}  // namespace

void Linearize(const ServiceContext& context, const Freshness& freshness, Instant deadline,
               absl::AnyInvocable<void(std::optional<RpcError>)> done) {
  if (freshness.any) {
    done(LacksState(context) ? std::optional(Starting()) : std::nullopt);
    return;
  }
  Group group = context.opened()->group;
  group.BeginRead(
      {.deadline = deadline, .lease = freshness.lease, .max_staleness = freshness.max_staleness},
      [&context, done = std::move(done)](ReadResult result) mutable {
        if (const auto* refused = std::get_if<ReadRefused>(&result)) {
          done(context.Explain(*refused));
        } else {
          done(std::nullopt);
        }
      });
}

}  // namespace cairn
