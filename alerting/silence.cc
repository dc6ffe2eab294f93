#include "alerting/silence.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "alerting/alert_json.h"
#include "alerting/limits.h"
#include "base/utf8.h"
#include "collector/labels_check.h"
#include "collector/parameters.h"

namespace tallymill::alerting {
namespace {

using collector::Matcher;
using nlohmann::json;

Result<std::string> text_of(const json& object, const char* name, const std::string& at) {
  const std::string field = at + "/" + name;
  const auto found = object.find(name);
  if (found == object.end() || found->is_null())
    return fail(Errc::bad_params, fmt::format("'{}' is missing: give a text", name), field);
  if (!found->is_string())
    return fail(Errc::bad_params, fmt::format("'{}' is no text: put it in quotes", name), field);
  auto text = found->get<std::string>();
  if (text.size() > limits::silence_text_bytes)
    return fail(Errc::bad_params,
                fmt::format("'{}' has {} bytes: it may have {}", name, text.size(),
                            limits::silence_text_bytes),
                field);
  return text;
}

Result<bool> flag_of(const json& object, const char* name, const std::string& at) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_boolean())
    return fail(Errc::bad_params, fmt::format("'{}' is missing: give true or false", name),
                at + "/" + name);
  return found->get<bool>();
}

Result<std::int64_t> time_of(const json& object, const char* name) {
  const auto text = text_of(object, name, "");
  if (!text) return std::unexpected(text.error());
  const auto ms = collector::time_ms_of(*text);
  constexpr std::int64_t year_10000_ms = 253'402'300'800'000;
  if (!ms || *ms <= 0 || *ms >= year_10000_ms)
    return fail(Errc::bad_params,
                fmt::format("'{}' is no time: write it as 2026-11-28T15:00:00Z", name),
                fmt::format("/{}", name));
  return *ms;
}

Result<Matcher> matcher_of(Matcher::Kind kind, std::string name, std::string value,
                           const std::string& at) {
  if (!collector::is_label_name(name))
    return fail(Errc::bad_params,
                fmt::format("'{}' is no label's name: letters, digits and _, no digit first", name),
                at + "/name");
  auto matcher = Matcher::of(kind, std::move(name), std::move(value));
  if (!matcher)
    return fail(Errc::bad_params, matcher.error().message + ": mend it, or set isRegex to false",
                at + "/value");
  if (matcher->program() > limits::silence_program)
    return fail(Errc::bad_params,
                fmt::format("the regular expression is too large: it becomes {} instructions, {} "
                            "are the most; use several silences",
                            matcher->program(), limits::silence_program),
                at + "/value");
  return matcher;
}

Result<Matcher> matcher_of(const json& said, const std::string& at) {
  if (said.is_string()) {
    auto matcher = parse_matcher(said.get_ref<const std::string&>());
    if (!matcher) return fail(Errc::bad_params, std::move(matcher).error().message, at);
    return matcher;
  }
  if (!said.is_object())
    return fail(Errc::bad_params,
                "a matcher is an object of name, value, isRegex and isEqual, or a text as "
                "stage=\"image\"",
                at);
  auto name = text_of(said, "name", at);
  if (!name) return std::unexpected(std::move(name).error());
  auto value = text_of(said, "value", at);
  if (!value) return std::unexpected(std::move(value).error());
  const auto is_regex = flag_of(said, "isRegex", at);
  if (!is_regex) return std::unexpected(is_regex.error());
  const auto is_equal = said.contains("isEqual") ? flag_of(said, "isEqual", at) : true;
  if (!is_equal) return std::unexpected(is_equal.error());
  using enum Matcher::Kind;
  const auto kind =
      *is_regex ? (*is_equal ? matches : not_matches) : (*is_equal ? equal : not_equal);
  return matcher_of(kind, std::move(*name), std::move(*value), at);
}

// As Alertmanager has it: what is not equal counts as one that says something.
bool says_something(const Matcher& matcher) {
  const bool positive =
      matcher.kind() == Matcher::Kind::equal || matcher.kind() == Matcher::Kind::matches;
  return !positive || !matcher.fits("");
}

// "value" without its quotes and escapes; nothing: they are wrong.
std::optional<std::string> unquoted(std::string_view text) {
  if (!text.starts_with('"')) {
    if (text.find('"') != std::string_view::npos) return std::nullopt;
    return std::string(text);
  }
  if (text.size() < 2 || !text.ends_with('"')) return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::string value;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') return std::nullopt;
    if (text[i] != '\\') {
      value += text[i];
      continue;
    }
    if (++i == text.size()) return std::nullopt;
    if (text[i] == 'n')
      value += '\n';
    else if (text[i] == '"' || text[i] == '\\')
      value += text[i];
    else  // of a regular expression, as "a\.b"
      value.append("\\").append(1, text[i]);
  }
  return value;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blank = " \t\n\r";
  const std::size_t begin = text.find_first_not_of(blank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blank) - begin + 1);
}

}  // namespace

std::string_view name_of(SilenceState state) {
  switch (state) {
    case SilenceState::active:
      return "active";
    case SilenceState::pending:
      return "pending";
    case SilenceState::expired:
      break;
  }
  return "expired";
}

