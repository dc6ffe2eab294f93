#include "alerting/yaml_tree.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <istream>
#include <streambuf>
#include <string>

#include "alerting/limits.h"
#include "base/utf8.h"

namespace tallymill::alerting {
namespace {

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

// What a builder throws through the library that calls it: it has enough, or it is wrong.
struct Ended {};
struct Refused {
  Errc code;
  YAML::Mark mark;
  std::string what;
};

std::unexpected<Error> refused(Errc code, std::string_view name, int line, int column,
                               std::string_view what) {
  return fail(code, fmt::format("{}:{}:{}: {}", name, line, column, what));
}

// Whether a file may have the character that `text` begins with, of so many bytes.
bool is_printable(std::string_view text, std::size_t length) {
  const auto first = static_cast<unsigned char>(text.front());
  if (length == 1)
    return first == '\t' || first == '\n' || first == '\r' || (first >= 0x20 && first != 0x7f);
  if (length == 2 && first == 0xc2) {  // the controls behind ASCII, but for the line break
    const auto second = static_cast<unsigned char>(text[1]);
    return second >= 0xa0 || second == 0x85;
  }
  return text.substr(0, length) != "\xef\xbf\xbe" && text.substr(0, length) != "\xef\xbf\xbf";
}

// Line by line, before the library sees it.
class Check {
 public:
  Check(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  Status run() {
    for (std::size_t at = 0; at < text_.size(); ++line_) {
      const std::size_t end = std::min(text_.find('\n', at), text_.size() - 1) + 1;
      const std::string_view line = text_.substr(at, end - at);
      if (auto fit = characters(line); !fit) return fit;
      if (auto fit = directive(line); !fit) return fit;
      at = end;
    }
    return {};
  }

 private:
  Status characters(std::string_view line) const {
    for (std::size_t at = 0; at < line.size();) {
      const std::size_t length = utf8_length(line.substr(at));
      const int column = static_cast<int>(at) + 1;
      if (length == 0) return refused(Errc::bad_params, name_, line_, column, "this is not UTF-8");
      if (!is_printable(line.substr(at), length))
        return refused(Errc::bad_params, name_, line_, column, "a control character");
      at += length;
    }
    return {};
  }

  // To the library a % that begins a line ends the document, without a word.
  Status directive(std::string_view line) {
    if (line.starts_with('%')) {
      const std::string_view said = line.substr(0, line.find_last_not_of(" \t\r\n") + 1);
      if (!in_head_ || (said != "%YAML 1.1" && !said.starts_with("%TAG ")))
        return refused(Errc::bad_params, name_, line_, 1, "a line cannot begin with %");
    } else if (!line.starts_with('#') && line.find_first_not_of(" \t\r\n") != line.npos) {
      in_head_ = false;
    }
    return {};
  }

  std::string_view text_;
  std::string_view name_;
  int line_ = 1;
  bool in_head_ = true;  // before the first document
};

// A text, as far as it may be read.
class Supply : public std::streambuf {
 public:
  // `last`: where the last value began; `is_over`: that the document was read.
  Supply(std::string_view text, const YAML::Mark& last, const bool& is_over)
      : text_(text), last_(last), is_over_(is_over) {}
  // What was read is not all of the document.
  [[nodiscard]] bool was_too_far() const { return was_too_far_; }
  // The last value by then.
  [[nodiscard]] const YAML::Mark& ended_behind() const { return ended_behind_; }

 protected:
  int_type underflow() override {
    if (given_ >= text_.size()) return traits_type::eof();
    if (given_ > static_cast<std::size_t>(last_.pos) + limits::yaml_lookahead) {
      if (!was_too_far_ && !is_over_) {
        was_too_far_ = true;
        ended_behind_ = last_;
      }
      return traits_type::eof();
    }
    const std::string_view next = text_.substr(given_, 4'096);
    given_ += next.size();
    char* const begin = const_cast<char*>(next.data());  // of a stream that is only read
    setg(begin, begin, begin + next.size());
    return traits_type::to_int_type(next.front());
  }

 private:
  std::string_view text_;
  const YAML::Mark& last_;
  const bool& is_over_;
  std::size_t given_ = 0;
  bool was_too_far_ = false;
  YAML::Mark ended_behind_;
};

}  // namespace

class YamlTree::Builder : public YAML::EventHandler {
 public:
  Builder(YamlTree& tree, std::string_view text) : tree_(tree), text_(text) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (!is_over_) return;
    if (!is_over_before(mark))
      throw Refused{Errc::bad_params, mark, "this is no part of the document"};
    throw Ended{};
  }
  void OnDocumentEnd() override { is_over_ = true; }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const std::string written = null_text(mark);
    if (is_missing(mark, written))
      throw Refused{Errc::bad_params, mark, "something is missing at this"};
    make(mark, anchor, YamlNode::Kind::null).text = written;
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const YamlNode* named = anchor < anchors_.size() ? anchors_[anchor] : nullptr;
    if (named == nullptr || !named->complete)
      throw Refused{Errc::bad_params, mark, "an alias of what contains it"};
    put(named, mark);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode& node = make(mark, anchor, YamlNode::Kind::scalar);
    node.plain = tag == "?";
    if (tag != "?" && tag != "!") node.tag = tag;
    node.text = value;
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    open(make(mark, anchor, YamlNode::Kind::list), style);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    open(make(mark, anchor, YamlNode::Kind::map), style);
  }
  void OnMapEnd() override { close(); }

