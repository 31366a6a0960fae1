// The version of the programs and of the library.

#ifndef SERVICE_VERSION_H_
#define SERVICE_VERSION_H_

namespace cairn {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace cairn

#endif  // SERVICE_VERSION_H_
