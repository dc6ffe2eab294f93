// LogFilter: which lines of a log `tallymill logs` prints.
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/log_line.h"

namespace tallymill::cli {

struct LogFilter {
  std::int64_t job = 0;  // 0: any
  std::string trace;     // empty: any
  std::string process;   // its name, or its program's; empty: any
  log::Level level = log::Level::trace;
  std::string since;  // as log::Line::ts; empty: any

  [[nodiscard]] bool takes(const log::Line& line) const;
};

// That the message speaks of this job: "job 7", "jobs 5, 6 and 7".
[[nodiscard]] bool names_job(std::string_view message, std::int64_t job);

}  // namespace tallymill::cli
