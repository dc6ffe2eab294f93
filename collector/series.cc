// Packed: for each label the length of its name (LEB128), the name, the length of its value, the
// value.
#include "collector/series.h"

#include <algorithm>

namespace tallymill::collector {
namespace {

void append(std::string& to, std::string_view text) {
  std::size_t size = text.size();
  for (; size >= 0x80; size >>= 7) to += static_cast<char>((size & 0x7f) | 0x80);
  to += static_cast<char>(size);
  to += text;
}

// The text at `at`, which goes on behind it.
std::string_view take(std::string_view bytes, std::size_t& at) {
  std::size_t size = 0;
  int shift = 0;
  while ((static_cast<unsigned char>(bytes[at]) & 0x80) != 0) {
    size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[at++]) & 0x7f) << shift;
    shift += 7;
  }
  size |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[at++])) << shift;
  const std::string_view text = bytes.substr(at, size);
  at += size;
  return text;
}

}  // namespace

void append_quoted(std::string& to, std::string_view value) {
  to += '"';
  for (const char c : value) {
    if (c == '\n') {
      to += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') to += '\\';
    to += c;
  }
  to += '"';
}

void Labels::Iterator::read() {
  size_ = 0;
  if (rest_.empty()) return;
  label_.name = take(rest_, size_);
  label_.value = take(rest_, size_);
}

Labels Labels::of(Pairs pairs) {
  LabelsBuilder builder;
  for (const auto& [name, value] : pairs) builder.set(name, value);
  return builder.build();
}

std::string_view Labels::get(std::string_view name) const {
  for (const Label& label : *this) {
    if (label.name == name) return label.value;
    if (label.name > name) break;
  }
  return {};
}

std::size_t Labels::size() const { return static_cast<std::size_t>(std::distance(begin(), end())); }

std::string Labels::text() const {
  std::string said(metric());
  bool first = true;
  for (const Label& label : *this) {
    if (label.name == metric_name) continue;
    said += std::exchange(first, false) ? "{" : ", ";
    said.append(label.name).append("=");
    append_quoted(said, label.value);
  }
  if (!first) return said + "}";
  return said.empty() ? "{}" : said;
}

std::strong_ordering operator<=>(const Labels& a, const Labels& b) {
  if (a.packed_ == b.packed_) return std::strong_ordering::equal;
  return std::lexicographical_compare_three_way(a.begin(), Labels::end(), b.begin(), Labels::end());
}

LabelsBuilder::LabelsBuilder(const Labels& from) {
  for (const Label& label : from) pairs_.emplace_back(label.name, label.value);
}

void LabelsBuilder::set(std::string_view name, std::string_view value) {
  const auto at = std::ranges::lower_bound(
      pairs_, name, {}, [](const auto& pair) { return std::string_view(pair.first); });
  const bool there = at != pairs_.end() && at->first == name;
  if (value.empty()) {
    if (there) pairs_.erase(at);
  } else if (there) {
    at->second = value;
  } else {
    pairs_.emplace(at, name, value);
  }
}

Labels LabelsBuilder::build() const {
  Labels labels;
  if (pairs_.empty()) return labels;
  std::string packed;
  for (const auto& [name, value] : pairs_) {
    append(packed, name);
    append(packed, value);
  }
  labels.packed_ = std::make_shared<const std::string>(std::move(packed));
  return labels;
}

}  // namespace tallymill::collector
