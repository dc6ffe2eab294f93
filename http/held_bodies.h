// Held bodies: the bytes of request bodies that one server has in memory, and each body's share.
//
// A body counts as it is read, and until its request is answered: its handler may keep it as long.
// What a header promises is never counted, so that nobody takes the room of others by a promise.
// An Answer may be kept longer than its connection, and than its server: the share goes with it.
//
//   invariant: bytes() is what all shares have, and never more than most() but while add() says no
//
// Threads: bytes() and the end of a share: any; the rest: the server's.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace tallymill::http {

class HeldBodies {
 public:
  explicit HeldBodies(std::size_t most) : most_(most) {}
  [[nodiscard]] std::size_t most() const { return most_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  friend class HeldBody;
  const std::size_t most_;
  std::atomic<std::size_t> bytes_ = 0;
};

// What one body has of it.
class HeldBody {
 public:
  explicit HeldBody(std::shared_ptr<HeldBodies> all) : all_(std::move(all)) {}
  ~HeldBody() { all_->bytes_.fetch_sub(bytes_, std::memory_order_relaxed); }
  HeldBody(const HeldBody&) = delete;
  HeldBody& operator=(const HeldBody&) = delete;

  // False: there is no room for so many more bytes, and none of them counts.
  [[nodiscard]] bool add(std::size_t bytes) {
    const std::size_t before = all_->bytes_.fetch_add(bytes, std::memory_order_relaxed);
    if (before + bytes > all_->most_) {
      all_->bytes_.fetch_sub(bytes, std::memory_order_relaxed);
      return false;
    }
    bytes_ += bytes;
    return true;
  }

 private:
  std::shared_ptr<HeldBodies> all_;
  std::size_t bytes_ = 0;
};

}  // namespace tallymill::http
