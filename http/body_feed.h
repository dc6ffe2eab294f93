// Body feed: a request's body that comes in pieces, from who asks to the client that sends it.
//
//   invariant: one piece is held, until it is on its way; then `taken` asks for the next
//
// Threads: the client's.
// Source: RFC 9112, 7.1 (chunked).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tallymill::http {

class BodyFeed {
 public:
  // `bytes`: of the whole, where that is known.
  explicit BodyFeed(std::optional<std::uint64_t> bytes = {}) : bytes_(bytes) {}

  // `taken` is not called when no more is wanted: the answer has begun, or the request is over.
  // REQUIRES: the one before was taken.
  void put(std::string_view piece, std::function<void()> taken);
  // That was all of it.
  void end();

  // The client's side. `ring` is called when there is a next one.
  void listen(std::function<void()> ring) { ring_ = std::move(ring); }
  [[nodiscard]] bool has_next() const { return !piece_.empty() || (ended_ && !told_); }
  // What is next on the wire: a piece as it is, or as a chunk; behind the last, the end of chunks.
  [[nodiscard]] std::string next();
  [[nodiscard]] bool was_all() const { return told_; }
  void taken();
  [[nodiscard]] const std::optional<std::uint64_t>& bytes() const { return bytes_; }

 private:
  const std::optional<std::uint64_t> bytes_;
  std::string piece_;
  std::function<void()> taken_;
  std::function<void()> ring_;
  bool ended_ = false;
  bool told_ = false;  // its end was said
};

}  // namespace tallymill::http
