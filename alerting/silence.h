// Silence: alerts that nobody is told of for a while, because somebody said so.
//
// It silences the alerts that fit all of its matchers, from its start to its end. It is told and
// taken in Alertmanager's JSON, so that what people have for that works here.
//
//   invariant: a parsed silence has a matcher that does not fit the empty value: none silences
//              whatever comes
//
// Threads: plain values.
// Source: Alertmanager 0.25, API v2.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/query.h"
#include "collector/series.h"

namespace tallymill::alerting {

// pending: its start is yet to come.
enum class SilenceState : std::uint8_t { active, pending, expired };
[[nodiscard]] std::string_view name_of(SilenceState state);

struct Silence {
  std::string id = {};  // a UUID; empty: a new one
  std::vector<collector::Matcher> matchers = {};
  std::int64_t starts_ms = 0;
  std::int64_t ends_ms = 0;  // it silences up to here, and no longer
  std::int64_t updated_ms = 0;
  std::string created_by = {};
  std::string comment = {};

  [[nodiscard]] SilenceState state(std::int64_t now_ms) const;
  [[nodiscard]] bool fits(const collector::Labels& alert) const;
};

// What POST /api/v2/silences takes. bad_frame: no JSON object. bad_params: a field is wrong or
// missing, or the end is not behind the start; the error's field names it.
[[nodiscard]] Result<Silence> parse_silence(std::string_view untrusted);
// {"id":..., "status":{"state":"active"}, ...}
[[nodiscard]] nlohmann::json json_of(const Silence& silence, std::int64_t now_ms);

// [{"name":..., "value":..., "isRegex":false, "isEqual":true}], there and back; errors as above.
// One that is read may also be a text, as parse_matcher() takes it.
[[nodiscard]] nlohmann::json json_of(const std::vector<collector::Matcher>& matchers);
[[nodiscard]] Result<std::vector<collector::Matcher>> parse_matchers(
    const nlohmann::json& untrusted);

// stage="image", stage=~"a|b", quotes may be left out. bad_params: it is none.
[[nodiscard]] Result<collector::Matcher> parse_matcher(std::string_view untrusted);

}  // namespace tallymill::alerting
