// Envelope: many messages in one ZeroMQ message, packed by the sender and taken apart by the one
// door for bytes from the wire.
//
//   frame 0   "T1"
//   frame 1   n msgpack maps, one after the other: the headers. Each has its verb as "t", then the
//             message's fields (messages.h); "B", how many blobs it owns, when it owns any; the
//             first one "N", how many maps there are, when there are more than one
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
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "base/limits.h"
#include "base/result.h"
#include "bus/messages.h"

namespace tallymill::bus {

using Frames = std::vector<zmq::message_t>;

// What is read of a message: "T1", headers, params, blobs, and one more that tells decode() that
// there were too many.
inline constexpr std::size_t most_frames = 3 + limits::batch_blobs + 1;

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
// type, a text is not UTF-8 or a list is longer than limits::header_list.
template <class M>
[[nodiscard]] Result<M> read(const Item& item);
// The same into a message that is used again and again: its lists keep their memory. On an error
// `into` holds nothing of use.
template <class M>
[[nodiscard]] Status read_into(const Item& item, M& into);

// Collects messages and makes frames of them.
class Packer {
 public:
  Packer();
  ~Packer();
  Packer(Packer&&) noexcept;
  Packer& operator=(Packer&&) noexcept;

  // `params` is one msgpack value (empty: an empty map).
  // REQUIRES: within limits::header_bytes and params_bytes; a text of unknown length goes through
  // try_add.
  template <class M>
  void add(const M& message, std::string_view params = {}) {
    add(M::verb, message, params);
  }
  template <class M>
  void add(Verb verb, const M& message, std::string_view params = {});

  // As add(), for messages with text or params from somewhere else. too_big: over a limit, and
  // nothing was added.
  template <class M>
  [[nodiscard]] Status try_add(const M& message, std::string_view params = {}) {
    return try_add(M::verb, message, params);
  }
  template <class M>
  [[nodiscard]] Status try_add(Verb verb, const M& message, std::string_view params = {});

  // Appends a blob to the message added last; returns its index among that message's blobs, which
  // its FileRef must already say.
  // REQUIRES: a message was added; at most limits::item_blobs of at most limits::frame_bytes each.
  std::int32_t add_blob(zmq::message_t&& blob);

  [[nodiscard]] std::size_t size() const;   // messages
  [[nodiscard]] std::size_t bytes() const;  // of headers, params and blobs so far
  [[nodiscard]] bool empty() const { return size() == 0; }
  // Take it now: another message may not fit any more.
  [[nodiscard]] bool full() const;

  // The frames; the packer is empty again, and keeps its memory of headers, and of params, where
  // that is at most 64 KiB.
  // REQUIRES: not empty.
  [[nodiscard]] Frames take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tallymill::bus
