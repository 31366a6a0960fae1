// RandomEnvelope: valid envelopes of every kind.

#ifndef TESTS_SERVICE_RANDOM_ENVELOPE_H_
#define TESTS_SERVICE_RANDOM_ENVELOPE_H_

#include <cstddef>

#include "base/random.h"
#include "raft/envelope.h"

namespace cairn {

// Kinds of bodies there are.
inline constexpr size_t kEnvelopeKinds = 27;

// An envelope that passes Validate, of kind `kind` below kEnvelopeKinds, between nodes 1 and 2.
Envelope RandomEnvelope(Random& random, size_t kind);

}  // namespace cairn

#endif  // TESTS_SERVICE_RANDOM_ENVELOPE_H_
