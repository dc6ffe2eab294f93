// 1. A line is read into views; its values into numbers, all of them before any counts.
// 2. Its series is found by the bytes of its name and tags in a table of spellings. Only a spelling
//    that is new is made into labels, which are looked for among the series; a series that is new
//    takes its slots and its metric's name.
// 3. Histograms hold whole ticks: nanoseconds of a timing, 1/1024 of anything else. A value is
//    rounded up to one, so that a bound, which is the edge of a bucket, holds it or not as it was.
#include "collector/statsd.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <optional>
#include <random>
#include <span>

#include "base/check.h"
#include "base/limits.h"
#include "collector/bytes.h"
#include "collector/labels_check.h"
#include "collector/number.h"

namespace tallymill::collector {
namespace {

using Slab = ProbeHistogram::Layout;

constexpr double ns_per_ms = 1e6;
constexpr double ticks_per_one = 1024;

// Finer where milliseconds and counts lie than at both ends.
constexpr std::size_t value_bound_count = 30;
constexpr std::array<std::uint64_t, value_bound_count> value_bounds = [] {
  std::array<std::uint64_t, value_bound_count> bounds{};
  std::size_t n = 0;
  for (int power = -10; power <= 30; power += power < -4 || power >= 14 ? 2 : 1)
    bounds[n++] = std::uint64_t{1} << (power + 10);
  if (n != value_bound_count) throw "value_bound_count is wrong";
  return bounds;
}();

std::span<const std::uint64_t> bounds_of(StatsdType type) {
  if (type == StatsdType::timing) return le_bounds_ns;
  return value_bounds;
}
// Divided by, and not multiplied with its inverse: bounds are then as base/metrics.h writes them.
double ticks_per_unit(StatsdType type) { return type == StatsdType::timing ? 1e9 : ticks_per_one; }

bool is_distribution(StatsdType type) {
  return type == StatsdType::timing || type == StatsdType::histogram;
}

// Buckets, +Inf, sum and count; or the value.
std::uint32_t slots_of(StatsdType type) {
  return is_distribution(type) ? static_cast<std::uint32_t>(bounds_of(type).size() + 3) : 1;
}

std::uint64_t ticks(double value, StatsdType type) {
  constexpr auto most = static_cast<double>(std::uint64_t{1} << Slab::octave_max);
  const double wanted = std::ceil(value * (type == StatsdType::timing ? ns_per_ms : ticks_per_one));
  return wanted <= 0 ? 0 : static_cast<std::uint64_t>(std::min(wanted, most + 1));
}

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

constexpr auto eight = load_word<std::uint64_t>;

// With what its buckets add.
bool fits_as_distribution(const Labels& labels) {
  LabelsBuilder builder(labels);
  builder.set(metric_name, std::string(labels.metric()) + "_bucket");
  builder.set("le", "0.000024576");
  const Labels made = builder.build();
  std::vector<Label> settled;
  for (const Label& label : made) settled.push_back(label);
  return settle(settled) == LabelFault::none;
}

}  // namespace

Statsd::Statsd() : table_(1024) {
  std::random_device random;
  seed_ = (static_cast<std::uint64_t>(random()) << 32 | random()) | 1;
  hash_of_nothing_ = hash({});
}

void Statsd::take(std::string_view datagram) {
  while (!datagram.empty()) {
    const std::size_t end = datagram.find('\n');
    std::string_view text = datagram.substr(0, end);
    datagram.remove_prefix(std::min(text.size() + 1, datagram.size()));
    if (text.ends_with('\r')) text.remove_suffix(1);
    if (text.empty()) continue;
    if (const Outcome outcome = line(text)) {
      ++lines_;
    } else {
      ++faults_[static_cast<std::size_t>(outcome.error())];
    }
  }
}

Statsd::Outcome Statsd::line(std::string_view text) {
  const auto read = read_statsd_line(text);
  if (!read) return std::unexpected(read.error());
  if (auto outcome = read_values(*read); !outcome) return outcome;
  const Found at = find(*read);
  if (!at) return std::unexpected(at.error());
  apply(series_[*at], *read);
  return {};
}

Statsd::Outcome Statsd::read_values(const StatsdLine& line) {
  values_.clear();
  if (line.type == StatsdType::set) return {};
  std::string_view rest = line.values;
  do {
    const std::string_view text = take_until(rest, ':');
    double value = 0;
    if (!parse_whole(text, value)) {
      const auto any = parse_any_number(text);
      if (!any || !std::isfinite(*any)) return std::unexpected(StatsdFault::bad_value);
      if (line.type == StatsdType::counter && *any < 0)
        return std::unexpected(StatsdFault::negative_counter);
      value = *any;
    }
    values_.push_back(value);
  } while (!rest.empty());
  if (line.values.ends_with(':')) return std::unexpected(StatsdFault::bad_value);
  return {};
}

// Sixteen bytes a step; the last ones may have been in the step before, which their number, in the
// beginning's state, makes known.
std::uint64_t Statsd::hash(std::string_view text) const {
  constexpr std::uint64_t odd = 0x9e3779b97f4a7c15;
  const char* const at = text.data();
  const std::size_t n = text.size();
  std::uint64_t state = seed_ ^ n * odd;
  if (n >= 16) {
    for (std::size_t i = 0; i + 16 < n; i += 16)
      state = mixed(state ^ eight(at + i), (seed_ + odd) ^ eight(at + i + 8));
    return mixed(mixed(state ^ eight(at + n - 16), (seed_ + odd) ^ eight(at + n - 8)), seed_ ^ odd);
  }
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  if (n >= 8) {
    first = eight(at);
    last = eight(at + n - 8);
  } else {
    for (std::size_t i = 0; i < n; ++i) first = first << 8 | static_cast<unsigned char>(at[i]);
  }
  return mixed(mixed(state ^ first, (seed_ + odd) ^ last), seed_ ^ odd);
}

Statsd::Found Statsd::find(const StatsdLine& line) {
  const std::uint64_t key = mixed(hash(line.name) + static_cast<std::uint64_t>(line.type),
                                  (line.tags.empty() ? hash_of_nothing_ : hash(line.tags)) | 1);
  const auto upper = static_cast<std::uint32_t>(key >> 32);
  for (std::size_t at = key & (table_.size() - 1);; at = (at + 1) & (table_.size() - 1)) {
    const auto& [tag, number] = table_[at];
    if (number == 0) break;
    if (tag != upper) continue;
    const Spelling& spelling = spellings_[number - 1];
    const std::string_view text = spelling.text;
    if (spelling.type == line.type && spelling.name_bytes == line.name.size() &&
        same_text(text.substr(0, line.name.size()), line.name) &&
        same_text(text.substr(line.name.size()), line.tags))
      return spelling.series;
  }
  const Found found = find_or_make(line);
  const std::size_t bytes = line.name.size() + line.tags.size();
  if (found && spellings_.size() < limits::statsd_spellings &&
      spelling_bytes_ + bytes <= most_spelling_bytes)
    remember(key, line, *found);
  return found;
}

void Statsd::remember(std::uint64_t key, const StatsdLine& line, std::uint32_t series) {
  spellings_.push_back({.text = std::string(line.name) + std::string(line.tags),
                        .name_bytes = line.name.size(),
                        .type = line.type,
                        .series = series});
  spelling_bytes_ += spellings_.back().text.size();
  const auto place = [this](std::uint64_t of) {
    std::size_t at = of & (table_.size() - 1);
    while (table_[at].second != 0) at = (at + 1) & (table_.size() - 1);
    return at;
  };
  if (spellings_.size() * 2 > table_.size()) {
    const auto old = std::exchange(table_, decltype(table_)(table_.size() * 2));
    for (const auto& entry : old) {
      if (entry.second == 0) continue;
      const Spelling& other = spellings_[entry.second - 1];
      const std::string_view text = other.text;
      const std::uint64_t of =
          mixed(hash(text.substr(0, other.name_bytes)) + static_cast<std::uint64_t>(other.type),
                hash(text.substr(other.name_bytes)) | 1);
      table_[place(of)] = entry;
    }
  }
  table_[place(key)] = {static_cast<std::uint32_t>(key >> 32),
                        static_cast<std::uint32_t>(spellings_.size())};
}

Statsd::Found Statsd::find_or_make(const StatsdLine& line) {
  const auto labels = statsd_labels(line.name, line.tags);
  if (!labels) return std::unexpected(labels.error());
  if (const auto at = by_labels_.find(*labels); at != by_labels_.end()) {
    if (series_[at->second].type != line.type) return std::unexpected(StatsdFault::other_type);
    return at->second;
  }
  if (is_distribution(line.type) && !fits_as_distribution(*labels))
    return std::unexpected(StatsdFault::bad_labels);
  if (auto room = room_for(line.type); !room) return std::unexpected(room.error());
  if (auto claimed = claim_name(std::string(labels->metric()), line.type); !claimed)
    return std::unexpected(claimed.error());
  const auto number = static_cast<std::uint32_t>(series_.size());
  Series& made = series_.emplace_back(Series{.type = line.type, .labels = *labels, .slot = slots_});
  if (is_distribution(line.type)) {
    made.distribution = std::make_unique<Distribution>();
    ++histograms_;
  } else if (line.type == StatsdType::set) {
    made.set = std::make_unique<Distinct>();
    ++sets_;
  }
  slots_ += slots_of(line.type);
  by_labels_.emplace(*labels, number);
  return number;
}

Statsd::Outcome Statsd::room_for(StatsdType type) const {
  const bool full = series_.size() >= limits::statsd_series ||
                    (is_distribution(type) && histograms_ >= limits::statsd_histograms) ||
                    (type == StatsdType::set && sets_ >= limits::statsd_sets);
  if (full) return std::unexpected(StatsdFault::no_room);
  return {};
}

Statsd::Outcome Statsd::claim_name(const std::string& name, StatsdType type) {
  if (const auto at = names_.find(name); at != names_.end()) {
    if (at->second != type) return std::unexpected(StatsdFault::other_type);
    return {};
  }
  if (is_distribution(type)) {
    const std::string parts[] = {name + "_bucket", name + "_sum", name + "_count"};
    for (const std::string& part : parts)
      if (names_.contains(part)) return std::unexpected(StatsdFault::other_type);
    for (const std::string& part : parts) names_.emplace(part, std::nullopt);
  }
  names_.emplace(name, type);
  return {};
}

void Statsd::apply(Series& series, const StatsdLine& line) {
  if (line.type == StatsdType::set) {
    set_overflow_ += series.set->add(hash(line.values)) ? 0 : 1;
    return;
  }
  if (line.type != StatsdType::gauge) {
    for (const double value : values_) add(series, value, line.rate);
    return;
  }
  std::string_view rest = line.values;
  for (const double value : values_) {
    const std::string_view text = take_until(rest, ':');
    const bool is_delta = text.front() == '+' || text.front() == '-';
    series.value = is_delta ? series.value + value : value;
  }
}

void Statsd::add(Series& series, double value, double rate) {
  if (series.type == StatsdType::counter) {
    series.value += value / rate;
    return;
  }
  Distribution& into = *series.distribution;
  const double weight = 1 / rate;
  into.uncounted += weight;
  const double whole = std::floor(into.uncounted);
  into.uncounted -= whole;
  into.slab.add_bucket(Slab::index(ticks(value, series.type)), static_cast<std::uint64_t>(whole));
  into.sum += value * weight * (series.type == StatsdType::timing ? 1e-3 : 1);
}

void Statsd::flush(StatsdSink& sink) {
  for (Series& series : series_) {
    flush(series, sink);
    if (series.set) series.set->clear();
  }
}

void Statsd::flush(const Series& series, StatsdSink& sink) const {
  if (series.set) return sink.value(series.slot, static_cast<double>(series.set->count()));
  if (!series.distribution) return sink.value(series.slot, series.value);
  const ProbeHistogram& slab = series.distribution->slab;
  std::uint32_t slot = series.slot;
  std::uint64_t seen = 0;
  std::size_t i = 0;
  for (const std::uint64_t bound : bounds_of(series.type)) {
    for (; i < Slab::buckets && Slab::upper(i) <= bound; ++i) seen += slab.at(i);
    sink.value(slot++, static_cast<double>(seen));
  }
  sink.value(slot++, static_cast<double>(slab.count()));
  sink.value(slot++, series.distribution->sum);
  sink.value(slot, static_cast<double>(slab.count()));
}

const Statsd::Series& Statsd::owner(std::uint32_t slot) const {
  TM_CHECK(slot < slots_);
  return *std::prev(std::ranges::upper_bound(series_, slot, {}, &Series::slot));
}

Labels Statsd::labels(std::uint32_t slot) const {
  const Series& series = owner(slot);
  if (!series.distribution) return series.labels;
  const std::span<const std::uint64_t> bounds = bounds_of(series.type);
  const std::size_t part = slot - series.slot;
  const std::string name(series.labels.metric());
  LabelsBuilder builder(series.labels);
  if (part <= bounds.size()) {
    builder.set(metric_name, name + "_bucket");
    builder.set("le", part == bounds.size() ? "+Inf"
                                            : fmt::format("{}", static_cast<double>(bounds[part]) /
                                                                    ticks_per_unit(series.type)));
  } else {
    builder.set(metric_name, name + (part == bounds.size() + 1 ? "_sum" : "_count"));
  }
  return builder.build();
}

MetricType Statsd::type(std::uint32_t slot) const {
  switch (owner(slot).type) {
    case StatsdType::counter:
      return MetricType::counter;
    case StatsdType::timing:
    case StatsdType::histogram:
      return MetricType::histogram;
    default:
      return MetricType::gauge;
  }
}

}  // namespace tallymill::collector
