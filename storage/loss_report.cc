#include "storage/loss_report.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "storage/open_entries.h"

namespace cairn {
namespace {

using Kind = LossEvent::Kind;

constexpr std::pair<Kind, const char*> kKinds[] = {
    {Kind::kDamaged, "damaged"},   {Kind::kTorn, "torn"},       {Kind::kNote, "note"},
    {Kind::kRepaired, "repaired"}, {Kind::kCovered, "covered"}, {Kind::kDropped, "dropped"},
};

const char* NameOf(Kind kind) {
  for (const auto& [each, name] : kKinds) {
    if (each == kind) return name;
  }
  return "note";
}

std::string Quoted(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", absl::string_view(&c, 1));
    } else if (byte < 0x20 || byte >= 0x7f) {
      // File names may be any bytes; JSON may not.
      absl::StrAppendFormat(&quoted, "\\u%04x", byte);
    } else {
      quoted.push_back(c);
    }
  }
  return quoted + "\"";
}

// All of an event but its time. Within a string every quote is escaped, so that a name with its
// quotes stands nowhere but in front of its value.
std::string Encode(const LossEvent& event) {
  std::string line = absl::StrCat("\"kind\":\"", NameOf(event.kind), "\"");
  auto number = [&line](const char* name, uint64_t value) {
    if (value != 0) absl::StrAppend(&line, ",\"", name, "\":", value);
  };
  number("group", ToInteger(event.group));
  number("first", event.first);
  number("last", event.last);
  number("term", event.term);
  if (!event.file.empty()) absl::StrAppend(&line, ",\"file\":", Quoted(event.file));
  number("offset", event.offset);
  number("from", ToInteger(event.from));
  absl::StrAppend(&line, ",\"text\":", Quoted(event.text), "}");
  return line;
}

std::string TimeOf(WallTime time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixNanos(time.nanoseconds),
                          absl::UTCTimeZone());
}

// The number that stands behind `name` in a line; 0 if there is none.
uint64_t NumberIn(absl::string_view line, const char* name) {
  const std::string key = absl::StrCat("\"", name, "\":");
  const size_t at = line.find(key);
  if (at == absl::string_view::npos) return 0;
  line.remove_prefix(at + key.size());
  uint64_t value = 0;
  const size_t end = line.find_first_not_of("0123456789");
  return absl::SimpleAtoi(line.substr(0, end), &value) ? value : 0;
}

}  // namespace

class LossReport::Content {
 public:
  Content(FileSystem& file_system, std::string path, const Clock& clock)
      : path_(std::move(path)), file_system_(file_system), clock_(clock) {
    if (absl::StatusOr<std::string> bytes = ReadWholeFile(file_system_, path_); bytes.ok()) {
      Decode(*bytes);
    }
  }

  bool Add(const LossEvent& event);
  bool Tell(const std::string& sentence) {
    MutexLock lock(mutex_);
    return told_.insert(sentence).second;
  }
  Counts counts() const {
    MutexLock lock(mutex_);
    return counts_;
  }
  bool HasOpen(GroupId group) const {
    MutexLock lock(mutex_);
    return open_.Has(group);
  }
  std::vector<OpenRange> OpenOf(GroupId group) const {
    MutexLock lock(mutex_);
    return open_.Of(group);
  }
  // When the file is to be written; nullopt if somebody else will. Then SaveIfDue is to follow.
  std::optional<Instant> TakeTurn();
  void SaveIfDue();

  const std::string path_;

 private:
  void Decode(absl::string_view bytes);
  void Resolve(const LossEvent& event) CAIRN_REQUIRES(mutex_);
  std::string Header() const CAIRN_REQUIRES(mutex_);

