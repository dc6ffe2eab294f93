// Envelope: many messages in one ZeroMQ message, packed by the sender and taken apart by the one
// door for bytes from the wire.
//
//   frame 0   "T1"
//   frame 1   n msgpack maps, one after the other: the headers; the first has "n" when n > 1, and
//             each that owns blobs says how many in "nb"
//   frame 2   n msgpack values, one after the other: the params (an empty map where there are none)
//   frame 3.. the blobs, in the order of their owners
//
// A busy sender puts many jobs in one message and an idle one sends at once: batching costs no
// wait.
//
//   invariant: nothing read from the wire sizes an allocation before it was compared with a limit;
//              decode() never reads outside its frames and never throws
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "base/result.h"
#include "bus/messages.h"

namespace tallymill::bus {

using Frames = std::vector<zmq::message_t>;

// One message of an envelope; views into the frames it came in.
struct Item {
  Verb verb = Verb::ping;
  std::string_view header;  // one msgpack map
  std::string_view
      params;  // one msgpack value, checked: well formed, depth <= limits::msgpack_depth
  std::span<const zmq::message_t> blobs;
};

// A received message and its items. Movable: the views point into the frames' own memory.
class Envelope {
 public:
  // Takes the frames of one message, the routing id of a ROUTER and an empty delimiter removed.
  // bad_frame: not of this protocol; too_big: over a limit of base/limits.h; version: another one.
  [[nodiscard]] static Result<Envelope> decode(Frames&& untrusted);

  [[nodiscard]] std::span<const Item> items() const { return items_; }

 private:
  Frames frames_;
  std::vector<Item> items_;
};

// The fields of `item` as a message M. bad_frame with the field's name when a value has the wrong
// type or a list is longer than limits::header_list.
template <class M>
[[nodiscard]] Result<M> read(const Item& item);

// Collects messages and makes frames of them.
class Packer {
 public:
  // `params` is one msgpack value (empty: an empty map). Blobs are copied; for a large one use
  // add_blob() right after.
  template <class M>
  void add(const M& message, std::string_view params = {}) {
    add(M::verb, message, params);
  }
  template <class M>
  void add(Verb verb, const M& message, std::string_view params = {});
  // Appends a blob to the message added last; returns its index among that message's blobs, which
  // its FileRef must already say.
  void add_blob(zmq::message_t&& blob);

  [[nodiscard]] std::size_t size() const;   // messages
  [[nodiscard]] std::size_t bytes() const;  // of headers, params and blobs so far
  [[nodiscard]] bool empty() const { return size() == 0; }

  // The frames; the packer is empty again.
  [[nodiscard]] Frames take();
};

}  // namespace tallymill::bus
