#include "collector/labels_check.h"

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "base/utf8.h"

namespace tallymill::collector {
namespace {

enum : unsigned char { digit = 1, letter = 2, colon = 4 };

constexpr std::array<unsigned char, 256> classes = [] {
  std::array<unsigned char, 256> of{};
  for (unsigned c = '0'; c <= '9'; ++c) of[c] = digit;
  for (unsigned c = 'a'; c <= 'z'; ++c) of[c] = letter;
  for (unsigned c = 'A'; c <= 'Z'; ++c) of[c] = letter;
  of['_'] = letter;
  of[':'] = colon;
  return of;
}();

std::size_t length(std::string_view text, unsigned char allowed) {
  std::size_t at = 0;
  while (at < text.size() && (classes[static_cast<unsigned char>(text[at])] & allowed) != 0) ++at;
  return at;
}

bool is_name(std::string_view name, unsigned char allowed) {
  return length(name.substr(0, 1), static_cast<unsigned char>(allowed & ~digit)) == 1 &&
         length(name, allowed) == name.size();
}

LabelFault fault_of(const Label& label) {
  if (label.name.size() > limits::label_name_bytes) return LabelFault::long_name;
  if (!is_label_name(label.name)) return LabelFault::bad_name;
  if (label.value.size() > limits::label_value_bytes) return LabelFault::long_value;
  if (!is_utf8(label.value)) return LabelFault::not_utf8;
  if (label.name == metric_name && !label.value.empty()) {
    if (label.value.size() > limits::label_name_bytes) return LabelFault::long_name;
    if (!is_metric_name(label.value)) return LabelFault::bad_metric_name;
  }
  return LabelFault::none;
}

// Of two with one name the second without a value is no label, but it is there twice.
bool order(std::vector<Label>& labels) {
  if (!std::ranges::is_sorted(labels, {}, &Label::name))
    std::ranges::sort(labels, {}, &Label::name);
  const bool twice = std::ranges::adjacent_find(labels, {}, &Label::name) != labels.end();
  std::erase_if(labels, [](const Label& label) { return label.value.empty(); });
  return !twice;
}

}  // namespace

bool is_metric_name(std::string_view name) { return is_name(name, digit | letter | colon); }
bool is_label_name(std::string_view name) { return is_name(name, digit | letter); }
std::size_t metric_name_length(std::string_view text) {
  return length(text, digit | letter | colon);
}
std::size_t label_name_length(std::string_view text) { return length(text, digit | letter); }

std::string_view text(LabelFault fault) {
  constexpr std::string_view texts[label_faults] = {"",
                                                    "a series without labels",
                                                    "too many labels",
                                                    "not a metric's name",
                                                    "not a label's name",
                                                    "a name is too long",
                                                    "a label's value is too long",
                                                    "a label's value is not UTF-8",
                                                    "a label's name is there twice",
                                                    "the labels are too long together"};
  return texts[static_cast<std::size_t>(fault)];
}

std::string_view name_of(LabelFault fault) {
  constexpr std::string_view names[label_faults] = {
      "none",      "no_labels",  "too_many", "bad_metric_name", "bad_name",
      "long_name", "long_value", "not_utf8", "label_twice",     "too_large"};
  return names[static_cast<std::size_t>(fault)];
}

LabelFault settle(std::vector<Label>& labels) {
  if (labels.size() > limits::series_labels) return LabelFault::too_many;
  std::size_t bytes = 0;
  for (const Label& label : labels) {
    if (const LabelFault fault = fault_of(label); fault != LabelFault::none) return fault;
    bytes += label.name.size() + label.value.size();
  }
  if (bytes > limits::series_bytes) return LabelFault::too_large;
  if (!order(labels)) return LabelFault::twice;
  return labels.empty() ? LabelFault::no_labels : LabelFault::none;
}

ExemplarFault settle_exemplar(std::vector<Label>& labels) {
  std::size_t chars = 0;
  for (const Label& label : labels) {
    if (!is_label_name(label.name) || !is_utf8(label.value)) return ExemplarFault::bad;
    chars += label.name.size();
    for (const char c : label.value) chars += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }
  if (chars > limits::exemplar_chars) return ExemplarFault::too_long;
  return order(labels) ? ExemplarFault::none : ExemplarFault::bad;
}

Labels labels_of(std::span<const Label> labels) {
  Labels::Pairs pairs;
  pairs.reserve(labels.size());
  for (const Label& label : labels) pairs.emplace_back(label.name, label.value);
  return Labels::of(std::move(pairs));
}

std::string_view cut_utf8(std::string_view text, std::size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

}  // namespace tallymill::collector
