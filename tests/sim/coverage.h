// Coverage: which event met a job in which state, counted over all seeds.
//
// Threads: one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace tallymill::sim {

enum class JobState : std::uint8_t {
  none,
  committing,
  held,
  ready,
  alone,
  backoff,
  scheduled,
  leased,
  adopted,
  stopping,
  settling,
  count,
};

enum class JobEvent : std::uint8_t {
  stored,
  refused,
  noted,
  ended,
  cancel,
  deadline,
  due,
  dispatch,
  listed,
  listed_other,
  received,
  started,
  finished,
  back,
  hop_other,
  done_ok,
  done_error,
  done_retry,
  done_stopped,
  done_other,
  lapse,
  death,
  front_crash,
  count,
};

class Coverage {
 public:
  void hit(JobState state, JobEvent event) {
    ++hits_[static_cast<std::size_t>(state)][static_cast<std::size_t>(event)];
  }
  // A table of counts; returns how many pairs that so many seeds must meet were not hit.
  int print(std::FILE* out, std::uint64_t seeds) const;

 private:
  std::array<std::array<std::int64_t, static_cast<std::size_t>(JobEvent::count)>,
             static_cast<std::size_t>(JobState::count)>
      hits_{};
};

}  // namespace tallymill::sim
