// Envelope input: the frames that an input of the envelope's fuzzers stands for. A few bytes can
// stand for many, so that a small input reaches the limits of size.
//
// An input is a row of frames, each as its length (two bytes, the low one first) and that many
// bytes; a length beyond the input ends it. Two lengths are not: 0xfff1, followed by a count and a
// length (two bytes each) and so many bytes, puts these bytes that often behind the last frame's;
// 0xfff2, followed by a count, puts so many more of the last frame behind it.
//
// Threads: plain functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "bus/envelope.h"

namespace tallymill::bus {

class EnvelopeInput {
 public:
  // With these every limit can be exceeded; beyond them, what stands for more is cut.
  static constexpr std::size_t most_frames = 3 + limits::batch_blobs + 2;
  static constexpr std::size_t most_bytes = 3 * static_cast<std::size_t>(limits::frame_bytes.raw());

  explicit EnvelopeInput(std::string_view input, std::size_t frames = most_frames,
                         std::size_t bytes = most_bytes)
      : left_(input), frame_limit_(frames), bytes_left_(bytes) {}

  Frames frames() {
    while (left_.size() >= 2) {
      const std::size_t n = number();
      if (n == 0xfff1) {
        const std::size_t times = number();
        const std::string_view bytes = take(number());
        for (std::size_t i = 0; i < times && bytes.size() <= bytes_left_; ++i) append(bytes);
      } else if (n == 0xfff2) {
        finish(1 + number());
      } else {
        finish(1);
        append(take(n));
        open_ = true;
      }
    }
    finish(1);
    return std::move(frames_);
  }

 private:
  std::size_t number() {
    const std::string_view two = take(2);
    if (two.size() < 2) return 0;
    return static_cast<std::uint8_t>(two[0]) |
           static_cast<std::size_t>(static_cast<std::uint8_t>(two[1])) << 8;
  }
  std::string_view take(std::size_t n) {
    const std::string_view bytes = left_.substr(0, n);
    left_.remove_prefix(bytes.size());
    return bytes;
  }
  void append(std::string_view bytes) {
    last_ += bytes;
    bytes_left_ -= std::min(bytes.size(), bytes_left_);
  }
  // The last frame, so often: they share its memory.
  void finish(std::size_t times) {
    if (!open_) return;
    open_ = false;
    zmq::message_t frame(last_.data(), last_.size());
    for (std::size_t i = 0; i < times && frames_.size() < frame_limit_; ++i)
      frames_.emplace_back().copy(frame);
    last_.clear();
  }

  std::string_view left_;
  std::size_t frame_limit_;
  std::size_t bytes_left_;
  Frames frames_;
  std::string last_;
  bool open_ = false;  // last_ is a frame
};

}  // namespace tallymill::bus
