// Params as JSON: the values of a job or an answer, between the wire's msgpack and the JSON that
// handlers and pages read.
//
// The two are the same tree with other clothes: nil, booleans, 64-bit integers, doubles, UTF-8
// text, lists, and maps whose keys are text. Anything else that msgpack can say (binary,
// extensions, other keys) is refused: bytes travel as blobs.
//
// Threads: any.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "base/result.h"

namespace tallymill::bus {

// One msgpack value that fills `untrusted` exactly. bad_frame with a JSON pointer: cut off, nested
// deeper than limits::msgpack_depth, text that is not UTF-8, a key twice, a type that JSON has not.
[[nodiscard]] Result<nlohmann::json> json_of_msgpack(std::string_view untrusted);

// bad_frame: nested too deep, text that is not UTF-8, or a binary value.
[[nodiscard]] Result<std::string> msgpack_of_json(const nlohmann::json& value);

}  // namespace tallymill::bus
