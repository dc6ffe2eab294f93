#include "front/waiting.h"

#include <tuple>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::front {

std::optional<RouteId> Waiting::next_route(const std::vector<bool>& stuck) const {
  std::optional<RouteId> best;
  // Passed over too often; then by what its most urgent job is worth; then the older job.
  const auto rank = [&](RouteId id) {
    const Route& route = routes_[id];
    const bool overdue = route.passed_over >= limits::starvation_turn;
    return std::tuple(overdue ? 0 : 1, -highest(route), next(id));
  };
  for (RouteId id = 0; id < routes_.size(); ++id)
    if (!stuck[id] && !empty(id) && (!best || rank(id) < rank(*best))) best = id;
  return best;
}

int Waiting::highest(const Route& route) {
  for (int p = priorities - 1; p >= 0; --p)
    if (!route.by_priority[static_cast<std::size_t>(p)].empty()) return p;
  TM_CHECK(false && "a route's size is the sum of its queues");
  return 0;
}

int Waiting::next_priority(RouteId id) const {
  const Route& route = routes_[id];
  TM_CHECK(route.size > 0);
  if (route.since_lowest + 1 >= limits::starvation_turn)
    for (int p = 0; p < priorities; ++p)
      if (!route.by_priority[static_cast<std::size_t>(p)].empty()) return p;
  return highest(route);
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
  for (Route& other : routes_)
    if (other.size > 0) ++other.passed_over;
  route.passed_over = 0;
}

void Waiting::push_alone(RouteId route, JobId job) {
  TM_CHECK(routes_[route].alone.insert(job).second);
}

void Waiting::erase_alone(RouteId route, JobId job) {
  TM_CHECK(routes_[route].alone.erase(job) == 1);
}

std::optional<RouteId> Waiting::next_alone_route(const std::vector<bool>& stuck) const {
  std::optional<RouteId> best;
  for (RouteId id = 0; id < routes_.size(); ++id)
    if (!stuck[id] && !routes_[id].alone.empty() && (!best || next_alone(id) < next_alone(*best)))
      best = id;
  return best;
}

Waiting::Counts Waiting::counts() const {
  Counts counts;
  for (const Route& route : routes_) {
    for (const FairQueue& queue : route.by_priority) counts.ready += queue.size();
    counts.ready += static_cast<std::int64_t>(route.alone.size());
  }
  counts.ready += static_cast<std::int64_t>(held.size());
  counts.backoff = static_cast<std::int64_t>(backoff.size());
  counts.scheduled = static_cast<std::int64_t>(scheduled.size());
  return counts;
}

}  // namespace tallymill::front
