// FairQueue: the waiting jobs of one route and one priority, shared fairly between clients.
//
// Clients take turns, one job each; inside a client the nearest deadline goes first, and jobs
// without one by age. A client that queues 100,000 jobs delays another's single one by one turn.
//
//   invariant: size() is the number of jobs pushed and neither popped nor erased: the conservation
//              law counts waiting jobs by it
//
// Threads: the front's loop.
#pragma once

#include <cstdint>
#include <deque>
#include <set>
#include <unordered_map>

#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"

namespace tallymill::front {

using ClientId = std::uint32_t;

class FairQueue {
 public:
  struct Place {
    Instant deadline;  // Instant::max(): none
    JobId job;
    friend auto operator<=>(const Place&, const Place&) = default;
  };

  void push(ClientId client, Place place) {
    auto [entry, fresh] = clients_.try_emplace(client);
    if (entry->second.empty()) turns_.push_back(client);
    const auto before = entry->second.size();
    entry->second.insert(entry->second.end(), place);
    TM_CHECK(entry->second.size() == before + 1);
    ++size_;
  }

  // REQUIRES: `place` of `client` is in the queue.
  void erase(ClientId client, Place place) {
    const auto entry = clients_.find(client);
    TM_CHECK(entry != clients_.end() && entry->second.erase(place) == 1);
    --size_;
    if (!entry->second.empty()) return;
    clients_.erase(entry);
    std::erase(turns_, client);
  }

  // Whose turn it is. REQUIRES: size() > 0.
  [[nodiscard]] JobId front() const {
    TM_CHECK(size_ > 0);
    return clients_.at(turns_.front()).begin()->job;
  }

  void pop() {
    TM_CHECK(size_ > 0);
    const ClientId client = turns_.front();
    turns_.pop_front();
    const auto entry = clients_.find(client);
    entry->second.erase(entry->second.begin());
    --size_;
    if (entry->second.empty())
      clients_.erase(entry);
    else
      turns_.push_back(client);
  }

  [[nodiscard]] std::int64_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

 private:
  std::unordered_map<ClientId, std::set<Place>> clients_;  // none is empty
  std::deque<ClientId> turns_;                             // each client of clients_ once
  std::int64_t size_ = 0;
};

}  // namespace tallymill::front
