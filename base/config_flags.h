// Config flags: the flags that a program takes for settings, one for each key that it reads, as
// --help, completions and man pages list them.
//
// Threads: plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"

namespace tallymill {

struct ConfigFlag {
  std::string flag;      // "--max-depth"
  std::string key;       // "front.max_depth"; of a kind: "kinds.KIND.retries"
  std::string variable;  // "TALLYMILL_FRONT__MAX_DEPTH"
  std::string help;
  std::string unit;
  std::vector<std::string> choices;  // of its values, when they are a closed set
  bool is_switch = false;            // alone it means true
};

// Those of `sections` by their short flags, then the others, then those of a kind.
[[nodiscard]] std::vector<ConfigFlag> config_flags(const ConfigSources& sources);

// front.max_depth as TALLYMILL_FRONT__MAX_DEPTH.
[[nodiscard]] std::string variable_of(std::string_view key);

}  // namespace tallymill
