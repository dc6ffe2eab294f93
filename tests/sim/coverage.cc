#include "tests/sim/coverage.h"

namespace tallymill::sim {
namespace {

constexpr std::array<const char*, static_cast<std::size_t>(JobState::count)> state_names = {
    "none",      "committing", "held",    "ready",    "alone",   "backoff",
    "scheduled", "leased",     "adopted", "stopping", "settling"};
constexpr std::array<const char*, static_cast<std::size_t>(JobEvent::count)> event_names = {
    "stored",       "refused",    "noted",     "ended",        "cancel",     "deadline",
    "due",          "dispatch",   "listed",    "listed_other", "received",   "started",
    "finished",     "back",       "hop_other", "done_ok",      "done_error", "done_retry",
    "done_stopped", "done_other", "lapse",     "death",        "front_crash"};

// The pairs that a thousand seeds meet (x), and those that ten thousand do (o). Not those that
// cannot be (a job whose commit is outstanding has no token that anybody could list), nor those of
// chance upon chance, which ten thousand seeds meet less than 30 times.
constexpr std::array<const char*, static_cast<std::size_t>(JobEvent::count)> must_be_met = {
    // none committing held ready alone backoff scheduled leased adopted stopping settling
    " x         ",  // stored
    " x         ",  // refused
    "  xxxx x xx",  // noted
    "          x",  // ended
    "x xxxxxxoxx",  // cancel
    "x xxxxxxoo ",  // deadline
    "     xx    ",  // due
    "   xx      ",  // dispatch
    "x xxxx xxxx",  // listed
    "x   xx x  x",  // listed_other
    "x  oox xxxx",  // received
    "x  xox xxxx",  // started
    "x  oxx xxxx",  // finished
    "   xo  xx  ",  // back
    "x      x   ",  // hop_other
    "x  xx  xxxx",  // done_ok
    "       xx x",  // done_error
    "o  oxx xxxx",  // done_retry
    "x      ooxx",  // done_stopped
    "x xo   x   ",  // done_other
    "       xxx ",  // lapse
    "       xxx ",  // death
    "  xxxxxxxox",  // front_crash
};

}  // namespace

int Coverage::print(std::FILE* out, std::uint64_t seeds) const {
  int must = 0, missed = 0;
  std::fprintf(out, "%-13s", "");
  for (const char* name : state_names) std::fprintf(out, "%11s", name);
  std::fprintf(out, "\n");
  for (std::size_t event = 0; event < event_names.size(); ++event) {
    std::fprintf(out, "%-13s", event_names[event]);
    for (std::size_t state = 0; state < state_names.size(); ++state) {
      const auto hits = static_cast<long long>(hits_[state][event]);
      const char mark = must_be_met[event][state];
      const bool wanted = (mark == 'x' && seeds >= 1'000) || (mark == 'o' && seeds >= 10'000);
      must += wanted;
      missed += wanted && hits == 0;
      std::fprintf(out, "%10lld%c", hits, wanted && hits == 0 ? '!' : ' ');
    }
    std::fprintf(out, "\n");
  }
  std::fprintf(out, "%d of %d (state, event) pairs that must be met were\n", must - missed, must);
  return missed;
}

}  // namespace tallymill::sim
