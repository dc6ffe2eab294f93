// Address holder: whether somebody has the address that we want to bind, and which process it is,
// so that the error names the program to stop.
//
// Reads /proc; a process of another user keeps its open files to itself, and then only the fact is
// known.
//
// Threads: any. Cost: the open files of every process that we may look at; only for an error.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill {

// "tcp://127.0.0.1:7750 is in use by redis-server (process 4711)", with what is known.
[[nodiscard]] std::string address_in_use(std::string_view endpoint);

// Whether a socket could be bound to it now: busy, with address_in_use(), when another one listens
// there; bad_params when it is no endpoint of this host. ipc and port * are always free.
[[nodiscard]] Status check_port_free(std::string_view endpoint);

// That somebody accepts connections at this ipc path; false for a file that was left behind.
[[nodiscard]] bool ipc_answers(std::string_view endpoint);

}  // namespace tallymill
