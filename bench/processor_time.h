// Processor time of another process, thread by thread.
//
// Threads: one.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>

namespace tallymill::bench {

// Seconds, user's and system's, by the threads' names; those of one name are added up. Read from
// /proc, in ticks of 10 ms.
[[nodiscard]] std::map<std::string, double> seconds_by_thread(pid_t process);

}  // namespace tallymill::bench
