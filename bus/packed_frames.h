// Packed frames: the frames of one message as one run of bytes, for a transport that has messages
// but no frames, as a WebSocket.
//
//   each frame: its length, 4 bytes, the most significant first, then that many bytes
//
//   invariant: unpack(pack(frames)) are the same frames, and there is no other way to write them
//
// Threads: plain functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "bus/envelope.h"

namespace tallymill::bus {

// The largest envelope, packed.
inline constexpr std::size_t most_packed_bytes =
    static_cast<std::size_t>(limits::envelope_bytes.raw()) + 4 * most_frames;

[[nodiscard]] std::size_t packed_bytes(const Frames& frames);
[[nodiscard]] std::string pack_frames(const Frames& frames);

// bad_frame: bytes that end within a length or a frame, or no frame at all; too_big: a frame above
// limits::max_zmq_frame_bytes, as libzmq would refuse it, or more than most_frames.
[[nodiscard]] Result<Frames> unpack_frames(std::string_view untrusted);

}  // namespace tallymill::bus
