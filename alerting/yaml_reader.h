// YamlReader: values out of a YamlTree, each of the type that is expected, as Prometheus takes it.
//
// The first thing that is wrong is remembered with its place, and what is read after it is empty:
// whoever reads asks once, at the end. Null is as if nothing was said, a merge key (<<) brings what
// the map does not say itself, an alias is what it names; what aliases repeat is counted, and is no
// more than a file may have.
//
// Threads: one.
// Source: Go's yaml.v3 as Prometheus 2.42 uses it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "alerting/yaml_tree.h"
#include "base/result.h"

namespace tallymill::alerting {

struct YamlEntry {
  const YamlNode* key = nullptr;
  const YamlNode* value = nullptr;
};

// A name and a text, and where they stand.
struct YamlText {
  std::string name;
  std::string text;
  const YamlNode* name_at = nullptr;
  const YamlNode* at = nullptr;
};

// The entries of one map, by name.
class YamlFields {
 public:
  YamlFields(const YamlNode& of, std::vector<YamlEntry> entries)
      : of_(of), entries_(std::move(entries)) {}
  // Null: it is not said, or as null.
  [[nodiscard]] const YamlNode* find(std::string_view name) const;
  // Where to point at when this is wrong: its value, else its name, else the map.
  [[nodiscard]] const YamlNode& place(std::string_view name) const;

 private:
  friend class YamlReader;
  [[nodiscard]] const YamlEntry* entry(std::string_view name) const;
  const YamlNode& of_;
  std::vector<YamlEntry> entries_;
};

class YamlReader {
 public:
  explicit YamlReader(std::string_view file) : file_(file) {}

  void wrong(const YamlNode& at, std::string_view what, Errc code = Errc::bad_params);
  [[nodiscard]] bool ok() const { return !fault_; }
  // REQUIRES: not ok().
  [[nodiscard]] Error error() const { return *fault_; }
  [[nodiscard]] const std::string& file() const { return file_; }

  // A map with these names and no others.
  [[nodiscard]] YamlFields fields(const YamlNode& node,
                                  std::initializer_list<std::string_view> known);
  // Without those that are null. `of`: "groups".
  [[nodiscard]] std::vector<const YamlNode*> list(const YamlNode& node, std::string_view of);
  // The same with those: there a map without names, or an empty text, is meant.
  [[nodiscard]] std::vector<const YamlNode*> every(const YamlNode& node, std::string_view of);
  [[nodiscard]] std::string text(const YamlNode& node);
  // Of any kind, as it was written: null has a text, a list has none.
  [[nodiscard]] std::string raw(const YamlFields& fields, std::string_view name);
  [[nodiscard]] std::vector<YamlText> texts(const YamlNode& node);  // of a map
  [[nodiscard]] std::int64_t integer(const YamlNode& node);
  [[nodiscard]] double number(const YamlNode& node);  // a finite one
  [[nodiscard]] double real(const YamlNode& node);    // any that YAML has: 0x1f, 1_000, .inf, .nan
  [[nodiscard]] bool truth(const YamlNode& node);
  [[nodiscard]] std::chrono::milliseconds duration(const YamlNode& node);

 private:
  [[nodiscard]] std::vector<YamlEntry> entries(const YamlNode& node, int depth = 0);
  void merge(const YamlNode& from, std::vector<YamlEntry>& into, std::set<std::string_view>& seen,
             int depth);
  // That so many bytes more were read; false: there was too much.
  bool count(const YamlNode& at, std::size_t bytes);

  std::string file_;
  std::optional<Error> fault_;
  std::size_t bytes_ = 0;
};

// As a rule's times are written: "0", or PromQL's durations.
[[nodiscard]] Result<std::int64_t> config_duration_ms(std::string_view text);

}  // namespace tallymill::alerting
