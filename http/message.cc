#include "http/message.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace tallymill::http {
namespace {

constexpr std::array<std::pair<std::string_view, Method>, 7> methods = {
    {{"GET", Method::get},
     {"HEAD", Method::head},
     {"POST", Method::post},
     {"PUT", Method::put},
     {"DELETE", Method::del},
     {"OPTIONS", Method::options},
     {"other", Method::other}}};

constexpr std::pair<int, std::string_view> reasons[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Cancelled"},  // not IANA's: the error table's
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

bool is_token(std::string_view name) {
  constexpr std::string_view separators = "\"(),/:;<=>?@[\\]{} ";
  return !name.empty() && std::ranges::all_of(name, [&](char c) {
    return static_cast<unsigned char>(c) < 0x80 && !is_control(c) && !separators.contains(c);
  });
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view space = " \t";
  const std::size_t begin = std::min(text.find_first_not_of(space), text.size());
  return text.substr(begin, text.find_last_not_of(space) + 1 - begin);
}

// What stands before the next `separator`, trimmed; `rest` goes on behind it.
std::string_view next_of(std::string_view& rest, char separator) {
  const std::size_t end = std::min(rest.find(separator), rest.size());
  const std::string_view item = trimmed(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return item;
}

// Of a member's parameters, ";q=0.5"; 1 when it has none. A weight that is none refuses.
double weight_in(std::string_view parameters) {
  while (!parameters.empty()) {
    const std::string_view parameter = next_of(parameters, ';');
    if (!same_name(parameter.substr(0, 2), "q=")) continue;
    const std::string_view digits = parameter.substr(2);
    double weight = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), weight);
    const bool whole = error == std::errc() && end == digits.data() + digits.size();
    return whole && weight > 0 ? std::min(weight, 1.0) : 0;
  }
  return 1;
}

// How closely a range names the type: 0 not at all, 1 "*/*", 2 "text/*", 3 itself.
int closeness(std::string_view range, std::string_view type) {
  if (range == "*/*") return 1;
  if (same_name(range, type)) return 3;
  const bool of_its_kind =
      range.ends_with("/*") && type.size() >= range.size() &&
      same_name(range.substr(0, range.size() - 1), type.substr(0, range.size() - 1));
  return of_its_kind ? 2 : 0;
}

// Both lists of parameters; `q` is no parameter of a type, so that it never differs.
bool differ_in_one(std::string_view some, std::string_view others) {
  while (!some.empty()) {
    std::string_view value = next_of(some, ';');
    const std::string_view name = next_of(value, '=');
    for (std::string_view rest = others; !rest.empty();) {
      std::string_view other = next_of(rest, ';');
      if (same_name(next_of(other, '='), name) && other != value) return true;
    }
  }
  return false;
}

// Whatever bytes a detail or a stored name holds: an answer is always JSON.
std::string text_of(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string_view name_of(Method method) {
  return std::ranges::find(methods, method, &decltype(methods)::value_type::second)->first;
}

Method method_named(std::string_view name) {
  const auto* found = std::ranges::find(methods, name, &decltype(methods)::value_type::first);
  return found == methods.end() ? Method::other : found->second;
}

std::string_view name_of(Role role) {
  constexpr std::array<std::string_view, 4> names = {"none", "read", "submit", "operate"};
  return names.at(static_cast<std::size_t>(role));
}

void Headers::add(std::string name, std::string value) {
  if (!is_token(name)) return;
  for (char& c : value)
    if (is_control(c) && c != '\t') c = ' ';
  fields_.emplace_back(std::move(name), std::move(value));
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : fields_)
    if (same_name(key, name)) return value;
  return {};
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(std::ranges::count_if(
      fields_, [&](const auto& field) { return same_name(field.first, name); }));
}

std::string Headers::list(std::string_view name) const {
  std::string all;
  for (const auto& [key, value] : fields_)
    if (same_name(key, name)) all += (all.empty() ? "" : ", ") + value;
  return all;
}

std::optional<std::string_view> find(const Pairs& pairs, std::string_view name) {
  for (const auto& [key, value] : pairs)
    if (key == name) return value;
  return std::nullopt;
}

std::string_view Request::part(std::string_view name) const {
  return find(parts, name).value_or(std::string_view());
}

void Body::narrow(std::size_t begin, std::size_t length) {
  TM_CHECK(begin <= size() && length <= size() - begin);
  if (shared_) {
    view_ = view_.substr(begin, length);
  } else {
    text_.resize(begin + length);
    text_.erase(0, begin);
  }
}

Response json_response(const nlohmann::json& value, int status) {
  return {.status = status, .body = text_of(value)};
}

Response problem(const Error& error, int status) {
  const ErrorInfo known = info(error.code);
  if (status == 0) status = known.http;
  nlohmann::json said = {{"type", "about:blank"},  // what went wrong is told by `code`
                         {"title", reason_of(status)},
                         {"status", status},
                         {"code", known.name},
                         {"detail", error.message}};
  if (!error.field.empty()) said["field"] = error.field;
  Response response = {.status = status, .type = "application/problem+json"};
  if (error.retry_after.count() > 0) {
    said["retry_after_ms"] = error.retry_after.count();
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(error.retry_after);
    response.headers.add("Retry-After", std::to_string(seconds.count()));
  }
  if (status == 401) response.headers.add("WWW-Authenticate", "Bearer");
  response.body = text_of(said);
  return response;
}

std::string_view reason_of(int status) {
  const auto* found = std::ranges::find(reasons, status, &std::pair<int, std::string_view>::first);
  return found == std::end(reasons) ? "Unassigned" : found->second;
}

std::string media_type_of(std::string_view content_type) {
  return lower_case(next_of(content_type, ';'));
}

bool accepts(std::string_view list, std::string_view member) {
  while (!list.empty()) {
    std::string_view said = next_of(list, ',');
    if (same_name(next_of(said, ';'), member)) return weight_in(said) > 0;
  }
  return false;
}

double weight_of(std::string_view accept, std::string_view type) {
  if (trimmed(accept).empty()) return 1;
  const std::string_view name = next_of(type, ';');
  int closest = 0;
  double weight = 0;
  while (!accept.empty()) {
    std::string_view said = next_of(accept, ',');
    const int close = closeness(next_of(said, ';'), name);
    if (close <= closest || differ_in_one(type, said)) continue;
    closest = close;
    weight = weight_in(said);
  }
  return weight;
}

std::string lower_case(std::string_view text) {
  std::string low(text);
  std::ranges::transform(low, low.begin(), lower);
  return low;
}

}  // namespace tallymill::http
