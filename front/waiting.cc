#include "front/waiting.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::front {
namespace {

// Far above limits::starvation_turn: what no worker serves is passed over without end.
constexpr int counted_up_to = 1'000'000;

}  // namespace

std::optional<RouteId> Waiting::next_route(const std::vector<bool>& stuck) const {
  std::optional<RouteId> best;
  // Passed over too often; then by what its most urgent job is worth; then the older job.
  const auto rank = [&](RouteId id) {
    const Route& route = routes_[id];
    const bool overdue = route.passed_over >= limits::starvation_turn;
    return std::tuple(overdue ? 0 : 1, -highest(route), next(id));
  };
  for (std::size_t i = 0; i < routes_.size(); ++i)
    if (const auto id = static_cast<RouteId>(i);
        !stuck[id] && !empty(id) && (!best || rank(id) < rank(*best)))
      best = id;
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
  int next = highest(route);
  if (route.since_overdue + 1 < limits::starvation_turn) return next;
  int longest = limits::starvation_turn - 1;
  for (int p = 0; p < priorities; ++p) {
    const auto at = static_cast<std::size_t>(p);
    if (!route.by_priority[at].empty() && route.passed_by[at] > longest)
      next = p, longest = route.passed_by[at];
  }
  return next;
}

JobId Waiting::next(RouteId id) const {
  return routes_[id].by_priority[static_cast<std::size_t>(next_priority(id))].front();
}

void Waiting::pop(RouteId id) {
  Route& route = routes_[id];
  const int priority = next_priority(id);
  const auto count = [](int& counter) { counter = std::min(counter + 1, counted_up_to); };
  if (priority < highest(route))
    route.since_overdue = 0;
  else
    count(route.since_overdue);
  for (int p = 0; p < priority; ++p)
    if (const auto at = static_cast<std::size_t>(p); !route.by_priority[at].empty())
      count(route.passed_by[at]);
  route.passed_by[static_cast<std::size_t>(priority)] = 0;
  route.by_priority[static_cast<std::size_t>(priority)].pop();
  --route.size;
  for (Route& other : routes_)
    if (other.size > 0) count(other.passed_over);
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
  for (std::size_t i = 0; i < routes_.size(); ++i)
    if (const auto id = static_cast<RouteId>(i);
        !stuck[id] && !routes_[id].alone.empty() && (!best || next_alone(id) < next_alone(*best)))
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
