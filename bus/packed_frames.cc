#include "bus/packed_frames.h"

#include <fmt/format.h>

#include "base/check.h"

namespace tallymill::bus {
namespace {

constexpr std::size_t prefix = 4;

std::size_t length_at(std::string_view bytes) {
  std::size_t length = 0;
  for (std::size_t i = 0; i < prefix; ++i)
    length = length << 8 | static_cast<unsigned char>(bytes[i]);
  return length;
}

// The first frame of `rest`, which is shorter by it afterwards.
Result<std::string_view> take_frame(std::string_view& rest) {
  if (rest.size() < prefix) return fail(Errc::bad_frame, "the message ends within a length");
  const std::size_t length = length_at(rest);
  if (length > static_cast<std::size_t>(limits::max_zmq_frame_bytes.raw()))
    return fail(Errc::too_big, fmt::format("a frame of {} bytes", length));
  rest.remove_prefix(prefix);
  if (length > rest.size()) return fail(Errc::bad_frame, "the message ends within a frame");
  const std::string_view frame = rest.substr(0, length);
  rest.remove_prefix(length);
  return frame;
}

}  // namespace

std::size_t packed_bytes(const Frames& frames) {
  std::size_t bytes = 0;
  for (const zmq::message_t& frame : frames) bytes += prefix + frame.size();
  return bytes;
}

std::string pack_frames(const Frames& frames) {
  std::string packed;
  packed.reserve(packed_bytes(frames));
  for (const zmq::message_t& frame : frames) {
    TM_CHECK(frame.size() <= 0xffffffff);
    for (int shift = 24; shift >= 0; shift -= 8) packed += static_cast<char>(frame.size() >> shift);
    packed.append(static_cast<const char*>(frame.data()), frame.size());
  }
  return packed;
}

Result<Frames> unpack_frames(std::string_view untrusted) {
  if (untrusted.empty()) return fail(Errc::bad_frame, "a message without a frame");
  // All are looked at before room is made for any.
  std::size_t count = 0;
  for (std::string_view rest = untrusted; !rest.empty(); ++count) {
    if (count == most_frames)
      return fail(Errc::too_big, fmt::format("more than {} frames", most_frames));
    if (const auto frame = take_frame(rest); !frame) return std::unexpected(frame.error());
  }
  Frames frames;
  frames.reserve(count);
  for (std::string_view rest = untrusted; !rest.empty();) {
    const auto frame = take_frame(rest);
    frames.emplace_back(frame->data(), frame->size());
  }
  return frames;
}

}  // namespace tallymill::bus
