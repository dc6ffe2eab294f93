#include "collector/promql/label_functions.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <set>

#include "base/limits.h"
#include "collector/labels_check.h"
#include "collector/promql/go_expand.h"

namespace tallymill::promql {
namespace {

Result<Rows> distinct(Rows&& rows) {
  if (auto merged = merge_equal(rows); !merged) return std::unexpected(std::move(merged).error());
  return std::move(rows);
}

// Each time that $1$1 is put in the place of a value, it is twice as long.
Status set_label(Row& row, const std::string& name, std::string_view value) {
  LabelsBuilder builder(row.labels);
  builder.set(name, value);
  row.labels = builder.build();
  if (row.labels.packed().size() <= limits::series_labels_bytes) return {};
  return fail(Errc::too_big, fmt::format("the labels of an element have at most {} bytes",
                                         limits::series_labels_bytes));
}

}  // namespace

Result<Rows> label_replaced(Rows&& rows, std::span<const std::string> arguments,
                            const Allowance& allowance) {
  const std::string& destination = arguments[0];
  const std::string& source = arguments[2];
  const RE2 expression("^(?:" + arguments[3] + ")$", RE2::Quiet);
  if (!expression.ok())
    return fail(Errc::bad_params,
                fmt::format("invalid regular expression in label_replace(): {}", arguments[3]));
  if (!collector::is_label_name(destination))
    return fail(Errc::bad_params,
                fmt::format("invalid destination label name in label_replace(): {}", destination));
  std::vector<re2::StringPiece> groups(
      static_cast<std::size_t>(expression.NumberOfCapturingGroups()) + 1);
  for (Row& row : rows) {
    // An expression may take long over each of them.
    if (auto still = allowance.check(); !still) return std::unexpected(std::move(still).error());
    const std::string_view value = row.labels.get(source);
    const re2::StringPiece text(value.data(), value.size());
    if (!expression.Match(text, 0, text.size(), RE2::UNANCHORED, groups.data(),
                          static_cast<int>(groups.size())))
      continue;
    // Cut when it is too long to be a label's value.
    std::string replacement;
    append_expanded(replacement, arguments[1], expression, groups, limits::series_labels_bytes);
    if (auto set = set_label(row, destination, replacement); !set)
      return std::unexpected(std::move(set).error());
  }
  return distinct(std::move(rows));
}

Result<Rows> label_joined(Rows&& rows, std::span<const std::string> arguments) {
  if (!collector::is_label_name(arguments[0]))
    return fail(Errc::bad_params,
                fmt::format("invalid destination label name in label_join(): {}", arguments[0]));
  const auto sources = arguments.subspan(2);
  for (const std::string& source : sources)
    if (!collector::is_label_name(source))
      return fail(Errc::bad_params,
                  fmt::format("invalid source label name in label_join(): {}", source));
  for (Row& row : rows) {
    std::string joined;
    for (std::size_t i = 0; i < sources.size() && joined.size() <= limits::series_labels_bytes; ++i)
      joined += (i == 0 ? "" : arguments[1]) + std::string(row.labels.get(sources[i]));
    if (auto set = set_label(row, arguments[0], joined); !set)
      return std::unexpected(std::move(set).error());
  }
  return distinct(std::move(rows));
}

Labels labels_of_absent(const Node& argument) {
  const auto* selector = std::get_if<Selector>(&argument.is);
  if (selector == nullptr) return {};
  LabelsBuilder builder;
  std::set<std::string_view> seen;
  for (const Matcher& matcher : selector->matchers) {
    if (matcher.name() == collector::metric_name) continue;
    // What is asked for twice, or not by its value, is unknown.
    const bool once = matcher.kind() == Matcher::Kind::equal && !seen.contains(matcher.name());
    builder.set(matcher.name(), once ? std::string_view(matcher.value()) : std::string_view());
    if (once) seen.insert(matcher.name());
  }
  return builder.build();
}

}  // namespace tallymill::promql
