// Gunzip: what is in a gzip, within a bound.
//
// Threads: any.
// Source: RFC 1952; libdeflate reads it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"

namespace tallymill::collector {

// One member, as servers send. bad_params: it is none, or more behind it; too_big: more than `most`
// comes out of it.
[[nodiscard]] Result<std::string> gunzip(std::string_view untrusted, Bytes most);

}  // namespace tallymill::collector
