// Template: the text of a label or an annotation, with what it says of an alert filled in.
//
//   {{ $labels.instance }} is at {{ $value | humanizePercentage }}
//   {{ range query "up == 0" | sortByLabel "instance" }}{{ .Labels.instance }} {{ end }}
//
// The language is Go's text/template as far as rules use it: fields, variables, pipelines,
// parentheses, literals; if, else, else if, range, with, define, template, block, comments, trim
// marks, variables that are declared and assigned; Go's own functions (and or not eq ne lt le gt ge
// len index slice print printf println html js urlquery) and Prometheus' (query first label value
// strvalue args reReplaceAll safeHtml match title toUpper toLower graphLink tableLink sortByLabel
// stripPort stripDomain humanize humanize1024 humanizeDuration humanizePercentage humanizeTimestamp
// toTime pathPrefix externalURL parseDuration). What is wrong is found when it is parsed, an
// unknown function too; what goes wrong later is told in the text, as Prometheus does. Not there:
// complex numbers. A list of samples shows the samples, where Go shows their addresses.
//
//   invariant: an expansion ends, and is small: limits::template_*
//
// Threads: a parsed one may be expanded by several at once.
// Source: Go's text/template; Prometheus 2.42, template reference.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "collector/series.h"

namespace tallymill::alerting {

struct TemplateSample {
  collector::Labels labels;
  double value = 0;
};

struct TemplateData {
  collector::Labels labels;  // of what the expression gave
  double value = 0;
  collector::Labels external_labels = {};
  std::string external_url = {};
  std::int64_t now_ms = 0;
  // An instant query at now_ms; a scalar is one sample without labels.
  std::function<Result<std::vector<TemplateSample>>(std::string_view)> query = {};
  std::string alert = {};  // its name, which errors tell
};

class Template {
 public:
  Template() = default;  // of the empty text
  // bad_params, "line:column: ...": it is none.
  [[nodiscard]] static Result<Template> parse(std::string_view text);
  // bad_params, execution: what went wrong; too_big: over a limit.
  [[nodiscard]] Result<std::string> expand(const TemplateData& data) const;
  // What it is made of: nodes of its tree.
  [[nodiscard]] std::size_t nodes() const;
  // As Prometheus puts it into a label: the text, or "<error expanding template: ...>". UTF-8.
  [[nodiscard]] std::string text_or_error(const TemplateData& data) const;

 private:
  struct Tree;
  std::shared_ptr<const Tree> tree_;  // null: it says the same of everything
  std::string plain_;                 // what that is
};

}  // namespace tallymill::alerting
