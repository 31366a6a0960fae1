// What a program does when a check fails (check.h), in place of one line on stderr and abort().

#ifndef BASE_CHECK_HANDLER_H_
#define BASE_CHECK_HANDLER_H_

#include <string>

namespace cairn {

// Called on the thread whose check failed, perhaps under locks: it writes something and ends the
// process. If it returns, the process aborts. `text`: "file:line: check failed: …", one line
// without its end.
using CheckHandler = void (*)(const std::string& text);

// For all threads from now on; null: the default. Programs call it, libraries never do.
void SetCheckHandler(CheckHandler handler);

}  // namespace cairn

#endif  // BASE_CHECK_HANDLER_H_
