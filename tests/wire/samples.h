// Samples: one worked example of each message, from which the golden vectors are made.
//
// Threads: plain values.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bus/envelope.h"

namespace tallymill::bus {

struct Sample {
  std::string name;  // the file's: golden/NAME.json
  std::string what;  // one sentence
  std::function<void(Packer&)> pack;
};

// `schemas`: the folder with the answers' JSON documents.
[[nodiscard]] std::vector<Sample> samples(const std::string& schemas);

}  // namespace tallymill::bus
