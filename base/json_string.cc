#include "base/json_string.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace cairn {
namespace {

// Length of the UTF-8 sequence at the front of `text`, 0 if there is no whole and valid one.
size_t Utf8Length(absl::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char first = byte(0);
  size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (length == 0 || first > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (length > 2) {
    // Overlong forms, surrogates, and what lies beyond U+10FFFF.
    unsigned char second = byte(1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
      return 0;
    }
  }
  return length;
}

}  // namespace

std::string JsonString(absl::string_view text) {
  std::string json = "\"";
  while (!text.empty()) {
    size_t length = Utf8Length(text);
    char c = text[0];
    if (length == 0) {
      json += "\xef\xbf\xbd";
      length = 1;
    } else if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&json, "\\u%04x", static_cast<unsigned char>(c));
    } else {
      json.append(text.data(), length);
    }
    text.remove_prefix(length);
  }
  json += '"';
  return json;
}

}  // namespace cairn
