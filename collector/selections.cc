#include "collector/selections.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

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

Result<Selections> selections_of(const Parameters& said, bool needed) {
  Selections selections;
  const auto wrong = [&](Error error) {
    say_as_match(error);
    if (needed) error.message.insert(0, "invalid parameter \"match[]\": ");
    return std::unexpected(std::move(error));
  };
  const auto texts = said.all("match[]");
  if (texts.empty() && needed) return fail(Errc::bad_params, "no match[] parameter provided");
  const auto from = bound_of(said, "start", std::numeric_limits<std::int64_t>::min());
  if (!from) return std::unexpected(from.error());
  const auto to = bound_of(said, "end", std::numeric_limits<std::int64_t>::max());
  if (!to) return std::unexpected(to.error());
  selections.from_ms = *from;
  selections.to_ms = *to;
  for (const std::string_view text : texts) {
    auto matchers = promql::parse_selector(text);
    if (!matchers) return wrong(std::move(matchers).error());
    selections.selectors.push_back(std::move(*matchers));
  }
  if (texts.empty()) selections.selectors.emplace_back();
  return selections;
}

Result<std::vector<Source::Found>> series_of(const Source& source, const Selections& selections) {
  std::vector<Source::Found> all;
  if (selections.to_ms < selections.from_ms) return all;
  for (const auto& matchers : selections.selectors) {
    auto some = source.select(matchers, selections.from_ms, selections.to_ms);
    if (!some) return std::unexpected(std::move(some).error());
    std::ranges::move(*some, std::back_inserter(all));
  }
  std::ranges::sort(all, {}, &Source::Found::labels);
  const auto [first, last] = std::ranges::unique(all, {}, &Source::Found::series);
  all.erase(first, last);
  return all;
}

}  // namespace tallymill::collector
