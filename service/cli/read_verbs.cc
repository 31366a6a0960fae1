#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/escaping.h"
#include "google/protobuf/util/time_util.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/output.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

struct ReadFlags {
  std::string stream;
  uint64_t from = 0;
  uint64_t count = 0;  // 0: no limit
  std::vector<std::string> subjects;
  v1::Consistency consistency = v1::CONSISTENCY_LINEARIZABLE;
  Duration max_staleness = {};  // 0: no limit
  bool raw = false;
  bool only_new = false;
};

void PrintMessage(CliContext& context, const v1::StoredMessage& message, bool raw) {
  if (raw) {
    std::cout << message.payload() << '\n';
    return;
  }
  std::vector<std::pair<std::string, std::string>> headers;
  for (const v1::Header& header : message.headers()) {
    headers.emplace_back(header.key(), header.value());
  }
  context.output().Print(
      Row()
          .Add("sequence", message.sequence())
          .Add("subject", message.subject())
          .Add("time", google::protobuf::util::TimeUtil::ToString(message.time()))
          .Add("headers", headers)
          .Add("payload", absl::Base64Escape(message.payload())));
}

int RunRead(CliContext& context, const ReadFlags& flags) {
  v1::ReadRequest request;
  request.set_stream(flags.stream);
  request.set_from_sequence(flags.from);
  request.set_max_messages(flags.count);
  for (const std::string& subject : flags.subjects) request.add_subject_filters(subject);
  request.set_consistency(flags.consistency);
  if (flags.max_staleness > Duration{}) {
    *request.mutable_max_staleness() = google::protobuf::util::TimeUtil::MillisecondsToDuration(
        ToMilliseconds(flags.max_staleness));
  }
  absl::Status status =
      context.client().ReadRange(std::move(request), [&](const v1::StoredMessage& message) {
        PrintMessage(context, message, flags.raw);
        return static_cast<bool>(std::cout);
      });
  std::cout.flush();
  return status.ok() ? static_cast<int>(kExitOk) : context.Fail(status);
}

int RunTail(CliContext& context, const ReadFlags& flags) {
  v1::SubscribeRequest request;
  request.set_stream(flags.stream);
  if (flags.only_new) {
    request.set_start(v1::SUBSCRIBE_START_NEW);
  } else if (flags.from != 0) {
    request.set_start(v1::SUBSCRIBE_START_SEQUENCE);
    request.set_from_sequence(flags.from);
  }
  for (const std::string& subject : flags.subjects) request.add_subject_filters(subject);
  uint64_t given = 0;
  absl::Status status =
      context.client().Subscribe(std::move(request), [&](const v1::StoredMessage& message) {
        PrintMessage(context, message, flags.raw);
        // People watch: nothing waits in a buffer.
        context.output().Flush();
        std::cout.flush();
        return static_cast<bool>(std::cout) && (flags.count == 0 || ++given < flags.count);
      });
  return status.ok() ? static_cast<int>(kExitOk) : context.Fail(status);
}

void AddCommonFlags(CLI::App& verb, ReadFlags& flags) {
  verb.add_option("NAME", flags.stream, "the stream")->required();
  verb.add_option("--count", flags.count, "stop after so many messages; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb.add_option("--subject", flags.subjects,
                  "only messages whose subject matches (*, >); may be given several times")
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb.add_flag("--raw", flags.raw, "print payloads only, a newline behind each");
}

}  // namespace

void AddReadVerbs(CLI::App& app, CliContext& context) {
  auto read_flags = std::make_shared<ReadFlags>();
  CLI::App& read =
      context.AddVerb(app, "read", "prints the messages a stream has",
                      [&context, read_flags] { return RunRead(context, *read_flags); });
  AddCommonFlags(read, *read_flags);
  read.add_option("--from", read_flags->from, "sequence to start at; 0: the first")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  read.add_option("--consistency", read_flags->consistency,
                  "linearizable (sees all that was acknowledged before), lease (the same while "
                  "clocks run alike; does not ask a quorum) or stale (what the member has)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, v1::Consistency>{{"linearizable", v1::CONSISTENCY_LINEARIZABLE},
                                                 {"lease", v1::CONSISTENCY_LEASE},
                                                 {"stale", v1::CONSISTENCY_STALE}}))
      ->default_str("linearizable");
  AddDurationFlag(read, "--max_staleness", &read_flags->max_staleness,
                  "with --consistency=stale: misses nothing acknowledged so long before; no limit "
                  "without");

  auto tail_flags = std::make_shared<ReadFlags>();
  CLI::App& tail =
      context.AddVerb(app, "tail", "prints messages as they come",
                      [&context, tail_flags] { return RunTail(context, *tail_flags); });
  AddCommonFlags(tail, *tail_flags);
  CLI::Option* from =
      tail.add_option("--from", tail_flags->from, "sequence to start at; 0: the first")
          ->check(CLI::NonNegativeNumber)
          ->capture_default_str();
  tail.add_flag("--new", tail_flags->only_new, "only messages that are appended from now on")
      ->excludes(from);
}

}  // namespace cairn
