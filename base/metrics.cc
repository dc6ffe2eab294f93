#include "base/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::metrics {
namespace {

bool is_name(std::string_view name) {
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
         std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
         });
}

Unit unit_of(std::string_view name) {
  if (name.ends_with("_total")) name.remove_suffix(std::string_view("_total").size());
  if (name.ends_with("_seconds")) return Unit::seconds;
  if (name.ends_with("_bytes")) return Unit::bytes;
  if (name.ends_with("_ratio")) return Unit::ratio;
  return Unit::none;
}

// A derived unit would be read as a base unit by whoever divides two of them.
bool has_derived_unit(std::string_view name) {
  for (const std::string_view unit : {"_ms", "_us", "_ns", "_milliseconds", "_microseconds",
                                      "_minutes", "_hours", "_kib", "_mib", "_percent"}) {
    if (name.ends_with(unit)) return true;
  }
  return false;
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::counter:
      return "counter";
    case Type::gauge:
      return "gauge";
    case Type::histogram:
      return "histogram";
  }
  std::unreachable();
}

// `quotes` too inside a label value; help text keeps its own.
std::string escaped(std::string_view text, bool quotes) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    out += c;
  }
  return out;
}

// `name{a="b",le="1"}`; `le` is left out when empty.
std::string series(std::string_view name, const Labels& labels, std::string_view le = {}) {
  std::string out(name);
  char before = '{';
  const auto label = [&](std::string_view key, std::string_view value) {
    out += fmt::format("{}{}=\"{}\"", before, key, escaped(value, true));
    before = ',';
  };
  for (const auto& [key, value] : labels) label(key, value);
  if (!le.empty()) label("le", le);
  if (before == ',') out += '}';
  return out;
}

std::string_view unit_name(Unit unit) {
  switch (unit) {
    case Unit::none:
      return {};
    case Unit::seconds:
      return "seconds";
    case Unit::bytes:
      return "bytes";
    case Unit::ratio:
      return "ratio";
  }
  std::unreachable();
}

double in_seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }

// ` # {job_id="42"} 0.021 1700000000.123`; nothing for a bucket without one.
std::string exemplar(const Snapshot::Distribution& of, std::size_t le) {
  const auto found = std::ranges::find(of.exemplars, le, &Snapshot::Exemplar::le);
  if (found == of.exemplars.end()) return {};
  return fmt::format(" # {{job_id=\"{}\"}} {} {}.{:03}", found->job.raw(), found->seconds,
                     found->t_ms / 1000, found->t_ms % 1000);
}

void write_distribution(fmt::memory_buffer& out, const std::string& name,
                        const Snapshot::Distribution& of, bool with_exemplars) {
  const auto counts = of.histogram.le_counts();
  const auto to = std::back_inserter(out);
  const std::uint64_t all = of.histogram.count();
  for (std::size_t i = 0; i <= le_bound_count; ++i) {
    const bool last = i == le_bound_count;
    const std::string le = last ? "+Inf" : fmt::format("{}", in_seconds(le_bounds_ns[i]));
    fmt::format_to(to, "{} {}{}\n", series(name + "_bucket", of.labels, le), last ? all : counts[i],
                   with_exemplars ? exemplar(of, i) : std::string());
  }
  fmt::format_to(to, "{} {}\n", series(name + "_sum", of.labels),
                 in_seconds(of.histogram.sum_ns()));
  fmt::format_to(to, "{} {}\n", series(name + "_count", of.labels), all);
}

void write_samples(fmt::memory_buffer& out, const Snapshot::Family& family, bool with_exemplars) {
  for (const auto& sample : family.samples) {
    fmt::format_to(std::back_inserter(out), "{} {}\n", series(family.name, sample.labels),
                   sample.value);
  }
  for (const auto& one : family.distributions)
    write_distribution(out, family.name, one, with_exemplars);
}

}  // namespace

ProbeHistogram Histogram::read() const {
  ProbeHistogram copy;
  for (std::size_t i = 0; i < Layout::buckets; ++i) {
    const std::uint64_t times = slab_[i].load(std::memory_order_relaxed);
    if (times != 0) copy.add_bucket(i, times);
  }
  copy.add_sum(sum_ns_.load(std::memory_order_relaxed));
  return copy;
}

std::vector<Histogram::Exemplar> Histogram::exemplars() const {
  std::vector<Exemplar> all;
  for (std::size_t le = 0; le < slots_.size(); ++le) {
    const Slot& slot = slots_[le];
    const std::uint64_t after = slot.after.load(std::memory_order_acquire);
    const JobId job(slot.job.load(std::memory_order_acquire));
    const Instant at = instant_from_ns(slot.at.load(std::memory_order_acquire));
    const std::uint64_t before = slot.before.load(std::memory_order_relaxed);
    if (before < after) all.push_back({le, after - before, job, at});
  }
  return all;
}

// Deques: a metric keeps its address while others are added.
struct Registry::Family {
  std::string name;
  std::string help;
  Type type;
  std::deque<std::pair<Labels, Counter>> counters;
  std::deque<std::pair<Labels, Gauge>> gauges;
  std::deque<std::pair<Labels, Histogram>> histograms;
  std::vector<std::string> label_names;

