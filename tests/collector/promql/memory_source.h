// Memory source: a few series in vectors, for tests of what is asked of them.
//
// Threads: reading from any, once it is filled.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "collector/query.h"

namespace tallymill::collector {

class MemorySource final : public Source {
 public:
  // REQUIRES: the times of one series come in their order.
  void add(const Labels& labels, std::int64_t t_ms, double value) {
    const auto [at, fresh] = ids_.emplace(std::string(labels.packed()), all_.size());
    if (fresh) all_.push_back({labels, {}});
    all_[at->second].samples.add(t_ms, value);
  }
  // To which its samples are said to be thinned.
  std::int64_t step_ms = 0;

  void clear() {
    all_.clear();
    ids_.clear();
  }

  Result<std::vector<Found>> select(std::span<const Matcher> matchers, std::int64_t,
                                    std::int64_t) const override {
    std::vector<Found> found;
    for (std::size_t i = 0; i < all_.size(); ++i)
      if (std::ranges::all_of(matchers, [&](const Matcher& matcher) {
            return matcher.fits(all_[i].labels.get(matcher.name()));
          }))
        found.push_back({SeriesId(static_cast<std::uint32_t>(i)), all_[i].labels, step_ms});
    return found;
  }
  Status read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
              Column& into) const override {
    into.clear();
    const Column& samples = all_.at(series.raw()).samples;
    for (std::size_t i = 0; i < samples.size(); ++i)
      if (samples.t_ms[i] >= from_ms && samples.t_ms[i] <= to_ms)
        into.add(samples.t_ms[i], samples.value[i]);
    return {};
  }

 private:
  struct One {
    Labels labels;
    Column samples;
  };
  std::vector<One> all_;
  std::map<std::string, std::size_t> ids_;
};

}  // namespace tallymill::collector
