// Query: what may be asked of samples, whoever holds them: the one door for PromQL, alerting and
// the API.
//
// Threads: a Source says for itself; select() and read() may be called from several at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "collector/series.h"

namespace tallymill::collector {

// A condition on one label. A label that is not there has the value "".
class Matcher {
 public:
  enum class Kind : std::uint8_t { equal, not_equal, matches, not_matches };

  // bad_params: what it is to match is no expression of RE2. It is anchored at both ends.
  [[nodiscard]] static Result<Matcher> of(Kind kind, std::string name, std::string value);

  [[nodiscard]] bool fits(std::string_view value) const;
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const std::string& value() const { return value_; }
  // Instructions of its expression.
  [[nodiscard]] std::int64_t program() const;
  // As PromQL writes it: name=~"value".
  [[nodiscard]] std::string text() const;

 private:
  struct Expression;
  Kind kind_ = Kind::equal;
  std::string name_;
  std::string value_;
  std::shared_ptr<const Expression> expression_;  // of a kind that matches
};

// While it lives, regular expressions of this thread's matchers have so much time. When that is
// over nothing fits any more, and who made it must look.
class MatchingTime {
 public:
  explicit MatchingTime(std::chrono::milliseconds most = limits::matching_time);
  ~MatchingTime();
  MatchingTime(const MatchingTime&) = delete;
  MatchingTime& operator=(const MatchingTime&) = delete;

  // deadline: it is over, and what was selected is not all.
  [[nodiscard]] Status check() const;
  // Whether there is some left for a value of so many bytes.
  [[nodiscard]] static bool is_left(std::size_t bytes);

 private:
  std::chrono::steady_clock::time_point until_;
  std::size_t bytes_ = 0;  // since the clock was looked at
  bool over_ = false;
};

// Samples of one series, by time.
struct Column {
  std::vector<std::int64_t> t_ms;
  std::vector<double> value;
  [[nodiscard]] std::size_t size() const { return t_ms.size(); }
  void clear() {
    t_ms.clear();
    value.clear();
  }
  void add(std::int64_t at_ms, double sample) {
    t_ms.push_back(at_ms);
    value.push_back(sample);
  }
};

class Source {
 public:
  virtual ~Source() = default;
  struct Found {
    SeriesId series;
    Labels labels;
    // In this time there may be one sample in so many milliseconds left; 0: all are as they came.
    std::int64_t step_ms = 0;
  };
  // The series that all matchers fit, by id. Some of them may have no sample in this time: both
  // ends are in it.
  [[nodiscard]] virtual Result<std::vector<Found>> select(std::span<const Matcher> matchers,
                                                          std::int64_t from_ms,
                                                          std::int64_t to_ms) const = 0;
  // Its samples from `from_ms` to `to_ms`, both in it, into `into`, which is cleared before; stale
  // markers too. corrupt: what is stored cannot be read.
  [[nodiscard]] virtual Status read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                                    Column& into) const = 0;
  // As read(), for who wants the last of them only: of the others any may be missing.
  [[nodiscard]] virtual Status read_last(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                                         Column& into) const {
    return read(series, from_ms, to_ms, into);
  }
  // Whether it has a sample in this time, be it a stale marker.
  [[nodiscard]] virtual Result<bool> has_samples(SeriesId series, std::int64_t from_ms,
                                                 std::int64_t to_ms) const {
    Column some;
    const auto read = read_last(series, from_ms, to_ms, some);
    if (!read) return std::unexpected(read.error());
    return some.size() > 0;
  }
};

}  // namespace tallymill::collector
