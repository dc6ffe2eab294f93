#include "tests/sim/coverage.h"

namespace tallymill::sim {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(JobState::count)> state_names = {
    "none",      "committing", "held",    "ready",    "alone",   "backoff",
    "scheduled", "leased",     "adopted", "stopping", "settling"};
constexpr std::array<std::string_view, static_cast<std::size_t>(JobEvent::count)> event_names = {
    "stored",       "refused",    "noted",     "ended",        "cancel",     "deadline",
    "due",          "dispatch",   "listed",    "listed_other", "received",   "started",
    "finished",     "back",       "hop_other", "done_ok",      "done_error", "done_retry",
    "done_stopped", "done_other", "lapse",     "death",        "new_lane",   "front_crash"};

}  // namespace

int Coverage::print(std::FILE* out) const {
  std::fprintf(out, "%-13s", "");
  for (const auto name : state_names) std::fprintf(out, "%11s", name.data());
  std::fprintf(out, "\n");
  for (std::size_t event = 0; event < event_names.size(); ++event) {
    std::fprintf(out, "%-13s", event_names[event].data());
    for (std::size_t state = 0; state < state_names.size(); ++state)
      std::fprintf(out, "%11lld", static_cast<long long>(hits_[state][event]));
    std::fprintf(out, "\n");
  }
  return 0;
}

}  // namespace tallymill::sim
