// Held: the tokens that a worker lists in the params of its hello and its beats, and the door that
// they come in by.
//
// Threads: plain functions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "bus/messages.h"

namespace tallymill::bus {

// One token in a worker's list.
struct Held {
  Token token;
  std::int32_t phase = 0;  // 0 received, 1 started, 2 finished and kept
  friend bool operator==(const Held&, const Held&) = default;
};

// {"held": [[job, epoch, attempt, phase] ...], ...} into `held`; without "held" it is empty. False
// for anything else, a number that does not fit, or more than limits::held_tokens.
[[nodiscard]] bool read_held(std::string_view params, std::vector<Held>& held);

}  // namespace tallymill::bus
