// Schemas: what the gateway's answers are made of, as JSON Schema by name, for its OpenAPI
// document. What the wire says is described in docs/protocol.md; these are the same shapes.
//
// Threads: plain function.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace tallymill::gateway {

[[nodiscard]] std::map<std::string, nlohmann::json> schemas();

}  // namespace tallymill::gateway
