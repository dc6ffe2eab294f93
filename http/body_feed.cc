#include "http/body_feed.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"

namespace tallymill::http {

void BodyFeed::put(std::string_view piece, std::function<void()> taken) {
  TM_CHECK(piece_.empty());
  if (piece.empty()) return taken();  // an empty chunk would be the last
  piece_ = piece;
  taken_ = std::move(taken);
  if (ring_) ring_();
}

void BodyFeed::end() {
  ended_ = true;
  if (ring_) ring_();
}

std::string BodyFeed::next() {
  std::string piece = std::exchange(piece_, {});
  if (piece.empty()) {
    told_ = true;
    return bytes_ ? "" : "0\r\n\r\n";
  }
  return bytes_ ? piece : fmt::format("{:x}\r\n{}\r\n", piece.size(), piece);
}

void BodyFeed::taken() {
  if (const auto call = std::exchange(taken_, nullptr)) call();
}

}  // namespace tallymill::http
