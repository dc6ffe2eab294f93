// TemplateTree: a parsed template.
//
// Every node knows where it stands and how it is written, for errors at run time tell both. There
// are some hundred thousand of them when there are ten thousand rules: what few have is apart.
//
//   invariant: pipes have commands, commands have operands, and nesting is no deeper than
//              limits::template_depth
//
// Threads: never written after it was parsed.
// Source: Go's text/template/parse.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "alerting/template_functions.h"
#include "alerting/template_value.h"
#include "base/result.h"

namespace tallymill::alerting::templates {

struct Node;
using NodePointer = std::unique_ptr<const Node>;

struct Node {
  enum class Kind : std::uint8_t {
    // What stands in a list.
    text,
    action,
    if_,
    range,
    with,
    invoke,  // {{template}} and {{block}}
    break_,
    continue_,
    // Expressions.
    pipe,     // `children`: its commands; `names`: the variables that it sets
    command,  // `children`: its operands
    dot,
    nil,
    constant,    // a boolean, a number, a text
    field,       // .a.b, by `names`
    variable,    // $x.a.b: the first of `names` is the variable
    identifier,  // a function
    chain,       // (pipe).a.b: `children` has one
  };
  using List = std::vector<NodePointer>;

  struct Bodies {
    List body;
    List otherwise;
  };

  Kind kind;
  bool assigns = false;  // of a pipe: = and not :=
  std::uint32_t at = 0;
  std::string text = {};  // as it is written; of an invocation the template's name
  std::vector<std::string> names = {};
  std::unique_ptr<const Value> value = {};  // of a constant; Type::none: the number is too large
  const Function* function = nullptr;
  List children = {};
  NodePointer pipe = {};                      // of what has one
  std::unique_ptr<const Bodies> bodies = {};  // of if, range and with

  // As Go writes it.
  [[nodiscard]] std::string written() const;
};

struct Tree {
  std::string text;
  const Node::List* prologue = nullptr;  // what is run before the root; null: nothing
  Node::List root;
  std::map<std::string, Node::List, std::less<>> defined;
};

// bad_params, "line:column: ..."; too_big: over a limit. `prefix`: as many bytes of the first line
// are none of the user's.
[[nodiscard]] Result<Tree> parse_tree(std::string text, std::size_t prefix);

// line:column of a byte, as Go counts at run time: columns from 0.
[[nodiscard]] std::string place_of(std::string_view text, std::size_t at);

}  // namespace tallymill::alerting::templates
