// Body: the parts of a message as one string, as the ledger keeps them: header, params, blobs, each
// behind its length (docs/formats/ledger.md).
//
// The header is the received one, byte for byte, so that nothing a client said is lost and a job is
// sent on without being built anew.
//
// Threads: plain values.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <zmq.hpp>

#include "base/result.h"

namespace tallymill::front {

// Views into the packed string.
struct Body {
  std::string_view header;
  std::string_view params;
  std::vector<std::string_view> blobs;
};

[[nodiscard]] inline std::string pack_body(std::string_view header, std::string_view params,
                                           std::span<const zmq::message_t> blobs = {}) {
  std::size_t size = 8 + header.size() + params.size();
  for (const auto& blob : blobs) size += 4 + blob.size();
  std::string packed;
  packed.reserve(size);
  const auto add = [&](const void* data, std::size_t n) {
    const auto length = static_cast<std::uint32_t>(n);
    packed.append(reinterpret_cast<const char*>(&length), sizeof length);
    packed.append(static_cast<const char*>(data), n);
  };
  add(header.data(), header.size());
  add(params.data(), params.size());
  for (const auto& blob : blobs) add(blob.data(), blob.size());
  return packed;
}

// corrupt when the lengths do not add up.
[[nodiscard]] inline Result<Body> read_body(std::string_view packed) {
  Body body;
  int part = 0;
  while (!packed.empty()) {
    std::uint32_t length = 0;
    if (packed.size() < sizeof length) return fail(Errc::corrupt, "a stored body is cut short");
    std::memcpy(&length, packed.data(), sizeof length);
    packed.remove_prefix(sizeof length);
    if (packed.size() < length) return fail(Errc::corrupt, "a stored body is cut short");
    const std::string_view bytes = packed.substr(0, length);
    packed.remove_prefix(length);
    if (part == 0)
      body.header = bytes;
    else if (part == 1)
      body.params = bytes;
    else
      body.blobs.push_back(bytes);
    ++part;
  }
  return body;
}

}  // namespace tallymill::front