  FileSystem& file_system_;
  const Clock& clock_;
  mutable Mutex mutex_;
  std::deque<std::string> lines_ CAIRN_GUARDED_BY(mutex_);
  std::set<std::string> once_ CAIRN_GUARDED_BY(mutex_);  // torn and notes, without their times
  OpenEntries open_ CAIRN_GUARDED_BY(mutex_);
  std::set<std::string> told_ CAIRN_GUARDED_BY(mutex_);
  Counts counts_ CAIRN_GUARDED_BY(mutex_);
  uint64_t forgotten_ CAIRN_GUARDED_BY(mutex_) = 0;        // events
  std::optional<Instant> due_ CAIRN_GUARDED_BY(mutex_);    // the file lacks some
  std::optional<Instant> saved_ CAIRN_GUARDED_BY(mutex_);  // it was written last
  Mutex saving_;                                           // one at a time; taken before mutex_
};

void LossReport::Content::Decode(absl::string_view bytes) {
  MutexLock lock(mutex_);
  std::vector<absl::string_view> lines = absl::StrSplit(bytes, '\n', absl::SkipEmpty());
  if (lines.empty() || NumberIn(lines[0], "format") != 1) return;
  counts_ = {.damaged = NumberIn(lines[0], "damaged"),
             .repaired = NumberIn(lines[0], "repaired"),
             .covered = NumberIn(lines[0], "covered"),
             .dropped = NumberIn(lines[0], "dropped"),
             .torn = NumberIn(lines[0], "torn"),
             .notes = NumberIn(lines[0], "notes")};
  forgotten_ = NumberIn(lines[0], "forgotten");
  lines.erase(lines.begin());
  for (const absl::string_view line : lines) {
    const size_t at = line.find("\"kind\":\"");
    if (at == absl::string_view::npos) continue;
    lines_.emplace_back(line);
    const absl::string_view event = line.substr(at);
    const absl::string_view kind = event.substr(8, event.find('"', 8) - 8);
    LossEvent read;
    read.group = static_cast<GroupId>(NumberIn(event, "group"));
    read.first = NumberIn(event, "first");
    read.last = NumberIn(event, "last");
    if (kind == NameOf(Kind::kDamaged)) {
      open_.Add(read.group, {read.first, read.last});
    } else if (kind == NameOf(Kind::kTorn) || kind == NameOf(Kind::kNote)) {
      once_.emplace(event);
    } else {
      Resolve(read);
    }
  }
  counts_.open = open_.size();
}

// The entries of `event` are not open any more.
void LossReport::Content::Resolve(const LossEvent& event) {
  open_.Remove(event.group, {event.first, event.last});
}

bool LossReport::Content::Add(const LossEvent& event) {
  MutexLock lock(mutex_);
  std::string line = Encode(event);
  const uint64_t entries = event.first == 0 ? 0 : event.last - event.first + 1;
  switch (event.kind) {
    case Kind::kDamaged:
      if (open_.Contains(event.group, {event.first, event.last})) return false;
      open_.Add(event.group, {event.first, event.last});
      counts_.damaged += entries;
      break;
    case Kind::kTorn:
      if (!once_.insert(line).second) return false;
      ++counts_.torn;
      break;
    case Kind::kNote:
      if (!once_.insert(line).second) return false;
      ++counts_.notes;
      break;
    case Kind::kRepaired:
      counts_.repaired += entries;
      Resolve(event);
      break;
    case Kind::kCovered:
      counts_.covered += entries;
      Resolve(event);
      break;
    case Kind::kDropped:
      counts_.dropped += entries;
      Resolve(event);
      break;
  }
  counts_.open = open_.size();
  lines_.push_back(absl::StrCat("{\"time\":\"", TimeOf(clock_.WallNow()), "\",", line));
  while (lines_.size() > kMaxEvents) {
    const std::string& oldest = lines_.front();
    once_.erase(oldest.substr(std::min(oldest.size(), oldest.find("\"kind\":"))));
    lines_.pop_front();
    ++forgotten_;
  }
  return true;
}

