// Field codec: walks a message's list of fields to write it as a msgpack map or to fill it from
// one. Private to envelope.cc and its tests.
//
// Decoding goes through the map and the list side by side. A peer that writes fields in the order
// of messages.h, as ours do, costs one walk and one comparison a field; any other order costs a
// walk per key out of place, bounded by limits::header_keys.
//
// Threads: plain values.
#pragma once

#include <msgpack/pack.hpp>

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/limits.h"
#include "base/utf8.h"
#include "bus/messages.h"
#include "bus/msgpack_reader.h"

namespace tallymill::bus {

// Bytes that grow at the end and keep their memory: what msgpack::packer writes into.
class Buffer {
 public:
  void write(const char* bytes, std::size_t n) {
    if (capacity_ - size_ < n) [[unlikely]]
      grow(n);
    std::memcpy(bytes_.get() + size_, bytes, n);
    size_ += n;
  }
  [[nodiscard]] char* data() { return bytes_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }
  void truncate(std::size_t size) { size_ = size; }

 private:
  void grow(std::size_t n) {
    const std::size_t capacity = std::max<std::size_t>(2 * capacity_, size_ + n + 1024);
    auto bytes = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ != 0) std::memcpy(bytes.get(), bytes_.get(), size_);
    bytes_ = std::move(bytes);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

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
  explicit FieldWriter(Buffer& out) : out_(out), packer_(out) {}

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
    char bytes[N];
    bytes[0] = static_cast<char>(0xa0 | (N - 1));
    std::memcpy(bytes + 1, name, N - 1);
    out_.write(bytes, N);
  }

  void put(std::int64_t value) { packer_.pack_int64(value); }
  void put(std::int32_t value) { packer_.pack_int32(value); }
  void put(double value) { packer_.pack_double(value); }
  void put(bool value) { value ? packer_.pack_true() : packer_.pack_false(); }
  void put(std::string_view text) {
    packer_.pack_str(static_cast<std::uint32_t>(text.size()));
    packer_.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
  }
  template <class T>
  void put(const std::vector<T>& list) {
    packer_.pack_array(static_cast<std::uint32_t>(list.size()));
    for (const T& element : list) put(element);
  }
  template <class S>
    requires std::is_class_v<S>
  void put(const S& map) {
    // fields() cannot be const and also fill the struct; these visitors only look.
    S& fields_of = const_cast<S&>(map);
    FieldCounter count;
    fields_of.fields(count);
    packer_.pack_map(count.fields);
    fields_of.fields(*this);
  }

 private:
  Buffer& out_;
  msgpack::packer<Buffer> packer_;
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
