// links: tm_bus
// The limits of size. Goal: no bytes make the door let more through than base/limits.h says, or
// read outside their frames while it finds out. Method: inputs of which a few bytes stand for many
// (envelope_input.h); what decode() lets through is measured. A few hundred a second: the messages
// themselves are envelope_fuzz.cc's.
#include <cstdint>
#include <cstdlib>

#include "tests/fuzz/envelope_input.h"

namespace tallymill::bus {
namespace {

void must(bool condition) {
  if (!condition) std::abort();
}

bool within(std::size_t n, Bytes limit) { return n <= static_cast<std::size_t>(limit.raw()); }

void measure(const Envelope& envelope) {
  must(envelope.items().size() <= limits::batch_jobs);
  std::size_t headers = 0;
  std::size_t all = 0;
  std::size_t blobs = 0;
  for (const Item& item : envelope.items()) {
    must(within(item.header.size(), limits::header_bytes));
    must(within(item.params.size(), limits::params_bytes));
    must(item.blobs.size() <= limits::item_blobs);
    headers += item.header.size();
    all += item.header.size() + item.params.size();
    blobs += item.blobs.size();
    for (const zmq::message_t& blob : item.blobs) {
      must(within(blob.size(), limits::frame_bytes));
      all += blob.size();
    }
  }
  must(blobs <= limits::batch_blobs);
  must(within(headers, limits::header_frame_bytes));
  // Params that did not come are one byte each.
  must(within(all, limits::envelope_bytes + Bytes(std::ssize(envelope.items()))));
}

}  // namespace
}  // namespace tallymill::bus

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill::bus;
  const auto envelope = Envelope::decode(
      EnvelopeInput(std::string_view(reinterpret_cast<const char*>(data), size)).frames());
  if (envelope) measure(*envelope);
  return 0;
}
