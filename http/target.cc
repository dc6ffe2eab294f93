// What stands in a request's target, and the encodings of text in addresses and tokens: what is
// read here comes from anybody.
#include <algorithm>

#include "base/limits.h"
#include "base/text.h"
#include "http/message.h"

namespace tallymill::http {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

int base64url_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool is_unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

std::optional<std::string> text_decoded(std::string_view untrusted) {
  auto text = percent_decoded(untrusted);
  if (!text || !is_clean_text(*text)) return std::nullopt;
  return text;
}

std::optional<std::string> step_decoded(std::string_view untrusted) {
  auto step = text_decoded(untrusted);
  // Some would take a backslash for a slash, and ours is no name with either.
  if (!step || step->find_first_of("/\\") != std::string::npos) return std::nullopt;
  if (*step == "." || *step == "..") return std::nullopt;
  return step;
}

// REQUIRES: it begins with a slash.
std::optional<std::string> path_decoded(std::string_view untrusted) {
  std::string path;
  while (!untrusted.empty()) {
    const std::size_t end = std::min(untrusted.find('/', 1), untrusted.size());
    const auto step = step_decoded(untrusted.substr(1, end - 1));
    if (!step || (step->empty() && end != untrusted.size())) return std::nullopt;
    path += '/' + *step;
    untrusted.remove_prefix(end);
  }
  return path;
}

std::optional<std::string> form_decoded(std::string_view untrusted, bool lines) {
  std::string text(untrusted);
  std::ranges::replace(text, '+', ' ');
  if (!lines) return text_decoded(text);
  auto decoded = percent_decoded(text);
  if (!decoded) return std::nullopt;
  std::string flat = *decoded;
  std::ranges::replace_if(flat, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return is_clean_text(flat) ? decoded : std::nullopt;
}

std::optional<Pairs> query_decoded(std::string_view untrusted, bool lines) {
  Pairs pairs;
  while (!untrusted.empty()) {
    const std::size_t end = std::min(untrusted.find('&'), untrusted.size());
    const std::string_view pair = untrusted.substr(0, end);
    untrusted.remove_prefix(std::min(end + 1, untrusted.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = form_decoded(pair.substr(0, equals), lines);
    // PromQL is written over lines, and vmalert and others send it in the address.
    const bool promql = name == "query" || name == "match[]";
    auto value = form_decoded(pair.substr(std::min(equals + 1, pair.size())), lines || promql);
    if (!name || !value) return std::nullopt;
    pairs.emplace_back(std::move(*name), std::move(*value));
  }
  return pairs;
}

}  // namespace

Result<Target> parse_target(std::string_view untrusted) {
  if (untrusted.size() > static_cast<std::size_t>(limits::http_header_bytes.raw()))
    return fail(Errc::too_big, "the request's target is longer than a header may be");
  // What no client sends unescaped, and what another reader on the way may have understood else.
  const auto is_raw = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  if (!untrusted.starts_with('/') || untrusted.find_first_of(" #\\") != std::string_view::npos ||
      std::ranges::any_of(untrusted, is_raw))
    return fail(Errc::bad_frame, "the request's target is not a path with a query");
  const std::size_t end = std::min(untrusted.find('?'), untrusted.size());
  auto path = path_decoded(untrusted.substr(0, end));
  if (!path) return fail(Errc::bad_frame, "the request's path is not a plain one");
  auto query = query_decoded(untrusted.substr(std::min(end + 1, untrusted.size())), false);
  if (!query) return fail(Errc::bad_frame, "the request's query is not escaped text");
  return Target{std::move(*path), std::move(*query)};
}

Result<Pairs> parse_form(std::string_view untrusted) {
  auto pairs = query_decoded(untrusted, true);
  if (!pairs) return fail(Errc::bad_frame, "the request's body is no form of escaped text");
  return std::move(*pairs);
}

std::optional<std::string> percent_decoded(std::string_view untrusted) {
  std::string text;
  text.reserve(untrusted.size());
  for (std::size_t i = 0; i < untrusted.size(); ++i) {
    if (untrusted[i] != '%') {
      text += untrusted[i];
      continue;
    }
    if (untrusted.size() - i < 3) return std::nullopt;
    const int high = hex_value(untrusted[i + 1]);
    const int low = hex_value(untrusted[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    text += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return text;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    if (is_unreserved(c)) {
      encoded += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    encoded += {'%', digits[byte >> 4], digits[byte & 15]};
  }
  return encoded;
}

std::optional<std::string> base64url_decoded(std::string_view untrusted) {
  std::string bytes;
  std::uint32_t bits = 0;  // read and not written yet: the lowest `held`
  unsigned held = 0;
  for (const char c : untrusted) {
    const int value = base64url_value(c);
    if (value < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<std::uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>((bits >> held) & 0xff);
    bits &= (1u << held) - 1;
  }
  // Six bits too many are no character's, and bits that are set would be a second way to write it.
  if (held >= 6 || bits != 0) return std::nullopt;
  return bytes;
}

}  // namespace tallymill::http
