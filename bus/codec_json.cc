#include "bus/codec_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/utf8.h"
#include "bus/msgpack_reader.h"
#include "bus/msgpack_writer.h"

namespace tallymill::bus {
namespace {

using nlohmann::json;

// Where a value is, for the error. Made only of what is on the stack; nothing until it is asked.
struct Place {
  const Place* parent = nullptr;
  std::string_view key;
  std::size_t index = 0;

  [[nodiscard]] std::string pointer() const {
    if (parent == nullptr) return {};
    std::string path = parent->pointer() + '/';
    if (key.data() == nullptr) return path + std::to_string(index);
    for (const char c : key.substr(0, 64)) {
      if (c == '~' || c == '/')
        path += c == '~' ? "~0" : "~1";
      else
        path += c;
    }
    return is_utf8(path) ? path : parent->pointer();
  }
};

std::unexpected<Error> bad(const Place& place, std::string_view what) {
  std::string pointer = place.pointer();
  auto message = fmt::format("params{}: {}", pointer.empty() ? "" : " at " + pointer, what);
  return fail(Errc::bad_frame, std::move(message), std::move(pointer));
}

Status read_json(MsgpackReader& in, json& into, int depth, const Place& place);

Status read_list(MsgpackReader& in, json& into, int depth, const Place& place) {
  std::uint32_t elements = 0;
  if (depth == 0) return bad(place, "nested too deep");
  if (!in.list(elements)) return bad(place, "a list that ends early");
  into = json::array();
  auto& list = into.get_ref<json::array_t&>();
  // The bound on memory is the message's: an element takes at least one byte of it.
  list.reserve(std::min<std::size_t>(elements, 1024));
  for (std::uint32_t i = 0; i < elements; ++i) {
    const Place here{&place, {}, i};
    if (auto ok = read_json(in, list.emplace_back(), depth - 1, here); !ok) return ok;
  }
  return {};
}

Status read_object(MsgpackReader& in, json& into, int depth, const Place& place) {
  std::uint32_t pairs = 0;
  if (depth == 0) return bad(place, "nested too deep");
  if (!in.map(pairs)) return bad(place, "a map that ends early");
  into = json::object();
  auto& object = into.get_ref<json::object_t&>();
  for (; pairs > 0; --pairs) {
    std::string_view key;
    if (!in.read(key) || !is_utf8(key)) return bad(place, "a key that is not text");
    const Place here{&place, key, 0};
    const auto [slot, fresh] = object.try_emplace(std::string(key));
    if (!fresh) return bad(here, "the same key twice");
    if (auto ok = read_json(in, slot->second, depth - 1, here); !ok) return ok;
  }
  return {};
}

template <class T>
Status read_scalar(MsgpackReader& in, json& into, const Place& place) {
  T value{};
  if (!in.read(value)) return bad(place, "a value that ends early");
  into = value;
  return {};
}

Status read_json(MsgpackReader& in, json& into, int depth, const Place& place) {
  switch (in.type()) {
    case MsgpackReader::Type::nil:
      (void)in.nil();
      into = nullptr;
      return {};
    case MsgpackReader::Type::boolean:
      return read_scalar<bool>(in, into, place);
    case MsgpackReader::Type::integer: {
      std::int64_t value = 0;
      if (in.read(value)) {
        into = value;
        return {};
      }
      return read_scalar<std::uint64_t>(in, into, place);  // above INT64_MAX
    }
    case MsgpackReader::Type::real:
      return read_scalar<double>(in, into, place);
    case MsgpackReader::Type::text: {
      std::string_view text;
      if (!in.read(text)) return bad(place, "a text that ends early");
      if (!is_utf8(text)) return bad(place, "text that is not UTF-8");
      into = text;
      return {};
    }
    case MsgpackReader::Type::list:
      return read_list(in, into, depth, place);
    case MsgpackReader::Type::map:
      return read_object(in, into, depth, place);
    case MsgpackReader::Type::binary:
    case MsgpackReader::Type::extension:
      return bad(place, "a type that JSON has not; bytes travel as blobs");
    case MsgpackReader::Type::none:
      break;
  }
  return bad(place, "not msgpack, or cut off");
}

Status write_text(MsgpackWriter& out, const std::string& text, const Place& place) {
  if (!is_utf8(text)) return bad(place, "text that is not UTF-8");
  out.text(text);
  return {};
}

Status write_json(MsgpackWriter& out, const json& value, int depth, const Place& place) {
  if (value.is_structured() && depth == 0) return bad(place, "nested too deep");
  switch (value.type()) {
    case json::value_t::null:
      out.nil();
      return {};
    case json::value_t::boolean:
      out.boolean(value.get<bool>());
      return {};
    case json::value_t::number_integer:
      out.integer(value.get<std::int64_t>());
      return {};
    case json::value_t::number_unsigned:
      out.integer(value.get<std::uint64_t>());
      return {};
    case json::value_t::number_float:
      out.real(value.get<double>());
      return {};
    case json::value_t::string:
      return write_text(out, value.get_ref<const std::string&>(), place);
    case json::value_t::array: {
      out.list(value.size());
      std::size_t i = 0;
      for (const json& element : value) {
        if (auto ok = write_json(out, element, depth - 1, {&place, {}, i++}); !ok) return ok;
      }
      return {};
    }
    case json::value_t::object:
      out.map(value.size());
      for (const auto& [key, element] : value.get_ref<const json::object_t&>()) {
        const Place here{&place, key, 0};
        if (auto ok = write_text(out, key, place); !ok) return ok;
        if (auto ok = write_json(out, element, depth - 1, here); !ok) return ok;
      }
      return {};
    case json::value_t::binary:
    case json::value_t::discarded:
      break;
  }
  return bad(place, "a value that is no JSON; bytes travel as blobs");
}

}  // namespace

Result<json> json_of_msgpack(std::string_view untrusted) {
  MsgpackReader in(untrusted);
  Result<json> value;
  if (auto ok = read_json(in, *value, limits::msgpack_depth, Place{}); !ok)
    return std::unexpected(std::move(ok).error());
  if (!in.at_end()) return fail(Errc::bad_frame, "params: bytes after the value");
  return value;
}

Result<std::string> msgpack_of_json(const json& value) {
  Buffer bytes;
  MsgpackWriter out(bytes);
  if (auto ok = write_json(out, value, limits::msgpack_depth, Place{}); !ok)
    return std::unexpected(std::move(ok).error());
  return std::string(bytes.view());
}

}  // namespace tallymill::bus
