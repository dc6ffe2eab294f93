#include "collector/selections.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_set>
#include <utility>

#include "base/limits.h"
#include "collector/promql/parser.h"

namespace tallymill::collector {
namespace {

// A selector that every series fits selects by accident; here Prometheus says it in other words.
void say_as_match(Error& error) {
  constexpr std::string_view says = "must contain at least one non-empty matcher";
  if (error.message.ends_with(says)) error.message = "match[] " + std::string(says);
}

}  // namespace

Result<std::int64_t> bound_of(const Parameters& said, std::string_view name,
                              std::int64_t otherwise) {
  const std::string_view text = said.get(name);
  if (text.empty()) return otherwise;
  if (const auto ms = time_ms_of(text)) return *ms;
  return fail(Errc::bad_params,
              fmt::format("invalid parameter \"{0}\": Invalid time value for '{0}': cannot parse "
                          "\"{1}\" to a valid timestamp",
                          name, text));
}

Status add_selectors(Selections& to, const Parameters& said) {
  std::int64_t program = 0;
  for (const std::string_view text : said.all("match[]")) {
    auto matchers = promql::parse_selector(text);
    if (!matchers) return std::unexpected(std::move(matchers).error());
    for (const Matcher& matcher : *matchers) program += matcher.program();
    if (program > limits::query_program)
      return fail(Errc::bad_params, "the regular expressions are too large");
    to.selectors.push_back(std::move(*matchers));
  }
  return {};
}

Result<Selections> selections_of(const Parameters& said, bool needed) {
  Selections selections;
  if (said.all("match[]").empty() && needed)
    return fail(Errc::bad_params, "no match[] parameter provided");
  const auto from = bound_of(said, "start", std::numeric_limits<std::int64_t>::min());
  if (!from) return std::unexpected(from.error());
  const auto to = bound_of(said, "end", std::numeric_limits<std::int64_t>::max());
  if (!to) return std::unexpected(to.error());
  selections.from_ms = *from;
  selections.to_ms = *to;
  if (auto added = add_selectors(selections, said); !added) {
    Error error = std::move(added).error();
    say_as_match(error);
    if (needed) error.message.insert(0, "invalid parameter \"match[]\": ");
    return std::unexpected(std::move(error));
  }
  if (selections.selectors.empty()) selections.selectors.emplace_back();
  return selections;
}

Result<std::vector<Source::Found>> series_of(const Source& source, const Selections& selections,
                                             promql::Allowance& allowance) {
  std::vector<Source::Found> all;
  if (selections.to_ms < selections.from_ms) return all;
  std::unordered_set<std::uint32_t> known;  // each once: there may be many selectors of all series
  for (const auto& matchers : selections.selectors) {
    if (auto still = allowance.check(); !still) return std::unexpected(std::move(still).error());
    auto some = source.select(matchers, selections.from_ms, selections.to_ms);
    if (!some) return std::unexpected(std::move(some).error());
    for (Source::Found& one : *some)
      if (known.insert(one.series.raw()).second) all.push_back(std::move(one));
  }
  std::ranges::sort(all, {}, &Source::Found::labels);
  return all;
}

Result<std::vector<Source::Found>> series_with_samples(const Source& source,
                                                       const Selections& selections,
                                                       promql::Allowance& allowance) {
  auto all = series_of(source, selections, allowance);
  const bool ever = selections.from_ms == std::numeric_limits<std::int64_t>::min() &&
                    selections.to_ms == std::numeric_limits<std::int64_t>::max();
  if (!all || ever) return all;
  std::vector<Source::Found> some;
  for (Source::Found& one : *all) {
    if (auto still = allowance.spend(256); !still) return std::unexpected(std::move(still).error());
    const auto has = source.has_samples(one.series, selections.from_ms, selections.to_ms);
    if (!has) return std::unexpected(has.error());
    if (*has) some.push_back(std::move(one));
  }
  return some;
}

}  // namespace tallymill::collector
