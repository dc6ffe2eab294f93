#include "tests/wire/golden.h"

#include "base/check.h"
#include "bus/codec_json.h"
#include "tests/wire/meaning.h"

namespace tallymill::bus {

using nlohmann::json;

std::string hex(std::string_view bytes) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += digits[static_cast<unsigned char>(c) >> 4];
    text += digits[c & 15];
  }
  return text;
}

std::string from_hex(const std::string& digits) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
  return bytes;
}

json messages_json(const Envelope& envelope) {
  json messages = json::array();
  for (const Item& item : envelope.items()) {
    json blobs = json::array();
    for (const auto& blob : item.blobs) blobs.push_back(hex(blob.to_string_view()));
    const auto params = json_of_msgpack(item.params);
    messages.push_back({{"header", meaning_of(item)},
                        {"params", params ? *params : json("not JSON")},
                        {"blobs", std::move(blobs)}});
  }
  return messages;
}

nlohmann::ordered_json golden_of(const Sample& sample) {
  Packer packer;
  sample.pack(packer);
  Frames frames = packer.take();
  nlohmann::ordered_json golden = {{"name", sample.name}, {"what", sample.what}};
  golden["frames"] = json::array();
  for (const auto& frame : frames) golden["frames"].push_back(hex(frame.to_string_view()));
  const auto envelope = Envelope::decode(std::move(frames));
  TM_CHECK(envelope.has_value());
  golden["messages"] = messages_json(*envelope);
  return golden;
}

Frames frames_of(const json& golden) {
  Frames frames;
  for (const auto& digits : golden.at("frames")) {
    const std::string bytes = from_hex(digits.get<std::string>());
    frames.emplace_back(bytes.data(), bytes.size());
  }
  return frames;
}

}  // namespace tallymill::bus
