#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>

#include "alerting/go_letters.h"
#include "alerting/go_unquote.h"
#include "alerting/limits.h"
#include "alerting/template_lexer.h"
#include "alerting/template_tree.h"
#include "collector/promql/go_text.h"

namespace tallymill::alerting::templates {
namespace {

using Kind = Token::Kind;

// What ended a list of nodes.
enum class Ending : std::uint8_t { end, else_, else_if, file };

std::unique_ptr<Node> node_of(Node::Kind kind, const Token& token) {
  auto node = std::make_unique<Node>();
  node->kind = kind;
  node->at = static_cast<std::uint32_t>(token.at);  // below limits::template_bytes and a prefix
  node->text = std::string(token.text);
  return node;
}

bool is_constant_or_so(const Node& node) {
  return node.kind == Node::Kind::constant || node.kind == Node::Kind::dot ||
         node.kind == Node::Kind::nil;
}

// 1. A parser reads tokens, with as many of them ahead as it likes.
// 2. The first error is kept, and every reader gives up when there is one: ok() is asked for by
//    those that loop.
// 3. A define or a block is parsed where it stands, with variables and a depth of ranges of its
//    own, and put aside by its name.
class Parser {
 public:
  Parser(std::string text, std::size_t prefix) : prefix_(prefix) {
    tree_.text = std::move(text);
    tokens_ = tokens_of(tree_.text);
  }

  Result<Tree> tree() && {
    tree_.root = list(true).first;
    if (error_) return std::unexpected(std::move(*error_));
    return std::move(tree_);
  }

 private:
  bool ok() const { return !error_; }

  const Token& peek() const { return tokens_[next_]; }
  const Token& take() {
    const Token& token = tokens_[next_];
    if (next_ + 1 < tokens_.size()) ++next_;
    return token;
  }
  // The last one that was taken: the end is taken again and again, so that counting is no way back.
  void give_back(const Token& token) { next_ = static_cast<std::size_t>(&token - tokens_.data()); }
  void skip_space() {
    while (peek().kind == Kind::space) ++next_;
  }
  const Token& peek_word() {
    skip_space();
    return peek();
  }
  const Token& take_word() {
    skip_space();
    return take();
  }

