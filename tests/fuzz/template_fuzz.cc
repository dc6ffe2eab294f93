// links: tm_alerting
// A template from anybody who may write rules. Goal: whatever it is, it is refused with its line
// and column, or its expansion ends, is no larger than it may be, and is UTF-8.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/limits.h"
#include "alerting/template.h"
#include "base/check.h"
#include "base/utf8.h"

namespace {

using namespace tallymill;
using alerting::TemplateSample;

Result<std::vector<TemplateSample>> samples_of(std::string_view query) {
  if (query.empty()) return fail(Errc::bad_params, "an empty query");
  std::vector<TemplateSample> samples;
  for (std::size_t i = 0; i < query.size() % 50; ++i)
    samples.push_back(
        {collector::Labels::of({{"a", std::to_string(i * 7 % 5)}, {"__value__", "v"}}),
         static_cast<double>(i) / 3});
  return samples;
}

bool tells_its_place(const std::string& message) {
  const std::size_t line = message.find_first_not_of("0123456789");
  if (line == 0 || line == std::string::npos || message[line] != ':') return false;
  const std::size_t column = message.find_first_not_of("0123456789", line + 1);
  return column > line + 1 && column != std::string::npos && message[column] == ':';
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  const auto parsed = alerting::Template::parse(text);
  if (!parsed) {
    TM_CHECK(tells_its_place(parsed.error().message));
    return 0;
  }
  alerting::TemplateData data;
  data.labels = collector::Labels::of({{"instance", "a.b:80"}, {"job", "mill"}});
  data.value = 1234.5;
  data.external_labels = collector::Labels::of({{"site", "eu"}});
  data.external_url = "http://mill:9090/a";
  data.query = samples_of;
  data.alert = "T";
  const auto expanded = parsed->expand(data);
  if (expanded)
    TM_CHECK(expanded->size() <= limits::template_output_bytes);
  else
    TM_CHECK(!expanded.error().message.empty());
  const std::string said = parsed->text_or_error(data);
  TM_CHECK(is_utf8(said) && said.size() <= limits::template_output_bytes);
  return 0;
}
