// Mapping: a whole file as memory, read-only.
//
// Files of the store are written once and only ever cut when nobody has them mapped, so that a
// mapped byte stays where it is. A disk that cannot read one ends the process by a signal, as it
// does for every program that maps files.
//
// Threads: any number that read.
#pragma once

#include <filesystem>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace tallymill::collector {

class Mapping {
 public:
  Mapping() = default;
  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping();

  // disk: it cannot be opened or mapped. not_found: there is none.
  [[nodiscard]] static Result<Mapping> of(const std::filesystem::path& file);
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  std::string_view bytes_;
};

}  // namespace tallymill::collector
