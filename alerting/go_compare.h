// GoCompare: eq, lt and le of templates. An integer is no float, whatever its value: that is an
// error, as with Go.
//
// Threads: pure functions.
// Source: Go 1.19, text/template.
#pragma once

#include <span>

#include "alerting/template_value.h"
#include "base/result.h"

namespace tallymill::alerting::templates {

// Whether it equals one of them. bad_params: they cannot be compared, or there is none.
[[nodiscard]] Result<bool> equal(const Value& one, std::span<const Value> others);
[[nodiscard]] Result<bool> less(const Value& one, const Value& other);
[[nodiscard]] Result<bool> less_or_equal(const Value& one, const Value& other);

}  // namespace tallymill::alerting::templates
