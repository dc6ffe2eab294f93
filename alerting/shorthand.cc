#include "alerting/shorthand.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <span>

#include "base/duration.h"
#include "collector/labels_check.h"
#include "collector/promql/parser.h"
#include "collector/promql/print.h"
#include "collector/query.h"

namespace tallymill::alerting {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr milliseconds default_window = minutes(5);

// ---- both ----

std::vector<std::string> read_by(const YamlFields& fields, YamlReader& reader) {
  std::vector<std::string> names;
  const YamlNode* const said = fields.find("by");
  if (said == nullptr) return names;
  for (const YamlNode* one : reader.list(*said, "labels")) {
    std::string name = reader.text(*one);
    if (!collector::is_label_name(name))
      reader.wrong(*one, fmt::format("'{}' is no label's name", name));
    if (std::ranges::find(names, name) != names.end())
      reader.wrong(*one, fmt::format("'{}' is there twice", name));
    names.push_back(std::move(name));
  }
  return names;
}

std::string by_clause(const std::vector<std::string>& names) {
  return names.empty() ? std::string() : fmt::format(" by ({})", fmt::join(names, ", "));
}

milliseconds read_window(const YamlFields& fields, milliseconds unsaid, YamlReader& reader) {
  const YamlNode* const said = fields.find("window");
  if (said == nullptr) return unsaid;
  const milliseconds window = reader.duration(*said);
  if (window <= milliseconds(0)) reader.wrong(*said, "a window has a length");
  return window;
}

// One of two keys: which, or the empty one when that is wrong.
std::string_view one_of(const YamlFields& fields, std::span<const std::string_view> keys,
                        std::string_view what, const YamlNode& node, YamlReader& reader) {
  std::string_view found;
  for (const std::string_view key : keys) {
    const YamlNode* const said = fields.find(key);
    if (said == nullptr) continue;
    if (!found.empty()) reader.wrong(*said, fmt::format("only one of {}", what));
    found = key;
  }
  if (found.empty()) reader.wrong(node, fmt::format("one of {} is needed", what));
  return found;
}

// ---- units ----

struct Unit {
  std::string_view name;
  int exponent;       // of ten
  double factor = 1;  // beside it; exact
};
constexpr std::array<Unit, 18> units = {{{"%", -2},
                                         {"ns", -9},
                                         {"us", -6},
                                         {"ms", -3},
                                         {"s", 0},
                                         {"m", 0, 60},
                                         {"h", 0, 3'600},
                                         {"d", 0, 86'400},
                                         {"w", 0, 604'800},
                                         {"B", 0},
                                         {"kB", 3},
                                         {"MB", 6},
                                         {"GB", 9},
                                         {"TB", 12},
                                         {"KiB", 0, 0x1p10},
                                         {"MiB", 0, 0x1p20},
                                         {"GiB", 0, 0x1p30},
                                         {"TiB", 0, 0x1p40}}};

// Moved by a power of ten in its text: 99.9 % is 0.999, and no number beside it.
std::optional<double> decimal(std::string_view text, int exponent) {
  const bool plain = text.find_first_not_of("0123456789.-") == std::string_view::npos;
  if (text.empty() || !plain) return std::nullopt;
  const std::string moved = fmt::format("{}e{}", text, exponent);
  double value = 0;
  const auto read = std::from_chars(moved.data(), moved.data() + moved.size(), value);
  if (read.ec != std::errc{} || read.ptr != moved.data() + moved.size()) return std::nullopt;
  return value;
}

std::optional<double> in_base_units(std::string_view text) {
  const std::size_t size = text.find_last_of("0123456789.") + 1;
  const std::string_view name = text.substr(size);
  if (name.empty()) {
    double value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = read.ec == std::errc{} && read.ptr == text.data() + text.size();
    return whole && std::isfinite(value) ? std::optional(value) : std::nullopt;
  }
  for (const Unit& unit : units)
    if (unit.name == name)
      if (const auto value = decimal(text.substr(0, size), unit.exponent))
        return *value * unit.factor;
  const auto ms = config_duration_ms(text);  // 1m30s
  if (!ms) return std::nullopt;
  return decimal(fmt::format("{}", *ms), -3);
}

// ---- threshold ----

class Threshold {
 public:
  Threshold(const YamlNode& node, YamlReader& reader)
      : reader_(reader),
        fields_(
            reader.fields(node, {"gauge", "counter", "histogram", "quantile", "where", "above",
                                 "below", "for", "clear_below", "clear_above", "by", "window"})),
        node_(node) {}

  ThresholdRule read() {
    if (!reader_.ok()) return {};
    constexpr std::array<std::string_view, 3> kinds = {"gauge", "counter", "histogram"};
    constexpr std::array<std::string_view, 2> sides = {"above", "below"};
    kind_ = one_of(fields_, kinds, "gauge, counter and histogram", node_, reader_);
    side_ = one_of(fields_, sides, "above and below", node_, reader_);
    if (!reader_.ok()) return {};
    const std::string input = input_of_kind();
    const std::string_view sign = side_ == "above" ? ">" : "<";
    const std::string bound = value(side_);
    ThresholdRule rule{.expr = fmt::format("{} {} {}", input, sign, bound)};
    if (const std::string clear = clear_value(bound); !clear.empty())
      rule.resolve_expr = fmt::format("{} {} {}", input, side_ == "above" ? "<" : ">", clear);
    if (const YamlNode* said = fields_.find("for")) rule.hold = reader_.duration(*said);
    return rule;
  }

 private:
  std::string value(std::string_view key) {
    const YamlNode& said = fields_.place(key);
    const auto number = base_units(reader_.text(said));
    if (!number) reader_.wrong(said, "expected a number, with a unit or none: 200ms, 10MiB, 80%");
    return number.value_or("0");
  }

  std::string clear_value(const std::string& bound) {
    const bool above = side_ == "above";
    if (const YamlNode* other = fields_.find(above ? "clear_above" : "clear_below"))
      reader_.wrong(*other,
                    fmt::format("with '{}' it is clear_{}", side_, above ? "below" : "above"));
    const std::string_view key = above ? "clear_below" : "clear_above";
    if (fields_.find(key) == nullptr) return {};
    std::string clear = value(key);
    const double apart = in_base_units(clear).value_or(0) - in_base_units(bound).value_or(0);
    if (above ? apart > 0 : apart < 0)
      reader_.wrong(fields_.place(key), "it would be over while it is still so");
    return clear;
  }

  std::string selector(std::string_view suffix) {
    const YamlNode& said = fields_.place(kind_);
    const std::string name = reader_.text(said);
    if (!collector::is_metric_name(name))
      reader_.wrong(said, fmt::format("'{}' is no metric's name", name));
    if (kind_ == "histogram" && name.ends_with(suffix))
      reader_.wrong(said, "a histogram's name is written without _bucket");
    std::vector<std::string> matchers;
    const YamlNode* const where = fields_.find("where");
    for (const YamlText& label :
         where == nullptr ? std::vector<YamlText>() : reader_.texts(*where)) {
      if (!collector::is_label_name(label.name))
        reader_.wrong(*label.name_at, fmt::format("'{}' is no label's name", label.name));
      using collector::Matcher;
      if (const auto made = Matcher::of(Matcher::Kind::equal, label.name, label.text))
        matchers.push_back(made->text());
    }
    if (matchers.empty()) return name + std::string(suffix);
    return fmt::format("{}{}{{{}}}", name, suffix, fmt::join(matchers, ","));
  }

  std::string quantile() {
    const YamlNode* const said = fields_.find("quantile");
    if (said == nullptr) {
      reader_.wrong(node_, "a threshold on a histogram needs a quantile");
      return {};
    }
    const double of = reader_.number(*said);
    if (of < 0 || of > 1) reader_.wrong(*said, "a quantile is a number from 0 to 1");
    return promql::number_text(of);
  }

  std::string input_of_kind() {
    std::vector<std::string> by = read_by(fields_, reader_);
    const milliseconds window = read_window(fields_, default_window, reader_);
    if (kind_ != "histogram" && fields_.find("quantile") != nullptr)
      reader_.wrong(fields_.place("quantile"), "a quantile is of a histogram");
    if (kind_ == "gauge") {
      if (fields_.find("window") != nullptr)
        reader_.wrong(fields_.place("window"), "a gauge is compared as it is, without a window");
      if (by.empty()) return selector("");
      return fmt::format("{}{} ({})", side_ == "above" ? "max" : "min", by_clause(by),
                         selector(""));
    }
    const std::string length = duration_text(window.count());
    if (kind_ == "counter")
      return fmt::format("sum{} (rate({}[{}]))", by_clause(by), selector(""), length);
    if (std::ranges::find(by, "le") != by.end())
      reader_.wrong(fields_.place("by"), "a quantile is of all values of 'le' together");
    by.insert(by.begin(), "le");
    return fmt::format("histogram_quantile({}, sum{} (rate({}[{}])))", quantile(), by_clause(by),
                       selector("_bucket"), length);
  }

  YamlReader& reader_;
  YamlFields fields_;
  const YamlNode& node_;
  std::string_view kind_;
  std::string_view side_;
};

// ---- slo ----

struct Pair {
  double share;  // of the budget, that is spent in the long window
  milliseconds long_window;
  milliseconds short_window;
  bool page;
};
constexpr std::array<Pair, 4> pairs = {{{0.02, hours(1), minutes(5), true},
                                        {0.05, hours(6), minutes(30), true},
                                        {0.10, hours(24), hours(2), false},
                                        {0.10, hours(72), hours(6), false}}};

class Slo {
 public:
  Slo(const YamlNode& node, std::string_view name, YamlReader& reader)
      : reader_(reader),
        fields_(reader.fields(node,
                              {"objective", "window", "errors", "total", "by", "page", "ticket"})),
        node_(node),
        name_(name) {}

  std::vector<SloRule> read() {
    if (!reader_.ok()) return {};
    read_budget();
    window_ = read_window(fields_, hours(24 * 30), reader_);
    errors_ = selector("errors");
    total_ = selector("total");
    by_ = read_by(fields_, reader_);
    if (std::ranges::find(by_, "slo") != by_.end())
      reader_.wrong(fields_.place("by"), "the label 'slo' is the name of the objective");
    page_ = labels("page");
    ticket_ = labels("ticket");
    if (!reader_.ok()) return {};
    std::vector<SloRule> alerts;
    for (const Pair& pair : pairs) {
      const double speed = std::max(1.0, pair.share * ratio(window_, pair.long_window));
      if (speed * budget_ >= 1) continue;  // all of the traffic is not more than that
      for (const milliseconds length : {pair.short_window, pair.long_window}) record(length);
      alerts.push_back(alert(pair, speed));
    }
    rules_.insert(rules_.end(), alerts.begin(), alerts.end());
    return std::move(rules_);
  }

 private:
  static double ratio(milliseconds a, milliseconds b) {
    return static_cast<double>(a.count()) / static_cast<double>(b.count());
  }
  // So that 100 - 99.9 is 0.1.
  static std::string rounded(double value) { return fmt::format("{:.12g}", value); }

  void read_budget() {
    const YamlNode* const said = fields_.find("objective");
    if (said == nullptr) return reader_.wrong(node_, "an slo needs an objective, in percent");
    const double percent = reader_.number(*said);
    if (reader_.ok() && (percent <= 0 || percent >= 100))
      return reader_.wrong(*said, "an objective is more than 0 and less than 100 percent");
    budget_text_ = rounded((100 - percent) / 100);
    std::from_chars(budget_text_.data(), budget_text_.data() + budget_text_.size(), budget_);
  }

  std::string selector(std::string_view key) {
    const YamlNode* const said = fields_.find(key);
    if (said == nullptr) {
      reader_.wrong(node_, fmt::format("an slo needs '{}'", key));
      return {};
    }
    const auto node = promql::parse(reader_.text(*said));
    if (!node) {
      reader_.wrong(*said, node.error().message);
      return {};
    }
    const auto* plain = std::get_if<promql::Selector>(&(*node)->is);
    if (plain == nullptr || plain->range_ms != 0 || plain->shift.at || plain->shift.offset_ms != 0)
      reader_.wrong(*said, "expected a selector alone: name{label=\"value\"}");
    return promql::text(**node);
  }

  SloRule::Labels labels(std::string_view key) {
    const YamlNode* const said = fields_.find(key);
    if (said == nullptr) return {{"severity", std::string(key)}};
    SloRule::Labels made;
    for (const YamlText& one : reader_.texts(*said)) {
      if (!collector::is_label_name(one.name) || one.name == collector::metric_name)
        reader_.wrong(*one.name_at, fmt::format("'{}' is no label's name", one.name));
      made.emplace_back(one.name, one.text);
    }
    return made;
  }

  static std::string series(milliseconds length) {
    return "slo:error_ratio:rate" + duration_text(length.count());
  }
  [[nodiscard]] std::string rate(const std::string& of, milliseconds length) const {
    return fmt::format("sum{} (rate({}[{}]))", by_clause(by_), of, duration_text(length.count()));
  }

  void record(milliseconds length) {
    if (std::ranges::find(rules_, series(length), &SloRule::name) != rules_.end()) return;
    rules_.push_back({true,
                      series(length),
                      fmt::format("{} / {}", rate(errors_, length), rate(total_, length)),
                      {{"slo", name_}}});
  }

  [[nodiscard]] SloRule alert(const Pair& pair, double speed) const {
    using collector::Matcher;
    const auto of = Matcher::of(Matcher::Kind::equal, "slo", name_);
    const std::string above = fmt::format("{{{}}} > ({} * {})", of ? of->text() : std::string(),
                                          rounded(speed), budget_text_);
    SloRule rule{false, name_,
                 fmt::format("{}{} and {}{}", series(pair.long_window), above,
                             series(pair.short_window), above),
                 pair.page ? page_ : ticket_};
    rule.labels.emplace_back("long", duration_text(pair.long_window.count()));
    rule.labels.emplace_back("short", duration_text(pair.short_window.count()));
    return rule;
  }

  YamlReader& reader_;
  YamlFields fields_;
  const YamlNode& node_;
  std::string name_;
  double budget_ = 0;
  std::string budget_text_;
  milliseconds window_{0};
  std::string errors_;
  std::string total_;
  std::vector<std::string> by_;
  SloRule::Labels page_;
  SloRule::Labels ticket_;
  std::vector<SloRule> rules_;
};

}  // namespace

ThresholdRule read_threshold(const YamlNode& node, YamlReader& reader) {
  return Threshold(node, reader).read();
}

std::vector<SloRule> read_slo(const YamlNode& node, std::string_view name, YamlReader& reader) {
  return Slo(node, name, reader).read();
}

std::optional<std::string> base_units(std::string_view text) {
  const auto value = in_base_units(text);
  if (!value) return std::nullopt;
  return promql::number_text(*value);
}

}  // namespace tallymill::alerting
