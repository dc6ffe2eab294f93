// Statsd: the sums of what StatsD lines said, from datagrams to cumulative values.
//
// A counter adds value / rate up. A gauge is its last value; one with a sign adds to it. Timings
// (ms) and histograms (h, d) become classic histograms: NAME_bucket with `le`, NAME_sum and
// NAME_count. A timing is given in seconds, with the 25 bounds of base/histogram.h; what h and d
// measure is not known, so that it stays as it is, with powers of two as bounds, from 2^-10 to
// 2^30. A set is how many values it had since the last flush: exact up to
// limits::statsd_set_values, and what is above is counted. Names stay as statsd_line.h makes them:
// a counter gets no _total.
//
// A line of a series that is known in the way it is written costs no allocation but for a set's new
// value. A line is taken whole or not at all, and what is not is counted by its reason. A name has
// the type that it came with first.
//
//   invariant: a series keeps its slots for as long as this lives; slots are 0, 1, 2, ...
//   invariant: series, spellings, histograms, sets and their values are within limits::statsd_*,
//              the spellings' texts within most_spelling_bytes; a series that is there is never
//              given up for a new one
//
// Threads: one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/histogram.h"
#include "base/limits.h"
#include "collector/distinct.h"
#include "collector/incoming.h"
#include "collector/statsd_line.h"

namespace tallymill::collector {

// All spellings: of 256 bytes each, if there are as many as may be.
inline constexpr std::size_t most_spelling_bytes = limits::statsd_spellings * 256;

class StatsdSink {
 public:
  virtual ~StatsdSink() = default;
  // Of a slot; whoever has not seen it before asks labels() and keeps what that became.
  virtual void value(std::uint32_t slot, double value) = 0;
};

class Statsd {
 public:
  Statsd();

  // Lines, with LF or CRLF between them.
  void take(std::string_view datagram);
  // Every slot, in its order. Sets begin anew.
  void flush(StatsdSink& sink);

  // REQUIRES: flush() gave this slot.
  [[nodiscard]] Labels labels(std::uint32_t slot) const;
  [[nodiscard]] MetricType type(std::uint32_t slot) const;

  // Lines that counted, and those that did not.
  [[nodiscard]] std::uint64_t lines() const { return lines_; }
  [[nodiscard]] std::uint64_t faults(StatsdFault fault) const {
    return faults_[static_cast<std::size_t>(fault)];
  }
  // Values of sets that found their set full. One that comes again counts again.
  [[nodiscard]] std::uint64_t set_overflow() const { return set_overflow_; }

  [[nodiscard]] std::size_t series() const { return series_.size(); }
  [[nodiscard]] std::size_t spellings() const { return spellings_.size(); }
  [[nodiscard]] std::size_t spelling_bytes() const { return spelling_bytes_; }
  [[nodiscard]] std::size_t histograms() const { return histograms_; }
  [[nodiscard]] std::size_t sets() const { return sets_; }

 private:
  struct Distribution {
    ProbeHistogram slab;
    double sum = 0;
    double uncounted = 0;  // of 1 / rate, what is less than one
  };
  struct Series {
    StatsdType type;
    Labels labels;
    std::uint32_t slot = 0;  // its first
    double value = 0;
    std::unique_ptr<Distribution> distribution = {};
    std::unique_ptr<Distinct> set = {};
  };
  // A name and tags as somebody writes them.
  struct Spelling {
    std::string text;  // name and tags
    std::size_t name_bytes;
    StatsdType type;
    std::uint32_t series;
  };
  using Outcome = std::expected<void, StatsdFault>;
  using Found = std::expected<std::uint32_t, StatsdFault>;

  [[nodiscard]] Outcome line(std::string_view text);
  [[nodiscard]] Outcome read_values(const StatsdLine& line);
  [[nodiscard]] Found find(const StatsdLine& line);
  [[nodiscard]] Found find_or_make(const StatsdLine& line);
  [[nodiscard]] Outcome claim_name(const std::string& name, StatsdType type);
  [[nodiscard]] Outcome room_for(StatsdType type) const;
  void remember(std::uint64_t hash, const StatsdLine& line, std::uint32_t series);
  void apply(Series& series, const StatsdLine& line);
  void add(Series& series, double value, double rate);
  void flush(const Series& series, StatsdSink& sink) const;
  [[nodiscard]] std::uint64_t hash(std::string_view text) const;
  [[nodiscard]] const Series& owner(std::uint32_t slot) const;

  std::uint64_t seed_;  // nobody who sends names shall know which ones collide
  std::uint64_t hash_of_nothing_ = 0;
  std::vector<Series> series_;
  std::uint32_t slots_ = 0;
  std::size_t histograms_ = 0;
  std::size_t sets_ = 0;
  std::vector<Spelling> spellings_;
  std::size_t spelling_bytes_ = 0;  // of their texts
  // Open addressing, by hash: the upper half of it, and the number of the spelling plus one.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> table_;
  std::unordered_map<Labels, std::uint32_t, LabelsHash> by_labels_;
  // Of metrics; nothing: it is a part of a histogram.
  std::unordered_map<std::string, std::optional<StatsdType>> names_;
  std::vector<double> values_;  // of a line
  std::uint64_t lines_ = 0;
  std::array<std::uint64_t, statsd_faults> faults_{};
  std::uint64_t set_overflow_ = 0;
};

}  // namespace tallymill::collector
