#include "tests/sim/order.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/limits.h"

namespace tallymill::sim {

namespace {

[[noreturn]] void broken(const std::string& law, std::int64_t job) {
  throw Broken{law + " (job " + std::to_string(job) + ")"};
}

}  // namespace

void Order::front_started() {
  live_.clear();
  sent_.clear();
  since_overtaking_ = {};
}

void Order::joins(std::int64_t job, int kind, int priority, int client, Instant deadline) {
  live_[job] = {kind, priority, client, deadline, {}};
}

void Order::sent(std::int64_t job, bool alone) {
  if (!alone) sent_.push_back(job);
}

// Nothing becomes ready between the first dispatch of a turn and its last: what is ready still was
// there all the time, and what went later was there too.
void Order::turn_ends(const front::Machine& machine) {
  if (sent_.empty()) return;
  std::vector<Waits*> ready;
  for (auto& entry : live_)
    if (machine.state(JobId(entry.first)) == front::Machine::State::ready) ready.push_back(&entry);
  std::vector<Waits*> went;
  for (const std::int64_t job : sent_) went.push_back(&*live_.find(job));
  for (std::size_t i = 0; i < went.size(); ++i) {
    std::vector<Waits*> others = ready;
    others.insert(others.end(), went.begin() + static_cast<std::ptrdiff_t>(i) + 1, went.end());
    goes_first(*went[i], others);
  }
  sent_.clear();
}

void Order::goes_first(const Waits& sent, const std::vector<Waits*>& others) {
  const auto& [job, it] = sent;
  bool overtakes = false;
  for (Waits* waits : others) {
    auto& [other, that] = *waits;
    if (that.kind != it.kind) continue;
    overtakes = overtakes || that.priority > it.priority;
    if (that.priority != it.priority) continue;
    if (that.client == it.client) {
      that.passed_by.clear();
      if (std::pair(that.deadline, other) < std::pair(it.deadline, job))
        broken("of a client's jobs the nearest deadline goes first, then the older", job);
    } else if (++that.passed_by[it.client] > 1) {
      broken("clients take turns", job);
    }
  }
  live_.at(job).passed_by.clear();
  int& since = since_overtaking_[static_cast<std::size_t>(it.kind)];
  if (!overtakes)
    ++since;
  else if (std::exchange(since, 0) + 1 < limits::starvation_turn)
    broken("the higher priority goes first", job);
}

}  // namespace tallymill::sim