  [[nodiscard]] const bool& is_over() const { return is_over_; }
  // Where the last value began.
  [[nodiscard]] const YAML::Mark& last() const { return last_; }
  // Whether the first document was read and its end was said; what the library does not understand
  // ends one, too.
  [[nodiscard]] bool is_over_before(const YAML::Mark& mark) const {
    const std::string_view rest = rest_at(last_.pos);
    const auto until = static_cast<std::size_t>(std::max(mark.pos - last_.pos, 0));
    const std::string_view between = rest.substr(0, until);
    return is_over_ && (rest.substr(between.size()).starts_with("---") ||
                        between.contains("\n---") || between.contains("\n..."));
  }

 private:
  struct Open {
    YamlNode* node;
    bool flow;      // in brackets or braces
    int begin = 0;  // of the last item or key
  };

  YamlNode& make(const YAML::Mark& mark, YAML::anchor_t anchor, YamlNode::Kind kind) {
    if (tree_.nodes_.size() >= limits::yaml_nodes)
      throw Refused{Errc::too_big, mark, fmt::format("more than {} values", limits::yaml_nodes)};
    YamlNode& node = tree_.nodes_.emplace_back();
    node.kind = kind;
    node.complete = kind == YamlNode::Kind::null || kind == YamlNode::Kind::scalar;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    if (anchor != YAML::NullAnchor) {  // they are numbered as they come
      if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
      anchors_[anchor] = &node;
    }
    put(&node, mark);
    return node;
  }
  void put(const YamlNode* node, const YAML::Mark& mark) {
    if (++places_ > limits::yaml_nodes)
      throw Refused{Errc::too_big, mark, fmt::format("more than {} values", limits::yaml_nodes)};
    last_ = mark;
    if (open_.empty()) {
      tree_.root_ = node;
      return;
    }
    if (!expects_value()) open_.back().begin = mark.pos;
    open_.back().node->items.push_back(node);
  }
  void open(YamlNode& node, YAML::EmitterStyle::value style) {
    open_.push_back({.node = &node, .flow = style == YAML::EmitterStyle::Flow});
  }
  void close() {
    open_.back().node->complete = true;
    open_.pop_back();
  }
  // Whether what comes next stands behind a key.
  [[nodiscard]] bool expects_value() const {
    const YamlNode& node = *open_.back().node;
    return node.kind == YamlNode::Kind::map && node.items.size() % 2 == 1;
  }

  // The library does not tell how it was written; where nothing was, the next thing stands here.
  [[nodiscard]] std::string null_text(const YAML::Mark& mark) const {
    const std::string_view rest = rest_at(mark.pos);
    for (const std::string_view word : {"~", "null", "Null", "NULL"})
      if (rest.starts_with(word)) return std::string(word);
    return {};
  }

  // The library takes [a,,b], ": b", and a key without its colon: then null stands at the key.
  [[nodiscard]] bool is_missing(const YAML::Mark& mark, std::string_view written) const {
    if (open_.empty()) return false;
    const Open& in = open_.back();
    if (expects_value()) return !in.flow && mark.pos == in.begin;
    return written.empty() && (in.flow || in.node->kind == YamlNode::Kind::map);
  }
  [[nodiscard]] std::string_view rest_at(int position) const {
    return text_.substr(std::min(static_cast<std::size_t>(std::max(position, 0)), text_.size()));
  }

  YamlTree& tree_;
  std::string_view text_;
  std::vector<Open> open_;
  std::vector<const YamlNode*> anchors_;
  std::size_t places_ = 0;
  YAML::Mark last_;
  bool is_over_ = false;
};

Result<YamlTree> YamlTree::parse(std::string_view text, std::string_view name) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  if (auto fit = Check(text, name).run(); !fit) return std::unexpected(std::move(fit).error());
  YamlTree tree;
  Builder builder(tree, text);
  // With the end of the document said, for without it the library takes quotes that do not end.
  const std::string whole = fmt::format("{}{}...\n", text, text.ends_with('\n') ? "" : "\n");
  Supply supply(whole, builder.last(), builder.is_over());
  std::istream in(&supply);
  Status read;
  try {
    YAML::Parser parser(in);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Ended&) {
    // What follows is not read.
  } catch (const YAML::Exception& broken) {
    const YAML::Mark& mark = broken.mark.is_null() ? YAML::Mark() : broken.mark;
    if (!builder.is_over_before(mark))
      read = refused(Errc::bad_params, name, mark.line + 1, mark.column + 1, broken.msg);
  } catch (const Refused& by_us) {
    read = refused(by_us.code, name, by_us.mark.line + 1, by_us.mark.column + 1, by_us.what);
  }
  if (supply.was_too_far())
    return refused(
        Errc::too_big, name, supply.ended_behind().line + 1, supply.ended_behind().column + 1,
        fmt::format("more than {} bytes behind this without a value", limits::yaml_lookahead));
  if (!read) return std::unexpected(std::move(read).error());
  if (tree.root_ == nullptr) tree.root_ = &tree.nodes_.emplace_back();
  return tree;
}

}  // namespace tallymill::alerting
