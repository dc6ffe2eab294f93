// Golden vectors: a message as bytes and as what they mean, side by side in one JSON document, so
// that a client in any language can check itself without running a front.
//
//   {"name": ..., "what": ...,
//    "frames": [hex ...],                                     what goes over the socket
//    "messages": [{"header": {...}, "params": ..., "blobs": [hex ...]} ...]}   what it means
//
// A header here has all that is on the wire but "N" and "B", which the frames themselves show.
//
// Threads: any.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "bus/envelope.h"
#include "tests/wire/samples.h"

namespace tallymill::bus {

[[nodiscard]] std::string hex(std::string_view bytes);
[[nodiscard]] std::string from_hex(const std::string& digits);

// "messages" of an envelope, read through the codec.
[[nodiscard]] nlohmann::json messages_json(const Envelope& envelope);

// The whole document of a sample.
[[nodiscard]] nlohmann::ordered_json golden_of(const Sample& sample);

// The frames of a document.
[[nodiscard]] Frames frames_of(const nlohmann::json& golden);

}  // namespace tallymill::bus
