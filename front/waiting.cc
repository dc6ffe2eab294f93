#include "front/waiting.h"

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::front {

int Waiting::next_priority(RouteId id) const {
  const Route& route = routes_[id];
  TM_CHECK(route.size > 0);
  if (route.since_lowest + 1 >= limits::starvation_turn)
    for (int p = 0; p < priorities; ++p)
      if (!route.by_priority[static_cast<std::size_t>(p)].empty()) return p;
  for (int p = priorities - 1; p >= 0; --p)
    if (!route.by_priority[static_cast<std::size_t>(p)].empty()) return p;
  TM_CHECK(false && "a route's size is the sum of its queues");
  return 0;
}

JobId Waiting::next(RouteId id) const {
  return routes_[id].by_priority[static_cast<std::size_t>(next_priority(id))].front();
}

void Waiting::pop(RouteId id) {
  Route& route = routes_[id];
  const int priority = next_priority(id);
  route.by_priority[static_cast<std::size_t>(priority)].pop();
  --route.size;
  route.since_lowest = (route.since_lowest + 1) % limits::starvation_turn;
}

Waiting::Counts Waiting::counts() const {
  Counts counts;
  for (const Route& route : routes_)
    for (const FairQueue& queue : route.by_priority) counts.ready += queue.size();
  counts.ready += static_cast<std::int64_t>(alone.size() + held.size());
  counts.backoff = static_cast<std::int64_t>(backoff.size());
  counts.scheduled = static_cast<std::int64_t>(scheduled.size());
  return counts;
}

}  // namespace tallymill::front
