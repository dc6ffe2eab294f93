// Packed: for each label the length of its name (LEB128), the name, the length of its value, the
// value.
#include "collector/series.h"

#include <algorithm>

#include "collector/bytes.h"

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
  const char* const data = bytes.data();
  std::size_t size = static_cast<unsigned char>(data[at++]);
  if (size >= 0x80) {
    size &= 0x7f;
    for (int shift = 7;; shift += 7) {
      const auto byte = static_cast<unsigned char>(data[at++]);
      size |= static_cast<std::size_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
  }
  const std::string_view text(data + at, size);
  at += size;
  return text;
}

// How many bytes both begin with.
std::size_t same_bytes(std::string_view a, std::string_view b) {
  const std::size_t size = std::min(a.size(), b.size());
  std::size_t at = 0;
  for (; at + 8 <= size; at += 8) {
    const auto differ =
        load_word<std::uint64_t>(a.data() + at) ^ load_word<std::uint64_t>(b.data() + at);
    if (differ != 0) return at + static_cast<std::size_t>(std::countr_zero(differ)) / 8;
  }
  while (at < size && a[at] == b[at]) ++at;
  return at;
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

// Before the first byte in which they differ both are the same, so that one walk over the lengths
// of one of them finds the texts that differ.
std::strong_ordering operator<=>(const Labels& a, const Labels& b) {
  const std::string_view left = a.packed();
  const std::string_view right = b.packed();
  const std::size_t same = same_bytes(left, right);
  if (same == left.size() || same == right.size()) return left.size() <=> right.size();
  for (std::size_t at = 0;;) {
    std::size_t begin = at;
    const std::string_view text = take(left, at);
    if (at > same) return text <=> take(right, begin);
  }
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
