// Field codec: walks a message's list of fields to write it as a msgpack map or to fill it from
// one. Private to envelope.cc and its tests.
//
// Decoding goes through the map and the list side by side. A peer that writes fields in the order
// of messages.h, as ours do, costs one walk and one comparison a field; any other order costs a
// walk per key out of place, bounded by limits::header_keys.
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/limits.h"
#include "base/utf8.h"
#include "bus/messages.h"
#include "bus/msgpack_reader.h"
#include "bus/msgpack_writer.h"

namespace tallymill::bus {

// ---- writing ----

template <class T>
[[nodiscard]] bool at_default(const T& value, const T& fallback) {
  return value == fallback;
}
template <class T>
[[nodiscard]] bool at_default(const std::vector<T>& value, const std::vector<T>&) {
  return value.empty();
}

// How many fields are not at their default.
struct FieldCounter {
  std::uint32_t fields = 0;
  template <std::size_t N, class T>
  void operator()(const char (&)[N], const T& value, const std::type_identity_t<T>& fallback = {}) {
    fields += at_default(value, fallback) ? 0u : 1u;
  }
};

class FieldWriter {
 public:
  explicit FieldWriter(Buffer& out) : out_(out), writer_(out) {}

  template <std::size_t N, class T>
  void operator()(const char (&name)[N], const T& value,
                  const std::type_identity_t<T>& fallback = {}) {
    if (at_default(value, fallback)) return;
    key(name);
    put(value);
  }
  template <std::size_t N>
  void key(const char (&name)[N]) {
    static_assert(N - 1 >= 1 && N - 1 <= 31, "a field's name is a fixstr");
    char* const bytes = out_.room(N);
    bytes[0] = static_cast<char>(0xa0 | (N - 1));
    std::memcpy(bytes + 1, name, N - 1);
    out_.grow(N);
  }

  void put(std::int64_t value) { writer_.integer(value); }
  void put(std::int32_t value) { writer_.integer(std::int64_t{value}); }
  void put(double value) { writer_.real(value); }
  void put(bool value) { writer_.boolean(value); }
  void put(std::string_view text) { writer_.text(text); }
  template <class T>
  void put(const std::vector<T>& list) {
    writer_.list(list.size());
    for (const T& element : list) put(element);
  }
  template <class S>
    requires std::is_class_v<S>
  void put(const S& map) {
    // fields() cannot be const and also fill the struct; these visitors only look.
    S& fields_of = const_cast<S&>(map);
    FieldCounter count;
    fields_of.fields(count);
    writer_.map(count.fields);
    fields_of.fields(*this);
  }

 private:
  Buffer& out_;
  MsgpackWriter writer_;
};

// ---- reading ----

template <class S>
[[nodiscard]] bool read_map(MsgpackReader& in, S& into, std::string_view& bad_field);

[[nodiscard]] inline bool read_value(MsgpackReader& in, std::int64_t& value) {
  return in.read(value);
}
[[nodiscard]] inline bool read_value(MsgpackReader& in, std::int32_t& value) {
  std::int64_t wide = 0;
  if (!in.read(wide) || wide < std::numeric_limits<std::int32_t>::min() ||
      wide > std::numeric_limits<std::int32_t>::max())
    return false;
  value = static_cast<std::int32_t>(wide);
  return true;
}
[[nodiscard]] inline bool read_value(MsgpackReader& in, double& value) { return in.read(value); }
[[nodiscard]] inline bool read_value(MsgpackReader& in, bool& value) { return in.read(value); }
[[nodiscard]] inline bool read_value(MsgpackReader& in, std::string_view& text) {
  return in.read(text) && is_utf8(text);
}
template <class S>
  requires std::is_class_v<S>
[[nodiscard]] bool read_value(MsgpackReader& in, S& map) {
  std::string_view ignored;
  return read_map(in, map, ignored);
}
template <class T>
[[nodiscard]] bool read_value(MsgpackReader& in, std::vector<T>& list) {
  std::uint32_t elements = 0;
  if (!in.list(elements) || elements > limits::header_list) return false;
  list.resize(elements);
  for (T& element : list) {
    if (!read_value(in, element)) return false;
  }
  return true;
}

class FieldReader {
 public:
  FieldReader(MsgpackReader& in, std::uint32_t pairs) : in_(in), left_(pairs) { next_key(); }

  template <std::size_t N, class T>
  void operator()(const char (&name)[N], T& value, const std::type_identity_t<T>& fallback = {}) {
    if (key_.size() == N - 1 && std::memcmp(key_.data(), name, N - 1) == 0) {
      matched_ = true;
      if (in_.nil())
        set(value, fallback);
      else if (!read_value(in_, value))
        return fail(name);
      next_key();
    } else if (first_walk_) {
      set(value, fallback);
    }
  }

  // After a walk: true when another walk is needed. A key that no field took is unknown: skipped.
  [[nodiscard]] bool more() {
    if (!matched_ && !first_walk_ && !done()) {
      if (!in_.skip()) {
        fail("");
      } else {
        next_key();
      }
    }
    first_walk_ = false;
    matched_ = false;
    return !done();
  }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] std::string_view bad_field() const { return bad_field_; }

 private:
  [[nodiscard]] bool done() const { return key_.empty(); }

  template <class T>
  static void set(T& value, const T& fallback) {
    value = fallback;
  }
  template <class T>
  static void set(std::vector<T>& value, const std::vector<T>&) {
    value.clear();
  }
  void fail(std::string_view name) {
    failed_ = true;
    bad_field_ = name;
    key_ = {};
  }
  // The envelope's own keys were read by decode(); an empty key names nothing.
  void next_key() {
    for (; left_ > 0;) {
      --left_;
      if (!in_.read(key_)) return fail("");
      const bool envelopes =
          key_.size() == 1 && (key_[0] == 't' || key_[0] == 'N' || key_[0] == 'B');
      if (!envelopes && !key_.empty()) return;
      if (!in_.skip()) return fail("");
    }
    key_ = {};
  }

  MsgpackReader& in_;
  std::uint32_t left_;
  std::string_view key_;  // empty: no more
  std::string_view bad_field_;
  bool first_walk_ = true;
  bool matched_ = false;
  bool failed_ = false;
};

template <class S>
bool read_map(MsgpackReader& in, S& into, std::string_view& bad_field) {
  std::uint32_t pairs = 0;
  if (!in.map(pairs) || pairs > limits::header_keys) return false;
  FieldReader reader(in, pairs);
  do {
    into.fields(reader);
  } while (reader.more());
  bad_field = reader.bad_field();
  return !reader.failed();
}

}  // namespace tallymill::bus
