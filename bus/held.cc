#include "bus/held.h"

#include "base/limits.h"
#include "bus/field_codec.h"
#include "bus/msgpack_reader.h"

namespace tallymill::bus {
namespace {

bool read_one(MsgpackReader& in, Held& one) {
  std::uint32_t four = 0;
  return in.list(four) && four == 4 && in.read(one.token.job) && in.read(one.token.epoch) &&
         read_value(in, one.token.attempt) && read_value(in, one.phase);
}

}  // namespace

bool read_held(std::string_view params, std::vector<Held>& held) {
  held.clear();
  MsgpackReader in(params);
  std::uint32_t pairs = 0;
  if (!in.map(pairs)) return false;
  for (std::uint32_t pair = 0; pair < pairs; ++pair) {
    std::string_view key;
    if (!in.read(key)) return false;
    if (key != "held") {
      if (!in.skip()) return false;
      continue;
    }
    std::uint32_t n = 0;
    if (!in.list(n) || n > limits::held_tokens) return false;
    for (std::uint32_t i = 0; i < n; ++i)
      if (!read_one(in, held.emplace_back())) return false;
  }
  return true;
}

}  // namespace tallymill::bus
