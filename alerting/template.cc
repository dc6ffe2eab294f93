#include "alerting/template.h"

#include <fmt/format.h>

#include <utility>

#include "alerting/go_letters.h"
#include "alerting/limits.h"
#include "alerting/template_run.h"
#include "alerting/template_tree.h"

namespace tallymill::alerting {

namespace {
// What Prometheus puts in front of a template of an alert: columns in errors count it.
constexpr std::string_view definitions =
    "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}"
    "{{$externalURL := .ExternalURL}}{{$value := .Value}}";

// What they become is the same for all, and held once.
const templates::Node::List& prologue() {
  static const templates::Tree tree =
      *templates::parse_tree(std::string(definitions), definitions.size());
  return tree.root;
}

// No deeper than limits::template_depth allows.
std::size_t nodes_of(const templates::Node::List& nodes) {
  std::size_t count = nodes.size();
  for (const auto& node : nodes) {
    count += nodes_of(node->children);
    if (node->pipe != nullptr) count += 1 + nodes_of(node->pipe->children);
    if (node->bodies != nullptr)
      count += nodes_of(node->bodies->body) + nodes_of(node->bodies->otherwise);
  }
  return count;
}
}  // namespace

struct Template::Tree : templates::Tree {};

Result<Template> Template::parse(std::string_view text) {
  Template made;
  if (text.empty()) return made;
  if (text.size() > limits::template_bytes)
    return fail(Errc::too_big,
                fmt::format("1:1: a template has at most {} bytes", limits::template_bytes));
  if (text.find("{{") == std::string_view::npos) {
    made.plain_ = text;
    return made;
  }
  auto tree = templates::parse_tree(std::string(definitions).append(text), definitions.size());
  if (!tree) return std::unexpected(std::move(tree).error());
  const templates::Node::List& before = prologue();
  tree->root.erase(tree->root.begin(), tree->root.begin() + std::ssize(before));
  tree->root.shrink_to_fit();
  tree->prologue = &before;
  made.tree_ = std::make_shared<const Tree>(std::move(*tree));
  return made;
}

Result<std::string> Template::expand(const TemplateData& data) const {
  if (tree_ == nullptr) return plain_;
  return templates::run(*tree_, data);
}

std::size_t Template::nodes() const {
  if (tree_ == nullptr) return 0;
  std::size_t count = nodes_of(tree_->root);
  for (const auto& [name, body] : tree_->defined) count += nodes_of(body);
  return count;
}

std::string Template::text_or_error(const TemplateData& data) const {
  auto text = expand(data);
  std::string said =
      text ? std::move(*text) : fmt::format("<error expanding template: {}>", text.error().message);
  return templates::as_utf8(said, limits::template_output_bytes);
}

}  // namespace tallymill::alerting
