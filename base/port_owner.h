// Who holds a TCP port: so that "address already in use" names the program to stop.
//
// Threads: any. Cost: reads /proc/net/tcp and, when something listens, the open files of every
// process that we may look at; only for an error message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill {

struct PortOwner {
  int pid = 0;
  std::string command;  // as in /proc/PID/comm
};

// The process that listens on this port; nothing when none does or when it is another user's.
[[nodiscard]] std::optional<PortOwner> port_owner(std::uint16_t port);

// "port 7750 is in use by redis-server (pid 4711)", with what is known.
[[nodiscard]] std::string port_in_use(std::string_view endpoint);

// Whether a socket could be bound to it now: busy, with port_in_use(), when another one listens
// there; bad_params when it is no endpoint of this host. ipc and port * are always free.
[[nodiscard]] Status check_port_free(std::string_view endpoint);

}  // namespace tallymill