  template <class Metric>
  static Metric& find_or_add(std::deque<std::pair<Labels, Metric>>& all, Labels labels) {
    const auto with = [&](const Labels& wanted) {
      return std::ranges::find_if(all, [&](const auto& one) { return one.first == wanted; });
    };
    auto found = with(labels);
    if (found == all.end() && all.size() + 1 >= limits::series_per_metric && !labels.empty()) {
      for (auto& label : labels) label.second = "other";
      found = with(labels);
    }
    if (found != all.end()) return found->second;
    all.emplace_back(std::piecewise_construct, std::forward_as_tuple(std::move(labels)),
                     std::forward_as_tuple());
    return all.back().second;
  }
};

Registry::Registry() = default;
Registry::~Registry() = default;

Counter& Registry::counter(std::string_view name, std::string_view help, Labels labels) {
  TM_CHECK(name.ends_with("_total"));
  const std::lock_guard lock(families_mutex_);
  auto& all = family(name, help, Type::counter, labels).counters;
  return Family::find_or_add(all, std::move(labels));
}

Gauge& Registry::gauge(std::string_view name, std::string_view help, Labels labels) {
  TM_CHECK(!name.ends_with("_total"));
  const std::lock_guard lock(families_mutex_);
  auto& all = family(name, help, Type::gauge, labels).gauges;
  return Family::find_or_add(all, std::move(labels));
}

Histogram& Registry::histogram(std::string_view name, std::string_view help, Labels labels) {
  TM_CHECK(name.ends_with("_seconds"));
  const std::lock_guard lock(families_mutex_);
  auto& all = family(name, help, Type::histogram, labels).histograms;
  return Family::find_or_add(all, std::move(labels));
}

Registry::Family& Registry::family(std::string_view name, std::string_view help, Type type,
                                   const Labels& labels) {
  TM_CHECK(is_name(name) && name.starts_with("tallymill_") && !has_derived_unit(name));
  TM_CHECK(!help.empty());
  std::vector<std::string> label_names;
  for (const auto& label : labels) {
    TM_CHECK(is_name(label.first) && label.first != "le");
    label_names.push_back(label.first);
  }
  const auto at = std::ranges::lower_bound(
      families_, name, {}, [](const auto& one) { return std::string_view(one->name); });
  if (at == families_.end() || (*at)->name != name) {
    auto made = std::make_unique<Family>();
    made->name = name;
    made->help = help;
    made->type = type;
    made->label_names = std::move(label_names);
    return **families_.insert(at, std::move(made));
  }
  TM_CHECK((*at)->type == type && (*at)->label_names == label_names);
  return **at;
}

Snapshot Registry::snapshot() const {
  const SystemClock clock;
  const std::int64_t wall_ahead_ns = to_ns(clock.wall()) - to_ns(clock.now());
  const std::lock_guard lock(families_mutex_);
  Snapshot out;
  out.families.reserve(families_.size());
  for (const auto& from : families_) {
    auto& to = out.families.emplace_back();
    to.name = from->name;
    to.help = from->help;
    to.type = from->type;
    to.unit = unit_of(from->name);
    for (const auto& [labels, counter] : from->counters) {
      const std::uint64_t value = counter.value();
      to.samples.push_back(
          {labels, to.unit == Unit::seconds ? in_seconds(value) : static_cast<double>(value)});
    }
    for (const auto& [labels, gauge] : from->gauges) to.samples.push_back({labels, gauge.value()});
    for (const auto& [labels, histogram] : from->histograms) {
      auto& one = to.distributions.emplace_back(labels, histogram.read());
      for (const Histogram::Exemplar& exemplar : histogram.exemplars())
        one.exemplars.push_back({exemplar.le, in_seconds(exemplar.ns), exemplar.job,
                                 (to_ns(exemplar.at) + wall_ahead_ns) / 1'000'000});
    }
  }
  return out;
}

std::string to_prometheus(const Snapshot& snapshot) {
  fmt::memory_buffer out;
  for (const auto& family : snapshot.families) {
    fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", family.name,
                   escaped(family.help, false), family.name, type_name(family.type));
    write_samples(out, family, false);
  }
  return fmt::to_string(out);
}

// A family of counters is named without the _total of its samples, help has its quotes escaped, and
// the unit is told.
std::string to_openmetrics(const Snapshot& snapshot) {
  fmt::memory_buffer out;
  const auto to = std::back_inserter(out);
  for (const auto& family : snapshot.families) {
    std::string_view name = family.name;
    if (family.type == Type::counter) name.remove_suffix(std::string_view("_total").size());
    fmt::format_to(to, "# TYPE {} {}\n", name, type_name(family.type));
    if (family.unit != Unit::none)
      fmt::format_to(to, "# UNIT {} {}\n", name, unit_name(family.unit));
    fmt::format_to(to, "# HELP {} {}\n", name, escaped(family.help, true));
    write_samples(out, family, true);
  }
  return fmt::to_string(out);
}

}  // namespace tallymill::metrics
