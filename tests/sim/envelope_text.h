// EnvelopeText: an envelope as one short line of a trace.

#ifndef TESTS_SIM_ENVELOPE_TEXT_H_
#define TESTS_SIM_ENVELOPE_TEXT_H_

#include <string>

#include "raft/envelope.h"

namespace cairn::sim {

// "g1 VoteRequest term=3 last=7/2 campaign=12", without sender and receiver.
std::string EnvelopeText(const Envelope& envelope);

// The name alone; a literal.
const char* NameOfBody(const Envelope& envelope);

}  // namespace cairn::sim

#endif  // TESTS_SIM_ENVELOPE_TEXT_H_
