// What the tests of rules that run by themselves share: a store that several threads use, a clock
// that runs and can be moved on, files of rules.
//
// Threads: any.
#pragma once

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <limits>
#include <mutex>
#include <string>
#include <vector>

#include "alerting/memory_store.h"
#include "base/clock.h"
#include "tests/alerting/rules_of.h"
#include "tests/alerting/sink_fixture.h"

namespace tallymill::alerting {

class LockedStore final : public collector::Source, public SampleSink {
 public:
  Status append(std::span<const Sample> samples) override {
    const std::lock_guard lock(mutex_);
    return store_.append(samples);
  }
  Result<std::vector<Found>> select(std::span<const collector::Matcher> matchers,
                                    std::int64_t from_ms, std::int64_t to_ms) const override {
    const std::lock_guard lock(mutex_);
    return store_.select(matchers, from_ms, to_ms);
  }
  Status read(collector::SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
              collector::Column& into) const override {
    const std::lock_guard lock(mutex_);
    return store_.read(series, from_ms, to_ms, into);
  }
  Status read_last(collector::SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                   collector::Column& into) const override {
    const std::lock_guard lock(mutex_);
    return store_.read_last(series, from_ms, to_ms, into);
  }

  void put(const Texts& labels, std::int64_t t_ms, double value) {
    const std::lock_guard lock(mutex_);
    EXPECT_TRUE(store_.add(labels_of(labels), t_ms, value));
  }
  // Its last sample is a stale marker.
  [[nodiscard]] bool has_ended(const Texts& labels) const {
    const std::lock_guard lock(mutex_);
    collector::Column last;
    const auto& all = store_.all();
    const auto at = std::ranges::find(all, labels_of(labels));
    if (at == all.end()) return false;
    const collector::SeriesId id(static_cast<std::uint32_t>(at - all.begin()));
    EXPECT_TRUE(store_.read_last(id, 0, std::numeric_limits<std::int64_t>::max(), last));
    return last.size() > 0 && collector::is_stale(last.value.back());
  }

 private:
  mutable std::mutex mutex_;  // guards store_
  MemoryStore store_;
};

// The system's, and as far ahead as the test says.
class MovedClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return system_.now(); }
  [[nodiscard]] WallTime wall() const override {
    return system_.wall() + std::chrono::milliseconds(ahead_ms_);
  }
  [[nodiscard]] std::int64_t ms() const { return to_ns(wall()) / 1'000'000; }
  void move(std::chrono::milliseconds by) { ahead_ms_ += by.count(); }

 private:
  const SystemClock system_;
  std::atomic<std::int64_t> ahead_ms_{0};
};

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::trunc) << text;
}

}  // namespace tallymill::alerting
