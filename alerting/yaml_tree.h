// YamlTree: a YAML document as a tree that knows its places, small and bounded.
//
// A file's bytes size nothing before they are counted: nodes are limited, an alias is the node that
// it names and no copy, and what contains itself is refused. Only the first document is read.
//
// Threads: values; a tree that is read is never written.
// Source: YAML 1.1 as Prometheus' reader takes it.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tallymill::alerting {

struct YamlNode {
  enum class Kind : std::uint8_t { null, scalar, list, map };
  Kind kind = Kind::null;
  bool plain = false;     // a scalar without quotes and without a tag: it may be a number
  bool complete = false;  // while it is read it may not be named in itself
  std::string tag = {};   // as it was resolved; empty: none
  std::string text = {};  // of a scalar; of null as it was written: "", "~", "null"
  std::vector<const YamlNode*> items = {};  // of a map: a key, its value, the next key, ...
  int line = 1;
  int column = 1;
};

class YamlTree {
 public:
  // bad_params, "NAME:LINE:COLUMN: ...": it is no YAML, no UTF-8, or has a control character.
  // too_big: over limits::yaml_nodes.
  [[nodiscard]] static Result<YamlTree> parse(std::string_view text, std::string_view name);

  // Null when there is no document.
  [[nodiscard]] const YamlNode& root() const { return *root_; }

 private:
  class Builder;
  std::deque<YamlNode> nodes_;  // a chain of aliases is as long as it likes: no node owns another
  const YamlNode* root_ = nullptr;
};

}  // namespace tallymill::alerting