  void fail(const Token& token, std::string_view why, Errc code = Errc::bad_params) {
    if (error_) return;
    const std::string_view before = std::string_view(tree_.text).substr(0, token.at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t begin = line == 1 ? prefix_ : before.rfind('\n') + 1;
    error_ = Error{code, fmt::format("{}:{}: {}", line, token.at - begin + 1, why)};
  }
  void unexpected(const Token& token, std::string_view context) {
    if (token.kind != Kind::error)
      return fail(token, fmt::format("unexpected {} in {}", token.said(), context));
    fail(token, token.said());
  }
  bool expect(Kind kind, std::string_view context) {
    const Token& token = take_word();
    if (token.kind == kind) return true;
    unexpected(token, context);
    return false;
  }

  // How deep blocks and parentheses are in one another.
  class Deeper {
   public:
    Deeper(Parser& parser, const Token& token) : parser_(parser) {
      if (++parser_.depth_ > limits::template_depth)
        parser_.fail(
            token,
            fmt::format("blocks and parentheses are more than {} deep", limits::template_depth),
            Errc::too_big);
    }
    ~Deeper() { --parser_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Parser& parser_;
  };

  // `outermost`: definitions may stand here, and the end of the text ends it.
  std::pair<Node::List, Ending> list(bool outermost) {
    Node::List nodes;
    while (ok()) {
      const Token& token = take();
      if (token.kind == Kind::end) {
        if (!outermost) fail(token, "unexpected EOF");
        nodes.shrink_to_fit();
        return {std::move(nodes), Ending::file};
      }
      if (token.kind == Kind::text) {
        nodes.push_back(node_of(Node::Kind::text, token));
        continue;
      }
      if (token.kind != Kind::open) {
        unexpected(token, "input");
        break;
      }
      if (const auto ending = action(nodes, outermost)) {
        if (!outermost) return {std::move(nodes), *ending};
        fail(token, *ending == Ending::end ? "unexpected {{end}}" : "unexpected {{else}}");
      }
    }
    return {};
  }

  // Something: it was an end or an else.
  std::optional<Ending> action(Node::List& into, bool outermost) {
    const Token& token = take_word();
    switch (token.kind) {
      case Kind::define:
        if (!outermost) break;
        define();
        return std::nullopt;
      case Kind::block:
        into.push_back(block());
        return std::nullopt;
      case Kind::break_:
      case Kind::continue_:
        into.push_back(leave(token));
        return std::nullopt;
      case Kind::else_:
        if (peek_word().kind == Kind::if_) return Ending::else_if;
        expect(Kind::close, "else");
        return Ending::else_;
      case Kind::end_word:
        expect(Kind::close, "end");
        return Ending::end;
      case Kind::if_:
        into.push_back(control(Node::Kind::if_, "if", token));
        return std::nullopt;
      case Kind::range:
        into.push_back(control(Node::Kind::range, "range", token));
        return std::nullopt;
      case Kind::with:
        into.push_back(control(Node::Kind::with, "with", token));
        return std::nullopt;
      case Kind::template_:
        into.push_back(invoke());
        return std::nullopt;
      default:
        break;
    }
    give_back(token);
    auto node = node_of(Node::Kind::action, token);
    node->pipe = pipeline("command", Kind::close);
    into.push_back(std::move(node));
    return std::nullopt;
  }

  NodePointer leave(const Token& word) {
    auto node =
        node_of(word.kind == Kind::break_ ? Node::Kind::break_ : Node::Kind::continue_, word);
    const std::string said = fmt::format("{{{{{}}}}}", word.text);
    const Token& token = take_word();
    if (token.kind != Kind::close)
      unexpected(token, said);
    else if (ranges_ == 0)
      fail(word, said + " outside {{range}}");
    return node;
  }

  NodePointer control(Node::Kind kind, std::string_view context, const Token& word) {
    const Deeper deeper(*this, word);
    const std::size_t variables = variables_.size();
    auto node = node_of(kind, word);
    node->pipe = pipeline(context, Kind::close);
    ranges_ += kind == Node::Kind::range;
    auto [body, ending] = list(false);
    ranges_ -= kind == Node::Kind::range;
    auto bodies = std::make_unique<Node::Bodies>();
    bodies->body = std::move(body);
    if (ok() && ending == Ending::else_if && kind == Node::Kind::if_) {
      bodies->otherwise.push_back(control(kind, context, take_word()));
    } else if (ok() && ending != Ending::end) {
      // Of range and with there is no `else if`: what follows is none of an else.
      if (ending == Ending::else_if) unexpected(peek(), "input");
      auto [otherwise, last] = list(false);
      bodies->otherwise = std::move(otherwise);
      if (ok() && last != Ending::end) fail(peek(), "expected end; found {{else}}");
    }
    node->bodies = std::move(bodies);
    variables_.resize(std::min(variables, variables_.size()));
    return node;
  }

  std::string template_name(const Token& token, std::string_view context) {
    if (token.kind != Kind::string && token.kind != Kind::raw_string) {
      unexpected(token, context);
      return {};
    }
    const auto name = go_unquoted(token.text);
    if (!name) fail(token, "invalid syntax");
    return name.value_or("");
  }

  NodePointer invoke() {
    const Token& token = take_word();
    auto node = node_of(Node::Kind::invoke, token);
    node->text = template_name(token, "template clause");
    if (!ok()) return node;
    if (peek_word().kind == Kind::close)
      take();
    else
      node->pipe = pipeline("template clause", Kind::close);
    return node;
  }

  NodePointer block() {
    const Token& token = take_word();
    auto node = node_of(Node::Kind::invoke, token);
    node->text = template_name(token, "block clause");
    if (!ok()) return node;
    node->pipe = pipeline("block clause", Kind::close);
    definition(token, node->text, "block clause");
    return node;
  }

  void define() {
    const Token& token = take_word();
    const std::string name = template_name(token, "define clause");
    if (ok() && expect(Kind::close, "define clause")) definition(token, name, "define clause");
  }

  void definition(const Token& token, const std::string& name, std::string_view context) {
    if (!ok()) return;
    const Deeper deeper(*this, token);
    const auto variables = std::exchange(variables_, {"$"});
    const int ranges = std::exchange(ranges_, 0);
    auto [body, ending] = list(false);
    variables_ = variables;
    ranges_ = ranges;
    if (!ok()) return;
    if (ending != Ending::end)
      return fail(peek(), fmt::format("unexpected {{{{else}}}} in {}", context));
    Node::List& there = tree_.defined[name];
    // One that is empty may be replaced, and replaces nothing.
    const auto is_empty = [](const Node::List& nodes) {
      return std::ranges::all_of(nodes, [](const NodePointer& node) {
        return node->kind == Node::Kind::text &&
               node->text.find_first_not_of(" \t\r\n\v\f") == std::string::npos;
      });
    };
    if (is_empty(there))
      there = std::move(body);
    else if (!is_empty(body))
      fail(token,
           fmt::format("template: multiple definition of template {}", promql::go_quoted(name)));
  }

  // False: no more of them.
  bool declaration(Node& pipe, std::string_view context) {
    if (peek_word().kind != Kind::variable) return false;
    const std::size_t begin = next_;
    const Token& variable = take();
    const Token& next = peek_word();
    const bool comma = next.kind == Kind::comma_or_so && next.text == ",";
    if (next.kind != Kind::assign && next.kind != Kind::declare && !comma) {
      next_ = begin;
      return false;
    }
    take();
    pipe.names.emplace_back(variable.text);
    pipe.assigns = next.kind == Kind::assign;
    // Checked against the bound of the text alone: a name takes a byte of it at least.
    variables_.emplace_back(variable.text);
    if (!comma) return false;
    if (context != "range" || pipe.names.size() > 1) {
      fail(next, fmt::format("too many declarations in {}", context));
      return false;
    }
    const Kind after = peek_word().kind;
    if (after == Kind::variable || after == Kind::close || after == Kind::right_paren) return true;
    fail(peek(), "range can only initialize variables");
    return false;
  }

  NodePointer pipeline(std::string_view context, Kind close) {
    const Token& first = peek_word();
    auto pipe = node_of(Node::Kind::pipe, first);
    pipe->text.clear();
    while (declaration(*pipe, context)) {
    }
    while (ok()) {
      const Token& token = take_word();
      if (token.kind == close) break;
      switch (token.kind) {
        case Kind::boolean:
        case Kind::character:
        case Kind::dot:
        case Kind::field:
        case Kind::identifier:
        case Kind::number:
        case Kind::nil:
        case Kind::raw_string:
        case Kind::string:
        case Kind::variable:
        case Kind::left_paren:
          give_back(token);
          pipe->children.push_back(command());
          break;
        default:
          unexpected(token, context);
      }
    }
    check_pipeline(*pipe, context);
    return pipe;
  }

  void check_pipeline(const Node& pipe, std::string_view context) {
    if (!ok()) return;
    if (pipe.children.empty())
      return fail(tokens_[next_ - 1], fmt::format("missing value for {}", context));
    for (std::size_t i = 1; i < pipe.children.size(); ++i) {
      const Node& operand = *pipe.children[i]->children[0];
      if (is_constant_or_so(operand))
        return fail(tokens_[next_ - 1],
                    fmt::format("non executable command in pipeline stage {}", i + 1));
    }
  }

  NodePointer command() {
    auto made = node_of(Node::Kind::command, peek_word());
    made->text.clear();
    while (ok()) {
      skip_space();
      if (NodePointer one = operand()) made->children.push_back(std::move(one));
      if (!ok()) break;
      const Token& token = take();
      if (token.kind == Kind::space) continue;
      if (token.kind == Kind::close || token.kind == Kind::right_paren)
        give_back(token);
      else if (token.kind != Kind::pipe)
        unexpected(token, "operand");
      break;
    }
    if (ok() && made->children.empty()) fail(peek(), "empty command");
    return made;
  }

  NodePointer operand() {
    std::unique_ptr<Node> node = term();
    if (!ok() || node == nullptr || peek().kind != Kind::field) return node;
    const auto at = static_cast<std::uint32_t>(peek().at);
    if (is_constant_or_so(*node))
      fail(peek(), fmt::format("unexpected . after term {}", promql::go_quoted(node->written())));
    if (node->kind != Node::Kind::field && node->kind != Node::Kind::variable) {
      auto chain = node_of(Node::Kind::chain, peek());
      chain->text.clear();
      chain->children.push_back(std::move(node));
      node = std::move(chain);
    }
    node->at = at;
    while (peek().kind == Kind::field) node->names.emplace_back(take().text.substr(1));
    return node;
  }

  std::unique_ptr<Node> term() {
    const Token& token = take_word();
    switch (token.kind) {
      case Kind::identifier: {
        auto node = node_of(Node::Kind::identifier, token);
        node->function = function_named(token.text);
        if (node->function == nullptr)
          fail(token, fmt::format("function {} not defined", promql::go_quoted(token.text)));
        return node;
      }
      case Kind::dot:
        return node_of(Node::Kind::dot, token);
      case Kind::nil:
        return node_of(Node::Kind::nil, token);
      case Kind::variable: {
        if (std::ranges::find(variables_, token.text) == variables_.end())
          fail(token, fmt::format("undefined variable {}", promql::go_quoted(token.text)));
        auto node = node_of(Node::Kind::variable, token);
        node->names.emplace_back(token.text);
        return node;
      }
      case Kind::field: {
        auto node = node_of(Node::Kind::field, token);
        node->names.emplace_back(token.text.substr(1));
        return node;
      }
      case Kind::boolean:
      case Kind::character:
      case Kind::number:
      case Kind::string:
      case Kind::raw_string:
        return constant(token);
      case Kind::left_paren: {
        const Deeper deeper(*this, token);
        auto pipe = pipeline("parenthesized pipeline", Kind::right_paren);
        return std::unique_ptr<Node>(const_cast<Node*>(pipe.release()));
      }
      default:
        give_back(token);
        return nullptr;
    }
  }

  std::unique_ptr<Node> constant(const Token& token) {
    auto node = node_of(Node::Kind::constant, token);
    Value held;
    if (token.kind == Kind::boolean) {
      held = of(token.text == "true");
    } else if (token.kind == Kind::number || token.kind == Kind::character) {
      auto value = number_of(token);
      if (value)
        held = std::move(*value);
      else
        fail(token, value.error().message);
    } else {
      auto text = go_unquoted(token.text);
      if (text)
        held = of(std::move(*text));
      else
        fail(token, "invalid syntax");
    }
    node->value = std::make_unique<const Value>(std::move(held));
    return node;
  }

  static Result<Value> number_of(const Token& token) {
    if (token.kind == Kind::character) {
      const auto text = go_unquoted(token.text);
      if (!text || text->empty()) return tallymill::fail(Errc::bad_params, "invalid syntax");
      if (rune_count(*text) > 1)
        return tallymill::fail(Errc::bad_params,
                               fmt::format("malformed character constant: {}", token.text));
      return of(static_cast<std::int64_t>(first_rune(*text).number));
    }
    const std::string text(token.text);
    if (const auto whole = go_integer(text)) return of(*whole);
    const auto real = promql::go_float(text);
    const bool hexadecimal = text.find_first_of("xX") != std::string::npos;
    if (real && text.find_first_of(hexadecimal ? ".pP" : ".eEpP") != std::string::npos)
      return of(*real);
    if (is_go_unsigned(text)) return Value{};  // told when it runs
    if (real)
      return tallymill::fail(Errc::bad_params,
                             fmt::format("integer overflow: {}", promql::go_quoted(text)));
    return tallymill::fail(Errc::bad_params,
                           fmt::format("illegal number syntax: {}", promql::go_quoted(text)));
  }

  const std::size_t prefix_;
  Tree tree_;
  std::vector<Token> tokens_;
  std::size_t next_ = 0;
  std::vector<std::string> variables_ = {"$"};
  int ranges_ = 0;
  int depth_ = 0;
  std::optional<Error> error_;
};

std::string joined(const Node::List& nodes, std::string_view between) {
  std::string said;
  for (const NodePointer& node : nodes) {
    if (!said.empty()) said += between;
    const bool parens = node->kind == Node::Kind::pipe;
    said += parens ? fmt::format("({})", node->written()) : node->written();
  }
  return said;
}

}  // namespace

std::string Node::written() const {
  std::string said;
  switch (kind) {
    case Kind::pipe:
      for (const std::string& name : names) said += (said.empty() ? "" : ", ") + name;
      if (!names.empty()) said += assigns ? " = " : " := ";
      return said + joined(children, " | ");
    case Kind::command:
      return joined(children, " ");
    case Kind::field:
      for (const std::string& name : names) said += "." + name;
      return said;
    case Kind::variable:
      for (const std::string& name : names) said += (said.empty() ? "" : ".") + name;
      return said;
    case Kind::chain:
      said = joined(children, "");
      for (const std::string& name : names) said += "." + name;
      return said;
    case Kind::action:
      return fmt::format("{{{{{}}}}}", pipe->written());
    case Kind::invoke:
      return fmt::format("{{{{template {}{}{}}}}}", promql::go_quoted(text), pipe ? " " : "",
                         pipe ? pipe->written() : "");
    default:
      return text;
  }
}

std::string place_of(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, at);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t begin = line == 1 ? 0 : before.rfind('\n') + 1;
  return fmt::format("{}:{}", line, at - begin);
}

Result<Tree> parse_tree(std::string text, std::size_t prefix) {
  return Parser(std::move(text), prefix).tree();
}

}  // namespace tallymill::alerting::templates
