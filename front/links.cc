#include "front/links.h"

#include <algorithm>

#include "base/limits.h"
#include "front/full_jitter.h"

namespace tallymill::front {

Links::Refused Links::refused(WorkerId from, WorkerId to, std::int32_t lane, Instant now,
                              std::mt19937_64& jitter) {
  if (shut(from, to, now)) return {};
  Link& link = links_[{from, to}];
  link.refused_at = now;
  link.until = now + full_jitter(limits::link_backoff_base, limits::link_backoff_cap,
                                 link.refusals++, jitter);
  next_open_ = std::min(next_open_, link.until);
  if (std::exchange(link.lane, lane) != lane) link.of_lane = 0;
  Refused what;
  what.give_up = ++link.of_lane >= limits::link_refusals;
  if (link.refusals < limits::link_refusals) return what;
  what.tell = link.told_at == Instant{} || now - link.told_at >= limits::link_told;
  link.broken = true;
  if (what.tell) {
    link.told_at = now;
    link.told = true;
  }
  return what;
}

bool Links::reached(WorkerId from, WorkerId to, Instant now) {
  if (links_.empty()) return false;
  const auto found = links_.find({from, to});
  if (found == links_.end()) return false;
  Link& link = found->second;
  const bool told = std::exchange(link.told, false);
  link.broken = false;
  link.refusals = 0;
  link.until = now;
  if (now - link.refused_at > limits::link_quiet) links_.erase(found);
  return told;
}

void Links::forget(WorkerId worker) {
  std::erase_if(links_, [&](const auto& link) {
    return link.first.first == worker || link.first.second == worker;
  });
}

std::int64_t Links::broken() const {
  return std::ranges::count_if(links_, [](const auto& link) { return link.second.broken; });
}

Instant Links::next_open(Instant now) const {
  if (next_open_ > now) return next_open_;
  next_open_ = Instant::max();
  for (const auto& [ends, link] : links_)
    if (link.until > now) next_open_ = std::min(next_open_, link.until);
  return next_open_;
}

}  // namespace tallymill::front
