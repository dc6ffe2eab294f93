// BlobPlace: where the front's blobs are, for this worker: in a folder that it can map, or behind
// the front's jobs door.
//
// The front's welcome tells; a job may come on the lane sooner, so a handler thread waits for it.
//
// Threads: set() by the loop, wait() by handler threads.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/limits.h"
#include "store/blobs.h"

namespace tallymill::stages {

struct BlobsAt {
  std::shared_ptr<store::Blobs> mapped;  // null: on another host
  std::string jobs_door;                 // empty: the front named none
};

class BlobPlace {
 public:
  void set(BlobsAt at) {
    {
      const std::lock_guard lock(place_mutex_);
      at_ = std::move(at);
      known_ = true;
    }
    told_.notify_all();
  }

  // Nowhere when the front has not told within `longest`, or `go_on`, asked now and then, said no.
  [[nodiscard]] BlobsAt wait(Duration longest, const std::function<bool()>& go_on) const {
    std::unique_lock lock(place_mutex_);
    const auto until = std::chrono::steady_clock::now() + longest;
    while (!known_ && std::chrono::steady_clock::now() < until && go_on())
      told_.wait_for(lock, limits::client_look);
    return at_;
  }

 private:
  mutable std::mutex place_mutex_;  // guards at_ and known_
  mutable std::condition_variable told_;
  BlobsAt at_;
  bool known_ = false;
};

}  // namespace tallymill::stages
