// JsonString: text as JSON wants it, for the few places that write JSON without a message type.

#ifndef BASE_JSON_STRING_H_
#define BASE_JSON_STRING_H_

#include <string>

#include "absl/strings/string_view.h"

namespace cairn {

// `text` as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD.
std::string JsonString(absl::string_view text);

}  // namespace cairn

#endif  // BASE_JSON_STRING_H_
