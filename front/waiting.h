// Waiting: every job that is accepted and not sent, and the order in which they leave.
//
// Ready jobs wait in one FairQueue per route and priority. The highest priority goes first; one
// that was passed over limits::starvation_turn times for higher ones goes before them, the longest
// passed over first, and no more than one in so many dispatches of a route is such a one. A route
// that was passed over that often for others goes before them. Jobs that must run alone (they were
// lost with a worker before) wait in a list of their own, before all others. Jobs that are not due
// yet, by a retry's backoff or by the client's wish, wait by due time. Jobs found at a restart are
// held until the workers have said which of them they hold.
//
//   invariant: a job is in exactly one of these places; counts() are the containers' own sizes
//
// Threads: the front's loop.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "base/clock.h"
#include "base/units.h"
#include "front/fair_queue.h"

namespace tallymill::front {

using RouteId = std::uint16_t;
inline constexpr int priorities = 10;  // 0 lowest

class Waiting {
 public:
  struct Counts {
    std::int64_t ready = 0;
    std::int64_t backoff = 0;
    std::int64_t scheduled = 0;
    [[nodiscard]] std::int64_t all() const { return ready + backoff + scheduled; }
  };
  struct Due {
    Instant at;
    JobId job;
    friend auto operator<=>(const Due&, const Due&) = default;
  };
  struct Ready {
    RouteId route = 0;
    std::int32_t priority = 0;
    ClientId client = 0;
    FairQueue::Place place{};
  };

  void add_route() { routes_.emplace_back(); }

  void push_ready(const Ready& ready) {
    Route& route = routes_[ready.route];
    if (queue(ready).empty()) route.passed_by[static_cast<std::size_t>(ready.priority)] = 0;
    if (route.size == 0) route.passed_over = 0;
    queue(ready).push(ready.client, ready.place);
    ++route.size;
  }
  void erase_ready(const Ready& ready) {
    queue(ready).erase(ready.client, ready.place);
    --routes_[ready.route].size;
  }

  // The route whose turn it is, of those that wait and are not `stuck`.
  [[nodiscard]] std::optional<RouteId> next_route(const std::vector<bool>& stuck) const;
  // The job of `route` that goes next: also when no place is free for it, nobody overtakes it
  // there. REQUIRES: !empty(route).
  [[nodiscard]] JobId next(RouteId route) const;
  [[nodiscard]] int next_priority(RouteId route) const;
  void pop(RouteId route);
  [[nodiscard]] bool empty(RouteId route) const { return routes_[route].size == 0; }
  [[nodiscard]] std::size_t routes() const { return routes_.size(); }

  void push_alone(RouteId route, JobId job);
  void erase_alone(RouteId route, JobId job);
  // The route with the oldest of them, of those not `stuck`; its oldest.
  [[nodiscard]] std::optional<RouteId> next_alone_route(const std::vector<bool>& stuck) const;
  [[nodiscard]] JobId next_alone(RouteId route) const { return *routes_[route].alone.begin(); }

  std::set<JobId> held;
  std::set<Due> backoff;
  std::set<Due> scheduled;

  [[nodiscard]] Counts counts() const;

 private:
  struct Route {
    std::array<FairQueue, priorities> by_priority;
    std::set<JobId> alone;
    std::int64_t size = 0;  // without those alone
    // Dispatches of higher priorities while this one waited, since one of it went.
    std::array<int, priorities> passed_by{};
    int since_overdue = 0;  // dispatches since one that had been passed over went first
    int passed_over = 0;    // dispatches of other routes while this one waited
  };
  [[nodiscard]] static int highest(const Route& route);
  [[nodiscard]] FairQueue& queue(const Ready& ready) {
    return routes_[ready.route].by_priority[static_cast<std::size_t>(ready.priority)];
  }

  std::vector<Route> routes_;
};

}  // namespace tallymill::front
