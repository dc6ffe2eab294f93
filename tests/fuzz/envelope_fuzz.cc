// links: tm_bus
// The one door for bytes from the wire. Goal: no bytes make decode() or a reader behind it crash,
// read outside their frames or disagree with themselves. Method: the input is cut into frames,
// decoded, and every message read as every struct; what was read is packed again and must read the
// same.
//
// Input: envelope_input.h, of small envelopes. tests/fuzz/corpus/envelope holds the golden vectors
// in this form.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "bus/codec_json.h"
#include "bus/envelope.h"
#include "bus/held.h"
#include "tests/fuzz/envelope_input.h"

namespace tallymill::bus {
namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

// What was accepted once must come through our own codec unchanged.
template <class M>
void again(Verb verb, const M& message) {
  Packer packer;
  // A short form from elsewhere may be longer in ours: nil for a default, small integers.
  if (!packer.try_add(verb, message)) return;
  Frames frames = packer.take();
  const std::string first(frames[1].to_string_view());
  const auto envelope = Envelope::decode(std::move(frames));
  must(envelope.has_value() && envelope->items().size() == 1);
  const auto same = read<M>(envelope->items()[0]);
  must(same.has_value());
  packer.add(verb, *same);
  must(packer.take()[1].to_string_view() == first);
}

template <class M>
void read_as(const Item& item) {
  static M reused;
  const auto fresh = read<M>(item);
  must(fresh.has_value() == read_into(item, reused).has_value());
  if (fresh) again(item.verb, *fresh);
}

void read_params(const Item& item) {
  const auto value = json_of_msgpack(item.params);
  if (!value) return;
  const auto packed = msgpack_of_json(*value);
  must(packed.has_value());
  const auto same = json_of_msgpack(*packed);
  // A NaN differs from itself.
  must(same.has_value() && same->dump() == value->dump());
}

}  // namespace
}  // namespace tallymill::bus

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::bus;
  const auto envelope = Envelope::decode(
      EnvelopeInput({reinterpret_cast<const char*>(data), size}, 70, 128 * 1024).frames());
  if (!envelope) {
    must(!envelope.error().message.empty());
    return 0;
  }
  for (const Item& item : envelope->items()) {
#define TM_READ_AS(M) read_as<M>(item);
    TM_MESSAGE_TABLE(TM_READ_AS)
#undef TM_READ_AS
    read_params(item);
    static std::vector<Held> held;
    if (read_held(item.params, held)) must(held.size() <= tallymill::limits::held_tokens);
  }
  return 0;
}
