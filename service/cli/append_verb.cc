#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/mutex.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/output.h"
#include "service/cli/progress.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

struct AppendFlags {
  std::string stream;
  std::string payload;
  std::string subject;
  std::string file = "-";
  bool lines = false;
  bool whole = false;
  std::vector<std::string> headers;
  uint64_t expect_last = 0;
  size_t window = 4096;
};

// What the callbacks of many appends leave behind. Threads: any.
class AppendTally {
 public:
  void Add(const absl::StatusOr<Appended>& appended) {
    MutexLock lock(mutex_);
    if (!appended.ok()) {
      if (error_.ok()) error_ = appended.status();
      return;
    }
    if (messages_++ == 0) first_sequence_ = appended->first_sequence;
    last_sequence_ = appended->last_sequence;
  }

  uint64_t messages() const {
    MutexLock lock(mutex_);
    return messages_;
  }

  absl::Status error() const {
    MutexLock lock(mutex_);
    return error_;
  }

  Row ToRow(absl::Duration taken) const {
    MutexLock lock(mutex_);
    return Row()
        .Add("messages", messages_)
        .Add("first_sequence", first_sequence_)
        .Add("last_sequence", last_sequence_)
        .Add("seconds", absl::ToDoubleSeconds(taken));
  }

 private:
  mutable Mutex mutex_;
  uint64_t messages_ CAIRN_GUARDED_BY(mutex_) = 0;
  uint64_t first_sequence_ CAIRN_GUARDED_BY(mutex_) = 0;
  uint64_t last_sequence_ CAIRN_GUARDED_BY(mutex_) = 0;
  absl::Status error_ CAIRN_GUARDED_BY(mutex_);
};

v1::NewMessage MakeMessage(const AppendFlags& flags, std::string payload) {
  v1::NewMessage message;
  message.set_subject(flags.subject);
  for (const std::string& header : flags.headers) {
    size_t equals = header.find('=');
    v1::Header* added = message.add_headers();
    added->set_key(header.substr(0, equals));
    added->set_value(header.substr(equals + 1));
  }
  message.set_payload(std::move(payload));
  return message;
}

int AppendLines(CliContext& context, const AppendFlags& flags, std::istream& in) {
  AppenderOptions options;
  options.max_inflight_messages = flags.window;
  absl::Time start = absl::Now();
  AppendTally tally;
  {
    std::unique_ptr<Appender> appender = context.client().OpenAppender(flags.stream, options);
    ProgressLine progress("appended", 0);
    std::string line;
    while (tally.error().ok() && std::getline(in, line)) {
      appender->Append(MakeMessage(flags, std::move(line)),
                       [&tally](absl::StatusOr<Appended> appended) { tally.Add(appended); });
      progress.Update(tally.messages());
    }
    // Its error is the tally's first one.
    appender->Flush().IgnoreError();
  }
  context.output().Print(tally.ToRow(absl::Now() - start));
  return tally.error().ok() ? static_cast<int>(kExitOk) : context.Fail(tally.error(), true);
}

int AppendOne(CliContext& context, const AppendFlags& flags, bool has_expectation,
              std::string payload) {
  v1::AppendRequest request;
  request.set_stream(flags.stream);
  *request.add_messages() = MakeMessage(flags, std::move(payload));
  if (has_expectation) request.set_expected_last_sequence(flags.expect_last);
  absl::StatusOr<Appended> appended = context.client().Append(std::move(request));
  if (!appended.ok()) return context.Fail(appended.status(), true);
  context.output().Print(Row()
                             .Add("sequence", appended->first_sequence)
                             .Add("index", appended->index)
                             .Add("term", appended->term)
                             .Add("duplicate", appended->duplicate));
  return kExitOk;
}

int RunAppend(CliContext& context, const AppendFlags& flags, bool has_payload,
              bool has_expectation) {
  if (has_payload) return AppendOne(context, flags, has_expectation, flags.payload);
  std::ifstream file;
  if (flags.file != "-") {
    file.open(flags.file, std::ios::binary);
    if (!file) {
      return context.Fail(absl::NotFoundError(absl::StrCat("cannot read ", flags.file)));
    }
  }
  std::istream& in = flags.file == "-" ? std::cin : file;
  if (flags.lines) return AppendLines(context, flags, in);
  std::string whole{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  return AppendOne(context, flags, has_expectation, std::move(whole));
}

}  // namespace

void AddAppendVerb(CLI::App& app, CliContext& context) {
  auto flags = std::make_shared<AppendFlags>();
  auto verb = std::make_shared<CLI::App*>(nullptr);
  CLI::App& append =
      context.AddVerb(app, "append", "appends messages to a stream", [&context, flags, verb] {
        return RunAppend(context, *flags, (*verb)->count("PAYLOAD") > 0,
                         (*verb)->count("--expect_last") > 0);
      });
  *verb = &append;
  append.add_option("NAME", flags->stream, "the stream")->required();
  CLI::Option* payload =
      append.add_option("PAYLOAD", flags->payload, "the message (default: read --file)");
  append.add_option("--subject", flags->subject, "its subject (default: the stream's name)");
  append.add_option("--file", flags->file, "where messages are read from; - is stdin")
      ->capture_default_str()
      ->excludes(payload);
  CLI::Option* lines = append.add_flag("--lines", flags->lines,
                                       "each line is a message, many are under way at once");
  append.add_flag("--whole", flags->whole, "all of it is one message (default)")->excludes(lines);
  append.add_option("--header", flags->headers, "KEY=VALUE; may be given several times")
      ->check([](const std::string& text) {
        size_t equals = text.find('=');
        return equals == std::string::npos || equals == 0 ? "a header is KEY=VALUE" : "";
      })
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  append
      .add_option("--expect_last", flags->expect_last,
                  "append only if the stream's last sequence is this one")
      ->check(CLI::NonNegativeNumber)
      ->excludes(lines);
  append.add_option("--window", flags->window, "messages under way at once, with --lines")
      ->check(CLI::Range(size_t{1}, size_t{1} << 20))
      ->capture_default_str();
}

}  // namespace cairn