SilenceState Silence::state(std::int64_t now_ms) const {
  if (ends_ms <= now_ms) return SilenceState::expired;
  return starts_ms > now_ms ? SilenceState::pending : SilenceState::active;
}

bool Silence::fits(const collector::Labels& alert) const {
  return std::ranges::all_of(matchers,
                             [&](const Matcher& one) { return one.fits(alert.get(one.name())); });
}

Result<Silence> parse_silence(std::string_view untrusted) {
  const json said = json::parse(untrusted, nullptr, false);
  if (!said.is_object())
    return fail(Errc::bad_frame, "the body is no JSON object: see docs/alerting.md, Silences");
  Silence silence;
  if (const auto id = said.find("id"); id != said.end() && id->is_string()) {
    if (id->get_ref<const std::string&>().size() > limits::silence_text_bytes)
      return fail(Errc::not_found, "no silence has this id", "/id");
    silence.id = id->get<std::string>();
  }
  auto matchers = parse_matchers(said.value("matchers", json()));
  if (!matchers) return std::unexpected(std::move(matchers).error());
  silence.matchers = std::move(*matchers);
  const auto starts = time_of(said, "startsAt");
  if (!starts) return std::unexpected(starts.error());
  const auto ends = time_of(said, "endsAt");
  if (!ends) return std::unexpected(ends.error());
  if (*ends <= *starts)
    return fail(Errc::bad_params, "it would end before it starts: give an endsAt behind startsAt",
                "/endsAt");
  silence.starts_ms = *starts;
  silence.ends_ms = *ends;
  auto created_by = text_of(said, "createdBy", "");
  if (!created_by) return std::unexpected(std::move(created_by).error());
  silence.created_by = std::move(*created_by);
  auto comment = text_of(said, "comment", "");
  if (!comment) return std::unexpected(std::move(comment).error());
  silence.comment = std::move(*comment);
  return silence;
}

Result<std::vector<Matcher>> parse_matchers(const json& untrusted) {
  if (!untrusted.is_array() || untrusted.empty())
    return fail(Errc::bad_params,
                "'matchers' has none: give one at least, that says which alerts it silences",
                "/matchers");
  if (untrusted.size() > limits::silence_matchers)
    return fail(Errc::bad_params,
                fmt::format("{} matchers are too many: {} are the most", untrusted.size(),
                            limits::silence_matchers),
                "/matchers");
  std::vector<Matcher> matchers;
  std::int64_t program = 0;
  for (const json& one : untrusted) {
    auto matcher = matcher_of(one, fmt::format("/matchers/{}", matchers.size()));
    if (!matcher) return std::unexpected(std::move(matcher).error());
    program += matcher->program();
    matchers.push_back(std::move(*matcher));
  }
  if (program > limits::silence_program)
    return fail(Errc::bad_params,
                fmt::format("the regular expressions are too large: {} instructions, {} are the "
                            "most; use several silences",
                            program, limits::silence_program),
                "/matchers");
  if (std::ranges::none_of(matchers, says_something))
    return fail(Errc::bad_params,
                "at least one matcher must not match the empty string: it would silence all that "
                "has no such label; name a value",
                "/matchers");
  return matchers;
}

json json_of(const std::vector<Matcher>& matchers) {
  using enum Matcher::Kind;
  json all = json::array();
  for (const Matcher& one : matchers)
    all.push_back({{"name", one.name()},
                   {"value", one.value()},
                   {"isRegex", one.kind() == matches || one.kind() == not_matches},
                   {"isEqual", one.kind() == equal || one.kind() == matches}});
  return all;
}

json json_of(const Silence& silence, std::int64_t now_ms) {
  return {{"id", silence.id},
          {"status", {{"state", name_of(silence.state(now_ms))}}},
          {"updatedAt", rfc3339(silence.updated_ms)},
          {"comment", silence.comment},
          {"createdBy", silence.created_by},
          {"startsAt", rfc3339(silence.starts_ms)},
          {"endsAt", rfc3339(silence.ends_ms)},
          {"matchers", json_of(silence.matchers)}};
}

Result<Matcher> parse_matcher(std::string_view untrusted) {
  const auto wrong = [&] {
    return fail(Errc::bad_params,
                fmt::format("'{}' is no matcher: write it as stage=\"image\", or with !=, =~, !~",
                            untrusted.substr(0, 200)));
  };
  const std::string_view text = trimmed(untrusted);
  if (text.size() > 2 * limits::silence_text_bytes || !is_utf8(text)) return wrong();
  const std::size_t sign = text.find_first_of("=!");
  if (sign == std::string_view::npos) return wrong();
  using enum Matcher::Kind;
  constexpr std::pair<std::string_view, Matcher::Kind> signs[] = {
      {"=~", matches}, {"!~", not_matches}, {"!=", not_equal}, {"=", equal}};
  for (const auto& [word, kind] : signs) {
    if (!text.substr(sign).starts_with(word)) continue;
    auto value = unquoted(trimmed(text.substr(sign + word.size())));
    if (!value) return wrong();
    auto matcher = matcher_of(kind, std::string(trimmed(text.substr(0, sign))), *value, "");
    if (!matcher) return fail(Errc::bad_params, matcher.error().message);
    return matcher;
  }
  return wrong();
}

}  // namespace tallymill::alerting
