#include "service/linearize.h"

#include <utility>
#include <variant>

namespace cairn {

void Linearize(const ServiceContext& context, bool linearizable, Instant deadline,
               absl::AnyInvocable<void(std::optional<RpcError>)> done) {
  if (!linearizable) {
    done(std::nullopt);
    return;
  }
  Group group = context.opened()->group;
  group.Linearize(deadline, [&context, done = std::move(done)](ReadResult result) mutable {
    if (const auto* refused = std::get_if<ReadRefused>(&result)) {
      done(context.Explain(*refused));
    } else {
      done(std::nullopt);
    }
  });
}

}  // namespace cairn
