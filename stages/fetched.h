// Fetched: the blobs that a worker fetched last, so that jobs with the same photograph fetch it
// once, also when several threads ask for it at a time: the first fetches, the others wait for it.
// The longest unused go first.
//
//   invariant: what is kept is together at most the bound
//   invariant: one thread at a time fetches a blob
//
// Threads: any; one mutex, held for table work and `go_on` only.
#pragma once

#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/units.h"

namespace tallymill::stages {

using Fetch = std::shared_ptr<const std::string>;

class Fetched {
 public:
  explicit Fetched(Bytes bound) : bound_(bound) {}

  // Null when it is not kept.
  [[nodiscard]] Fetch find(const std::string& digest) {
    const std::lock_guard lock(kept_mutex_);
    return find_locked(digest);
  }

  // As find(), but waits while another thread fetches it. Null when the caller is to fetch it: it
  // says land() then, whatever came of it. Nothing when `go_on`, asked now and then, said no.
  [[nodiscard]] std::optional<Fetch> find_or_claim(const std::string& digest,
                                                   const std::function<bool()>& go_on) {
    std::unique_lock lock(kept_mutex_);
    for (;;) {
      if (Fetch kept = find_locked(digest)) return kept;
      auto& flight = flights_[digest];
      if (flight == nullptr) {
        flight = std::make_shared<Flight>();
        return Fetch{};
      }
      const std::shared_ptr<Flight> other = flight;
      while (!other->over) {
        if (!go_on()) return std::nullopt;
        landed_.wait_for(lock, limits::client_look);
      }
      // Also one that is too large to be kept. If it failed, this thread tries next.
      if (other->blob) return other->blob;
    }
  }
  // Null: it could not be fetched.
  void land(const std::string& digest, const Fetch& blob) {
    if (blob) keep(digest, blob);
    {
      const std::lock_guard lock(kept_mutex_);
      const auto flight = flights_.extract(digest);
      TM_CHECK(!flight.empty());
      flight.mapped()->over = true;
      flight.mapped()->blob = blob;
    }
    landed_.notify_all();
  }

  // One that is larger than the bound is not kept.
  void keep(const std::string& digest, const Fetch& blob) {
    const std::lock_guard lock(kept_mutex_);
    if (size_of(blob) > bound_ || by_digest_.contains(digest)) return;
    order_.emplace_front(digest, blob);
    by_digest_.emplace(digest, order_.begin());
    bytes_ += size_of(blob);
    while (bytes_ > bound_) {
      bytes_ -= size_of(order_.back().second);
      by_digest_.erase(order_.back().first);
      order_.pop_back();
    }
  }

  [[nodiscard]] Bytes bytes() const {
    const std::lock_guard lock(kept_mutex_);
    return bytes_;
  }

 private:
  struct Flight {
    bool over = false;
    Fetch blob;
  };

  [[nodiscard]] Fetch find_locked(const std::string& digest) {
    const auto found = by_digest_.find(digest);
    if (found == by_digest_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->second;
  }
  [[nodiscard]] static Bytes size_of(const Fetch& blob) {
    return Bytes(static_cast<std::int64_t>(blob->size()));
  }

  using Order = std::list<std::pair<std::string, Fetch>>;
  const Bytes bound_;
  mutable std::mutex kept_mutex_;  // guards all below
  Order order_;                    // the last used first
  std::unordered_map<std::string, Order::iterator> by_digest_;
  Bytes bytes_{};
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
  std::condition_variable landed_;
};

}  // namespace tallymill::stages
