#include "service/reads/linearize.h"

#include <utility>
#include <variant>

namespace cairn {

void Linearize(const ServiceContext& context, const Freshness& freshness, Instant deadline,
               absl::AnyInvocable<void(std::optional<RpcError>)> done) {
  if (freshness.any) {
    done(std::nullopt);
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
