// GoEscape: text made fit for HTML, JavaScript and a URL's query, as Go does it.
//
// Threads: pure functions.
// Source: Go's text/template and net/url.
#pragma once

#include <string>
#include <string_view>

namespace tallymill::alerting::templates {

[[nodiscard]] std::string html_escaped(std::string_view text);
[[nodiscard]] std::string js_escaped(std::string_view text);
[[nodiscard]] std::string query_escaped(std::string_view text);

}  // namespace tallymill::alerting::templates
