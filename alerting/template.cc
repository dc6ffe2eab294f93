#include "alerting/template.h"

#include "collector/promql/print.h"

// Stands in until the real one is merged: {{ $value }}, {{ $labels.NAME }} and
// {{ query "Q" | first | value }}; all else is text.
namespace tallymill::alerting {

struct Template::Tree {
  std::string text;
};

namespace {

std::string filled(std::string_view action, const TemplateData& data) {
  constexpr std::string_view label = "$labels.";
  constexpr std::string_view query = "query \"";
  if (action == "$value") return promql::number_text(data.value);
  if (action.starts_with(label)) return std::string(data.labels.get(action.substr(label.size())));
  if (action.starts_with(query) && data.query) {
    const auto rest = action.substr(query.size());
    const auto rows = data.query(rest.substr(0, rest.find("\" | first | value")));
    if (!rows) return "<error expanding template: " + rows.error().message + ">";
    return rows->empty() ? "" : promql::number_text(rows->front().value);
  }
  return "{{ " + std::string(action) + " }}";
}

}  // namespace

Result<Template> Template::parse(std::string_view text) {
  Template made;
  made.tree_ = std::make_shared<const Tree>(std::string(text));
  return made;
}

Result<std::string> Template::expand(const TemplateData& data) const {
  std::string said;
  std::string_view rest = tree_ == nullptr ? std::string_view() : tree_->text;
  for (;;) {
    const auto begin = rest.find("{{ ");
    const auto end = rest.find(" }}", begin);
    said += rest.substr(0, begin);
    if (begin == std::string_view::npos || end == std::string_view::npos) return said;
    said += filled(rest.substr(begin + 3, end - begin - 3), data);
    rest.remove_prefix(end + 3);
  }
}

std::string Template::text_or_error(const TemplateData& data) const { return *expand(data); }

}  // namespace tallymill::alerting
