#include "collector/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/clock.h"
#include "base/thread.h"

namespace tallymill::collector {
namespace {

constexpr std::chrono::seconds period{1};
constexpr std::uint64_t looks_per_leak = 5;

}  // namespace

Watch::Watch(Store& store, metrics::Registry& registry, const std::string& folder,
             std::chrono::seconds leak_window)
    : store_(store),
      process_(registry),
      host_(registry, folder),
      leaks_(store, registry, leak_window) {}

Watch::~Watch() { stop(); }

void Watch::start() {
  thread_ = std::thread([this] { run(); });
}

void Watch::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watch::run() {
  name_thread("watch");
  auto next = std::chrono::steady_clock::now();
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    lock.unlock();
    look();
    lock.lock();
    // Not one after the other when it was late.
    next = std::max(next + period, std::chrono::steady_clock::now());
    wake_.wait_until(lock, next, [this] { return stopping_; });
  }
}

void Watch::look() {
  const std::int64_t now_ms = to_ns(SystemClock().wall()) / 1'000'000;
  process_.look();
  host_.look();
  look_at_store();
  if (looks_++ % looks_per_leak == 0) leaks_.look(now_ms);
}

void Watch::look_at_store() {
  const Store::Stats stats = store_.stats();
  if (const std::uint64_t failed = stats.failed_seals;
      failed != std::exchange(failed_seals_, failed))
    disk_.write(log::Level::error,
                fmt::format("the store cannot be sealed, {} times now: {} bytes of log wait for "
                            "room or a disk",
                            failed, stats.log_bytes),
                SystemClock().now());
  if (const std::uint64_t jumps = stats.clock_jumps; jumps != std::exchange(clock_jumps_, jumps))
    clock_.write(
        log::Level::warn,
        fmt::format("the clock is far from where the store saw it last, {} times now: what "
                    "expires is judged by the earlier time until it has gone steadily",
                    jumps),
        SystemClock().now());
}

}  // namespace tallymill::collector
