#include "stages/carried_params.h"

#include <cstdint>

#include "bus/msgpack_reader.h"

namespace tallymill::stages {

namespace {

constexpr std::string_view empty_map = "\x80";
constexpr std::string_view params_key = "\xa6params";
constexpr std::string_view carried_key =
    "\xa7"
    "carried";

}  // namespace

Result<CarriedParams> split_params(std::string_view untrusted) {
  CarriedParams parts;
  bus::MsgpackReader reader(untrusted);
  std::uint32_t pairs = 0;
  if (!reader.map(pairs)) return fail(Errc::bad_frame, "params of a later hop are not a map");
  for (std::uint32_t i = 0; i < pairs; ++i) {
    std::string_view key;
    if (!reader.read(key)) return fail(Errc::bad_frame, "params of a later hop: a key is no text");
    const char* const begin = reader.at();
    if (!reader.skip()) return fail(Errc::bad_frame, "params of a later hop are cut off");
    const std::string_view value(begin, static_cast<std::size_t>(reader.at() - begin));
    if (key == "params") parts.params = value;
    if (key == "carried") parts.carried = value;
  }
  if (parts.params.empty()) return fail(Errc::bad_frame, "a later hop came without its params");
  return parts;
}

std::string join_params(const CarriedParams& parts) {
  const std::string_view params = parts.params.empty() ? empty_map : parts.params;
  const std::string_view carried = parts.carried.empty() ? empty_map : parts.carried;
  std::string out;
  out.reserve(params.size() + carried.size() + 16);
  out += '\x82';
  out.append(params_key).append(params).append(carried_key).append(carried);
  return out;
}

}  // namespace tallymill::stages
