// The table of configuration keys: what base/config.cc reads, checks, prints and documents by.
//
// Threads: constants.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/config.h"

namespace tallymill::config_keys {

// Where in an Owner a key's value lies. Its type says how the value is read and printed.
template <class Owner>
using Slot = std::variant<std::string& (*)(Owner&), bool& (*)(Owner&), std::int64_t& (*)(Owner&),
                          Bytes& (*)(Owner&), std::chrono::milliseconds& (*)(Owner&),
                          std::chrono::seconds& (*)(Owner&), std::chrono::days& (*)(Owner&),
                          std::vector<std::string>& (*)(Owner&)>;

template <class Owner>
struct Key {
  std::string_view name;  // "front.max_depth"; of a kind: "retries"
  Slot<Owner> slot;
  std::string_view unit;  // of a time: empty means that it is written with its unit
  std::string_view help;
  std::int64_t min = 0;
  std::int64_t max = 0;
  std::vector<std::string_view> choices = {};
};

[[nodiscard]] std::span<const Key<Config>> all();
[[nodiscard]] std::span<const Key<KindPolicy>> of_a_kind();

}  // namespace tallymill::config_keys
