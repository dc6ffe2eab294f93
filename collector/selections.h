// Selections: which series a request names by match[], start and end, and those that there are.
//
// Errors are bad_params, in Prometheus' words.
//
// Threads: pure functions, but for the source.
// Source: the HTTP API of Prometheus 2.42.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "base/result.h"
#include "collector/parameters.h"
#include "collector/promql/allowance.h"
#include "collector/query.h"

namespace tallymill::collector {

struct Selections {
  std::vector<std::vector<Matcher>> selectors;
  std::int64_t from_ms = 0;
  std::int64_t to_ms = 0;
};

// Adds what match[] says.
[[nodiscard]] Status add_selectors(Selections& to, const Parameters& said);
// `needed`: without match[] it is an error; else that is one that fits every series.
[[nodiscard]] Result<Selections> selections_of(const Parameters& said, bool needed);
// A time that may be missing, as lists of series have it.
[[nodiscard]] Result<std::int64_t> bound_of(const Parameters& said, std::string_view name,
                                            std::int64_t otherwise);

// Each series that one of the selectors fits, once, in the order of their labels; some may have no
// sample in this time.
[[nodiscard]] Result<std::vector<Source::Found>> series_of(const Source& source,
                                                           const Selections& selections,
                                                           promql::Allowance& allowance);
// Those of them that have one.
[[nodiscard]] Result<std::vector<Source::Found>> series_with_samples(const Source& source,
                                                                     const Selections& selections,
                                                                     promql::Allowance& allowance);

}  // namespace tallymill::collector