std::string LossReport::Content::Header() const {
  return absl::StrCat("{\"format\":1,\"events\":", lines_.size(), ",\"forgotten\":", forgotten_,
                      ",\"damaged\":", counts_.damaged, ",\"repaired\":", counts_.repaired,
                      ",\"covered\":", counts_.covered, ",\"dropped\":", counts_.dropped,
                      ",\"torn\":", counts_.torn, ",\"notes\":", counts_.notes,
                      ",\"open\":", counts_.open, "}\n");
}

std::optional<Instant> LossReport::Content::TakeTurn() {
  MutexLock lock(mutex_);
  Instant when = clock_.Now();
  // After a crash nothing is to be told as open that is not, so all's end is hardly waited with.
  if (saved_) when = std::max(when, *saved_ + (counts_.open == 0 ? kPauseAtEnd : kPause));
  if (due_ && *due_ <= when) return std::nullopt;
  due_ = when;
  return when;
}

void LossReport::Content::SaveIfDue() {
  MutexLock one_at_a_time(saving_);
  std::string bytes;
  {
    MutexLock lock(mutex_);
    if (!std::exchange(due_, std::nullopt)) return;
    saved_ = clock_.Now();
    bytes = Header();
    for (const std::string& line : lines_) absl::StrAppend(&bytes, line, "\n");
  }
  WriteFileAtomically(file_system_, path_, bytes).IgnoreError();
  MutexLock lock(mutex_);
  saved_ = clock_.Now();
}

LossReport::LossReport(FileSystem& file_system, std::string path, const Clock& clock,
                       Executor* background)
    : content_(std::make_shared<Content>(file_system, std::move(path), clock)),
      background_(background) {}

LossReport::~LossReport() { content_->SaveIfDue(); }

const std::string& LossReport::path() const { return content_->path_; }

LossReport::Counts LossReport::counts() const { return content_->counts(); }

bool LossReport::HasOpen(GroupId group) const { return content_->HasOpen(group); }

bool LossReport::Add(const LossEvent& event) {
  if (!content_->Add(event)) return false;
  const std::optional<Instant> when = content_->TakeTurn();
  if (background_ == nullptr) {
    content_->SaveIfDue();
  } else if (when) {
    background_->PostAt(*when, [content = content_] { content->SaveIfDue(); });
  }
  return true;
}

void LossReport::Close(GroupId group, Index up_to) {
  for (const auto& [first, last] : content_->OpenOf(group)) {
    if (first > up_to) continue;
    Add({.kind = Kind::kCovered,
         .group = group,
         .first = first,
         .last = std::min(last, up_to),
         .text = "the log does without them now"});
  }
}

std::vector<std::string> LossReport::AddRecovered(GroupId group, const RecoveredLog& recovered) {
  LossEvent run;
  for (const FaultyEntries& faulty : recovered.faulty) {
    const bool follows = run.first != 0 && faulty.first.index == run.last + 1 &&
                         faulty.first.term == run.term && faulty.file == run.file &&
                         faulty.reason == run.text;
    if (follows) {
      run.last = faulty.last;
      continue;
    }
    if (run.first != 0) Add(run);
    run = {.kind = Kind::kDamaged,
           .group = group,
           .first = faulty.first.index,
           .last = faulty.last,
           .term = faulty.first.term,
           .file = faulty.file,
           .offset = faulty.offset,
           .text = faulty.reason};
  }
  if (run.first != 0) Add(run);
  const RecoveryReport& report = recovered.report;
  std::vector<std::string> news;
  if (report.torn_bytes > 0 || report.torn_first != 0) {
    LossEvent torn = {.kind = Kind::kTorn,
                      .group = report.torn_first != 0 ? group : GroupId::kNone,
                      .first = report.torn_first,
                      .last = report.torn_last,
                      .text = absl::StrCat("the end of the log was torn by a power cut, ",
                                           report.torn_bytes, " bytes")};
    Add(torn);
    if (content_->Tell(torn.text)) news.push_back(torn.text);
  }
  for (const std::string& note : report.notes) {
    Add({.kind = Kind::kNote, .text = note});
    if (content_->Tell(note)) news.push_back(note);
  }
  return news;
}

}  // namespace cairn
