// TemplateRun: one expansion of a parsed template.
//
// Threads: any number at once of one tree.
// Source: Go 1.19, text/template.
#pragma once

#include <string>

#include "alerting/template_tree.h"
#include "base/result.h"

namespace tallymill::alerting::templates {

// bad_params: what went wrong, where, as Prometheus tells it; too_big: over a limit.
[[nodiscard]] Result<std::string> run(const Tree& tree, const TemplateData& data);

}  // namespace tallymill::alerting::templates
