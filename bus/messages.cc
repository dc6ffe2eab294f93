#include "bus/messages.h"

#include <array>

namespace tallymill::bus {
namespace {

constexpr std::array<std::string_view, 33> names = {
    // client -> front
    "hello", "submit", "status", "result", "watch", "jobs", "ends", "waterfalls", "cancel", "retry",
    "timeline", "workers", "topology", "kinds", "snapshot", "put", "get", "ping",
    // front -> client
    "welcome", "accepted", "error", "reply", "event", "gap",
    // between front and workers
    "worker_hello", "worker_welcome", "beat", "lanes", "tell", "hop_event", "live", "work", "done"};
static_assert(names.size() == static_cast<std::size_t>(Verb::done) + 1);

// A perfect hash of the names: found while compiling, one comparison while running.
constexpr std::size_t slots = 256;
constexpr std::uint8_t nobody = 0xff;

constexpr std::size_t slot(std::string_view name, std::uint32_t factor) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint32_t>(name[i]) & 0xff; };
  const std::uint32_t mix = at(0) | at(name.size() - 1) << 8 | at(name.size() / 2) << 16 |
                            static_cast<std::uint32_t>(name.size()) << 24;
  return (mix * factor) >> 24;
}

struct Index {
  std::uint32_t factor = 0;
  std::array<std::uint8_t, slots> verb_at{};
};

consteval Index find_index() {
  for (std::uint32_t factor = 0x9e3779b1;; factor += 2) {
    Index index{factor, {}};
    index.verb_at.fill(nobody);
    bool clash = false;
    for (std::size_t i = 0; i < names.size() && !clash; ++i) {
      std::uint8_t& verb = index.verb_at[slot(names[i], factor)];
      clash = verb != nobody;
      verb = static_cast<std::uint8_t>(i);
    }
    if (!clash) return index;
  }
}

constexpr Index index = find_index();

}  // namespace

std::string_view name_of(Verb verb) { return names[static_cast<std::size_t>(verb)]; }

bool verb_named(std::string_view name, Verb& verb) {
  if (name.empty() || name.size() > 32) return false;
  const std::uint8_t found = index.verb_at[slot(name, index.factor)];
  if (found == nobody || names[found] != name) return false;
  verb = static_cast<Verb>(found);
  return true;
}

}  // namespace tallymill::bus
