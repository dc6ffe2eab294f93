// Fetched: the blobs that a worker fetched last, so that jobs with the same photograph fetch it
// once. The longest unused go first.
//
//   invariant: what is kept is together at most the bound
//
// Threads: any; one mutex, held for table work only.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/units.h"

namespace tallymill::stages {

using Fetch = std::shared_ptr<const std::string>;

class Fetched {
 public:
  explicit Fetched(Bytes bound) : bound_(bound) {}

  // Null when it is not kept.
  [[nodiscard]] Fetch find(const std::string& digest) {
    const std::lock_guard lock(kept_mutex_);
    const auto found = by_digest_.find(digest);
    if (found == by_digest_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->second;
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
  [[nodiscard]] static Bytes size_of(const Fetch& blob) {
    return Bytes(static_cast<std::int64_t>(blob->size()));
  }

  using Order = std::list<std::pair<std::string, Fetch>>;
  const Bytes bound_;
  mutable std::mutex kept_mutex_;  // guards all below
  Order order_;                    // the last used first
  std::unordered_map<std::string, Order::iterator> by_digest_;
  Bytes bytes_{};
};

}  // namespace tallymill::stages
