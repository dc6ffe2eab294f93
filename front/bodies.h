// Bodies: those of jobs that wait, kept in memory from their commit to their dispatch. Most jobs
// are sent soon after they were accepted; what does not fit here is read back from the ledger then.
//
//   invariant: what is kept is together at most the bound
//
// Threads: the front's loop.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/units.h"

namespace tallymill::front {

class Bodies {
 public:
  explicit Bodies(Bytes bound) : bound_(bound) {}

  [[nodiscard]] bool has_room_for(Bytes size) const { return bytes_ + size <= bound_; }
  // One that does not fit is not kept.
  void keep(JobId job, std::string&& body) {
    if (!has_room_for(size_of(body))) return;
    bytes_ += size_of(body);
    bodies_.emplace(job.raw(), std::move(body));
  }
  // Null when it is not kept; valid until the next call.
  [[nodiscard]] const std::string* find(JobId job) const {
    const auto found = bodies_.find(job.raw());
    return found == bodies_.end() ? nullptr : &found->second;
  }
  void drop(JobId job) {
    const auto found = bodies_.find(job.raw());
    if (found == bodies_.end()) return;
    bytes_ -= size_of(found->second);
    bodies_.erase(found);
  }

  [[nodiscard]] Bytes bytes() const { return bytes_; }

 private:
  [[nodiscard]] static Bytes size_of(const std::string& body) {
    return Bytes(static_cast<std::int64_t>(body.size()));
  }

  const Bytes bound_;
  std::unordered_map<std::int64_t, std::string> bodies_;
  Bytes bytes_{};
};

}  // namespace tallymill::front
