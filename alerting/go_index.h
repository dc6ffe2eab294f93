// GoIndex: index, slice and len of templates.
//
// Threads: pure functions.
// Source: Go 1.19, text/template.
#pragma once

#include <span>

#include "alerting/template_value.h"
#include "base/result.h"

namespace tallymill::alerting::templates {

// bad_params: it has no elements, or not this one.
[[nodiscard]] Result<Value> indexed(const Value& item, std::span<const Value> indexes);
[[nodiscard]] Result<Value> sliced(const Value& item, std::span<const Value> indexes);
[[nodiscard]] Result<Value> length_of(const Value& item);

}  // namespace tallymill::alerting::templates
