#include "alerting/backtest_answers.h"

#include <algorithm>
#include <utility>

#include "alerting/limits.h"
#include "alerting/overlay.h"
#include "base/check.h"
#include "base/limits.h"

namespace tallymill::alerting {
namespace {

using collector::Column;
using collector::Source;

// Notes what is read. Nothing that is later than `until_ms`: it was not there yet.
class Watched final : public Source {
 public:
  Watched(const Source& source, std::int64_t until_ms, Seen& seen)
      : source_(source), until_ms_(until_ms), seen_(seen) {}

  Result<std::vector<Found>> select(std::span<const collector::Matcher> matchers,
                                    std::int64_t from_ms, std::int64_t to_ms) const override {
    const std::int64_t end_ms = std::min(to_ms, until_ms_);
    auto found = source_.select(matchers, from_ms, end_ms);
    if (!found) return found;
    for (const Found& one : *found) {
      if (one.step_ms == 0) continue;
      seen_.step_ms = std::max(seen_.step_ms, one.step_ms);
      seen_.coarse_ms = std::max(seen_.coarse_ms, end_ms);
    }
    return found;
  }
  Status read(collector::SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
              Column& into) const override {
    return noted(source_.read(series, from_ms, std::min(to_ms, until_ms_), into), series, into);
  }
  Status read_last(collector::SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                   Column& into) const override {
    return noted(source_.read_last(series, from_ms, std::min(to_ms, until_ms_), into), series,
                 into);
  }

 private:
  Status noted(Status read, collector::SeriesId series, const Column& into) const {
    if (!read || into.size() == 0) return read;
    if (Overlay::is_given(series))
      seen_.given += into.size();
    else
      seen_.add(
          {.samples = into.size(), .first_ms = into.t_ms.front(), .last_ms = into.t_ms.back()});
    return read;
  }

  const Source& source_;
  const std::int64_t until_ms_;
  Seen& seen_;
};

std::vector<bool> moments_with_rows(const promql::Value& value, std::size_t count) {
  if (value.type == promql::Type::scalar) return std::vector<bool>(count, true);
  std::vector<bool> has;
  if (value.rows.empty()) return has;
  has.resize(count, false);
  for (const promql::Row& row : value.rows)
    for (std::size_t i = 0; i < count; ++i)
      if (!promql::is_absent(row.values[i])) has[i] = true;
  return has;
}

}  // namespace

void Seen::add(const Seen& other) {
  if (other.samples > 0) {
    first_ms = samples == 0 ? other.first_ms : std::min(first_ms, other.first_ms);
    last_ms = samples == 0 ? other.last_ms : std::max(last_ms, other.last_ms);
    samples += other.samples;
  }
  given += other.given;
  step_ms = std::max(step_ms, other.step_ms);
  coarse_ms = std::max(coarse_ms, other.coarse_ms);
}

Status Answers::fill() {
  if (!at_once_ || !parts_.empty() || grid_.count == 0) return {};
  return ask(0, grid_.count);
}

Status Answers::ask(std::size_t first, std::size_t count) {
  promql::EvaluateOptions options{.until = limits_.until, .cancelled = limits_.cancelled};
  if (count > 1) options.samples = limits::backtest_numbers;
  const promql::Grid grid{grid_.at(first), grid_.step_ms, count};
  const Watched source(source_, grid.at(count - 1), seen_);
  auto value = promql::evaluate(node_, grid, source, options);
  if (!value) {
    const Errc code = value.error().code;
    if (code == Errc::cancelled || code == Errc::deadline)
      return std::unexpected(std::move(value).error());
    if (count > 1) {
      const std::size_t half = count / 2;
      if (auto asked = ask(first, half); !asked) return asked;
      return ask(first + half, count - half);
    }
  }
  Part part{first, count, std::move(value)};
  if (part.value)
    part.has = moments_with_rows(*part.value, count);
  else
    part.has.assign(count, true);
  parts_.push_back(std::move(part));
  return {};
}

Result<bool> Answers::has(std::size_t step) {
  if (at_once_) {
    if (auto filled = fill(); !filled) return std::unexpected(std::move(filled).error());
  } else if (parts_.empty() || parts_.front().first != step) {
    parts_.clear();
    if (auto asked = ask(step, 1); !asked) return std::unexpected(std::move(asked).error());
  }
  const Part& one = part(step);
  return !one.has.empty() && one.has[step - one.first];
}

const Answers::Part& Answers::part(std::size_t step) const {
  if (last_ >= parts_.size() || parts_[last_].first > step) last_ = 0;
  while (parts_[last_].first + parts_[last_].count <= step) {
    ++last_;
    TM_CHECK(last_ < parts_.size());
  }
  return parts_[last_];
}

Result<std::vector<Match>> Answers::at(std::size_t step) const {
  const Part& one = part(step);
  if (!one.value) return std::unexpected(one.value.error());
  const std::size_t i = step - one.first;
  std::vector<Match> rows;
  if (one.value->type == promql::Type::scalar) {
    rows.push_back({collector::Labels(), one.value->scalars[i]});
    return rows;
  }
  for (const promql::Row& row : one.value->rows)
    if (!promql::is_absent(row.values[i])) rows.push_back({row.labels, row.values[i]});
  return rows;
}

}  // namespace tallymill::alerting
