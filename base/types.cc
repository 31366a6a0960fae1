#include "base/types.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace cairn {

std::string ToString(const ClusterId& id) {
  std::string text;
  for (size_t i = 0; i < id.bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    absl::StrAppendFormat(&text, "%02x", id.bytes[i]);
  }
  return text;
}

std::string ToString(LogPosition position) {
  return absl::StrCat(position.index, "/", position.term);
}

std::string ToString(EntryHash hash) { return absl::StrFormat("%016x%016x", hash.high, hash.low); }

}  // namespace cairn
