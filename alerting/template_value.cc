#include "alerting/template_value.h"

#include "base/check.h"

namespace tallymill::alerting::templates {

std::string_view name_of(Type type) {
  switch (type) {
    case Type::none:
      return "<nil>";
    case Type::boolean:
      return "bool";
    case Type::integer:
      return "int";
    case Type::integer64:
      return "int64";
    case Type::byte:
      return "uint8";
    case Type::real:
      return "float64";
    case Type::text:
      return "string";
    case Type::html:
      return "template.HTML";
    case Type::labels:
      return "map[string]string";
    case Type::arguments:
      return "map[string]interface {}";
    case Type::samples:
      return "template.queryResult";
    case Type::sample:
      return "*template.sample";
    case Type::time:
      return "*time.Time";
    case Type::time_value:
      return "time.Time";
    case Type::month:
      return "time.Month";
    case Type::weekday:
      return "time.Weekday";
    case Type::alert:
      return "struct { Labels map[string]string; ExternalLabels map[string]string; "
             "ExternalURL string; Value float64 }";
  }
  TM_CHECK(false);
}

bool has_length(const Value& value) {
  return value.is_text() || value.type == Type::labels || value.type == Type::arguments ||
         value.type == Type::samples;
}

std::size_t length(const Value& value) {
  if (value.is_text()) return value.text().size();
  if (value.type == Type::labels) return value.labels().size();
  if (value.type == Type::arguments) return value.arguments().by_name.size();
  return value.samples().size();
}

bool is_true(const Value& value) {
  if (has_length(value)) return length(value) > 0;
  if (value.type == Type::none) return false;
  if (value.type == Type::boolean) return value.boolean();
  if (value.is_integer()) return value.integer() != 0;
  if (value.type == Type::real) return value.real() != 0;
  if (value.type == Type::sample) return value.sample() != nullptr;
  return true;
}

}  // namespace tallymill::alerting::templates
