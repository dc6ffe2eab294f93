#include "alerting/schedule.h"

#include <algorithm>

#include "base/check.h"

namespace tallymill::alerting {
namespace {

// FNV-1a, then mixed: its low bits alone follow the last letters.
std::uint64_t hash_of(std::string_view text, std::uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::uint64_t mixed(std::uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccd;
  return x ^ x >> 33;
}

}  // namespace

std::int64_t offset_of(std::string_view file, std::string_view group, std::int64_t interval_ms) {
  TM_CHECK(interval_ms > 0);
  const std::uint64_t of_file = hash_of(file, 0xcbf29ce484222325);
  const std::uint64_t hash = mixed(hash_of(group, hash_of({"\0", 1}, of_file)));
  return static_cast<std::int64_t>(hash % static_cast<std::uint64_t>(interval_ms));
}

std::int64_t moment_from(std::int64_t now_ms, std::int64_t interval_ms, std::int64_t offset_ms) {
  const std::int64_t into = ((now_ms - offset_ms) % interval_ms + interval_ms) % interval_ms;
  return into == 0 ? now_ms : now_ms - into + interval_ms;
}

Next after(std::int64_t at_ms, std::int64_t now_ms, std::int64_t interval_ms) {
  // Time that was put back by more than a moment is begun anew.
  if (now_ms < at_ms - interval_ms) return {moment_from(now_ms, interval_ms, at_ms), 0};
  const std::int64_t missed = std::max<std::int64_t>(0, (now_ms - at_ms) / interval_ms);
  // One that is due just now is not missed.
  const bool just_due = missed > 0 && (now_ms - at_ms) % interval_ms == 0;
  const std::int64_t passed = missed - (just_due ? 1 : 0);
  return {at_ms + (passed + 1) * interval_ms, passed};
}

}  // namespace tallymill::alerting
