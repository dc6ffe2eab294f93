// Federation: the newest sample of each of some series, as text that another collector scrapes.
//
// As Prometheus answers /federate: format 0.0.4, every metric untyped, by name; a series that has
// no `instance` says so with an empty one, so that whoever scrapes it does not put its own there.
//
// Threads: pure function, but for the source.
// Source: Prometheus 2.42, /federate.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "collector/selections.h"

namespace tallymill::collector {

inline constexpr std::string_view exposition_text_type = "text/plain; version=0.0.4; charset=utf-8";

// Samples from selections.from_ms to to_ms; a series whose newest one is a stale marker has none.
// too_big: over limits::answer_bytes.
[[nodiscard]] Result<std::string> federation_of(const Source& source, const Selections& selections,
                                                promql::Allowance& allowance);

// As Go writes a number by %g: 1.5, 1e+06, +Inf, NaN.
void append_exposed(std::string& to, double value);

}  // namespace tallymill::collector
