#include <memory>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_split.h"
#include "service/cli/context.h"
#include "service/cli/exit_code.h"
#include "service/cli/output.h"
#include "service/cli/verbs.h"

namespace cairn {
namespace {

Row StreamRow(const v1::Stream& stream) {
  const v1::StreamState& state = stream.state();
  return Row()
      .Add("name", stream.definition().name())
      .Add("subjects", std::vector<std::string>(stream.definition().subjects().begin(),
                                                stream.definition().subjects().end()))
      .Add("first_sequence", state.first_sequence())
      .Add("last_sequence", state.last_sequence())
      .Add("messages", state.messages())
      .Add("bytes", state.bytes());
}

int PrintStream(CliContext& context, const absl::StatusOr<v1::Stream>& stream, bool mutation) {
  if (!stream.ok()) return context.Fail(stream.status(), mutation);
  context.output().Print(StreamRow(*stream));
  return kExitOk;
}

}  // namespace

void AddStreamVerbs(CLI::App& app, CliContext& context) {
  CLI::App* stream = app.add_subcommand("stream", "makes and describes streams");
  stream->require_subcommand(1);
  stream->fallthrough();

  auto name = std::make_shared<std::string>();
  auto subjects = std::make_shared<std::string>();
  CLI::App& create = context.AddVerb(
      *stream, "create", "makes a stream; fine if it is there already", [&context, name, subjects] {
        v1::StreamDefinition definition;
        definition.set_name(*name);
        for (absl::string_view subject : absl::StrSplit(*subjects, ',', absl::SkipEmpty())) {
          definition.add_subjects(std::string(subject));
        }
        return PrintStream(context, context.client().CreateStream(definition), true);
      });
  create.add_option("NAME", *name, "its name: letters, digits, _ and -")->required();
  create.add_option("--subjects", *subjects,
                    "subjects it takes, with commas between; * stands for one token, > at the end "
                    "for one or more (default: the stream's name)");

  context.AddVerb(*stream, "list", "all streams", [&context] {
    absl::StatusOr<std::vector<v1::Stream>> streams = context.client().ListStreams();
    if (!streams.ok()) return context.Fail(streams.status());
    for (const v1::Stream& each : *streams) context.output().Print(StreamRow(each));
    return static_cast<int>(kExitOk);
  });

  CLI::App& info = context.AddVerb(*stream, "info", "one stream", [&context, name] {
    return PrintStream(context, context.client().GetStream(*name), false);
  });
  info.add_option("NAME", *name, "the stream")->required();
}

}  // namespace cairn
