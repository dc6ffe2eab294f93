// An answer of another server is no more to be trusted than any bytes of the wire.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "http/client.h"

namespace tallymill::http {
namespace {

constexpr std::size_t longest_message = 4096;
constexpr std::int64_t longest_delay_ms = 24 * 3600 * 1000;

std::string text_at(const nlohmann::json& said, const char* name) {
  const auto found = said.find(name);
  if (found == said.end() || !found->is_string()) return {};
  std::string text = found->get<std::string>();
  clean_text(text, longest_message);
  return text;
}

Errc code_of_status(int status) {
#define TM_CASE(code, name, http, exit, retry, meaning) \
  if (status == (http)) return Errc::code;
  TM_ERROR_TABLE(TM_CASE)
#undef TM_CASE
  return Errc::bad_frame;
}

}  // namespace

Error refusal(const ClientResponse& response) {
  Error error{code_of_status(response.status),
              fmt::format("the server answers {} {}", response.status, reason_of(response.status))};
  if (media_type_of(response.headers.get("Content-Type")) != "application/problem+json")
    return error;
  const auto said = nlohmann::json::parse(response.body, nullptr, false);
  if (!said.is_object()) return error;
  if (const auto code = errc_named(text_at(said, "code"))) error.code = *code;
  if (std::string detail = text_at(said, "detail"); !detail.empty()) error.message = detail;
  error.field = text_at(said, "field");
  const auto delay = said.find("retry_after_ms");
  if (delay != said.end() && delay->is_number_unsigned())
    error.retry_after = std::chrono::milliseconds(static_cast<std::int64_t>(
        std::min<std::uint64_t>(delay->get<std::uint64_t>(), longest_delay_ms)));
  return error;
}

}  // namespace tallymill::http
