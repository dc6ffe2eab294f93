// Alerts: how the command line shows them; what `alerts explain` prints is a text made from the
// collector's answer.
//
// Threads: pure functions.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace tallymill::cli {

// Of 2026-11-28T15:00:00.250Z; nothing: it is none, or the time that stands for none.
[[nodiscard]] std::optional<std::int64_t> unix_ms_of(const std::string& rfc3339);
// 3.1e-01 -> 0.31; what is no number stays.
[[nodiscard]] std::string number_of(const std::string& text);
// Of `data` of /api/v1/alerts/explain.
[[nodiscard]] std::string explanation_text(const nlohmann::json& data);

}  // namespace tallymill::cli
