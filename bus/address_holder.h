// Address holder: which process has the port or the socket file that we cannot bind, so that the
// error can name it.
//
// Reads /proc; a process of another user keeps its open files to itself, and then only the fact is
// known.
//
// Threads: any.
#pragma once

#include <string>

namespace tallymill::bus {

// "process 1234 (redis-server)"; empty when it cannot be told.
[[nodiscard]] std::string address_holder(const std::string& endpoint);

// That somebody accepts connections at this ipc path; false for a file that was left behind.
[[nodiscard]] bool ipc_answers(const std::string& endpoint);

}  // namespace tallymill::bus
