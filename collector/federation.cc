#include "collector/federation.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "collector/answers.h"

namespace tallymill::collector {
namespace {

void append_label(std::string& to, std::string_view name, std::string_view value, bool first) {
  to.append(first ? "{" : ",").append(name).append("=\"");
  for (const char c : value) {
    if (c == '\\' || c == '"') to += '\\';
    if (c == '\n')
      to += "\\n";
    else
      to += c;
  }
  to += '"';
}

void append_series(std::string& to, const Labels& labels) {
  to += labels.metric();
  bool first = true;
  for (const Label& label : labels)
    if (label.name != metric_name)
      append_label(to, label.name, label.value, std::exchange(first, false));
  if (labels.get("instance").empty()) append_label(to, "instance", "", first);
  to += '}';
}

}  // namespace

void append_exposed(std::string& to, double value) {
  if (std::isnan(value)) {
    to += "NaN";
    return;
  }
  if (std::isinf(value)) {
    to += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  char text[32];
  const auto written =
      std::to_chars(text, text + sizeof text, value, std::chars_format::scientific);
  std::string_view said(text, static_cast<std::size_t>(written.ptr - text));
  int exponent = 0;
  const std::size_t e = said.find('e') + 1;
  std::from_chars(said.data() + e + (said[e] == '+'), said.data() + said.size(), exponent);
  // Fewer than 21 digits, so that they fit.
  if (exponent >= -4 && exponent < 6) {
    const auto fixed = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed);
    said = std::string_view(text, static_cast<std::size_t>(fixed.ptr - text));
  }
  to += said;
}

Result<std::string> federation_of(const Source& source, const Selections& selections,
                                  promql::Allowance& allowance) {
  auto series = series_of(source, selections, allowance);
  if (!series) return std::unexpected(std::move(series).error());
  // By their metrics first, which upper case and other labels stand before.
  std::ranges::sort(*series, [](const Source::Found& a, const Source::Found& b) {
    const auto metrics = a.labels.metric() <=> b.labels.metric();
    return metrics != 0 ? metrics < 0 : a.labels < b.labels;
  });
  std::string text;
  std::string_view metric;
  Column samples;
  for (const Source::Found& one : *series) {
    // A metric without a name is none in this format.
    if (one.labels.metric().empty()) continue;
    if (auto still = allowance.spend(256); !still) return std::unexpected(std::move(still).error());
    if (!has_room(text)) break;
    auto read = source.read_last(one.series, selections.from_ms, selections.to_ms, samples);
    if (!read) return std::unexpected(std::move(read).error());
    if (samples.size() == 0 || is_stale(samples.value.back())) continue;
    if (metric != one.labels.metric()) {
      metric = one.labels.metric();
      text.append("# TYPE ").append(metric).append(" untyped\n");
    }
    append_series(text, one.labels);
    text += ' ';
    append_exposed(text, samples.value.back());
    text.append(" ").append(std::to_string(samples.t_ms.back())).append("\n");
  }
  return bounded(std::move(text));
}

}  // namespace tallymill::collector
