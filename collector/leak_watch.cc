#include "collector/leak_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/limits.h"
#include "base/log.h"

namespace tallymill::collector {
namespace {

std::string name_of(const Labels& process) {
  return fmt::format("{}\n{}", process.get("job"), process.get("instance"));
}

// Each value less what was last said before it.
void subtract(const Column& cache, Column& bytes) {
  std::size_t next = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    while (next < cache.size() && cache.t_ms[next] <= bytes.t_ms[i]) ++next;
    if (next > 0 && std::isfinite(cache.value[next - 1])) bytes.value[i] -= cache.value[next - 1];
  }
}

}  // namespace

LeakWatch::LeakWatch(const Source& source, metrics::Registry& registry, std::chrono::seconds window)
    : source_(source),
      registry_(registry),
      window_(window),
      left_out_(registry.gauge("tallymill_collector_leak_left_out",
                               "Measures of processes that are not watched for leaks.")) {}

void LeakWatch::look(std::int64_t now_ms) {
  for (Told& told : told_) told.seen = false;
  left_out_now_ = 0;
  caches_.clear();
  read("tallymill_process_cache_bytes", now_ms, [this](const Labels& process, Column& bytes) {
    caches_.emplace(name_of(process), std::move(bytes));
  });
  look_at("tallymill_process_resident_memory_bytes", "resident", now_ms);
  look_at("tallymill_process_heap_allocated_bytes", "allocated", now_ms);
  left_out_.set(static_cast<double>(left_out_now_));
  // A process that has gone leaks no more.
  for (Told& told : told_) {
    if (told.seen) continue;
    told.slope->set(0);
    told.suspected->set(0);
  }
}

void LeakWatch::look_at(const char* metric, const char* memory, std::int64_t now_ms) {
  read(metric, now_ms, [&](const Labels& process, Column& bytes) {
    if (const auto cache = caches_.find(name_of(process)); cache != caches_.end())
      subtract(cache->second, bytes);
    tell(process, memory, leak_in(bytes, now_ms, window_));
  });
}

void LeakWatch::read(const char* metric, std::int64_t now_ms, const OnColumn& found) const {
  const std::int64_t from_ms = now_ms - std::chrono::milliseconds(window_).count();
  const auto matcher =
      Matcher::of(Matcher::Kind::equal, std::string(metric_name), std::string(metric));
  if (!matcher) return;
  const auto selected = source_.select(std::array{*matcher}, from_ms, now_ms);
  if (!selected) return;
  for (const auto& one : *selected) {
    Column column;
    if (source_.read(one.series, from_ms, now_ms, column) && column.size() > 0)
      found(one.labels, column);
  }
}

void LeakWatch::tell(const Labels& process, const char* memory, const Leak& leak) {
  const std::string job(process.get("job"));
  const std::string instance(process.get("instance"));
  const std::string key = fmt::format("{}\n{}\n{}", memory, job, instance);
  auto at = std::ranges::find(told_, key, &Told::key);
  if (at == told_.end()) {
    if (told_.size() >= 2 * limits::leak_processes) {
      ++left_out_now_;
      return;
    }
    const metrics::Labels labels{{"program", job}, {"process", instance}, {"memory", memory}};
    told_.push_back(
        {key,
         &registry_.gauge("tallymill_collector_leak_bytes_per_second",
                          "How fast the memory of a process grows.", labels),
         &registry_.gauge("tallymill_collector_leak_suspected",
                          "1 while the memory of a process seems to grow without end.", labels)});
    at = std::prev(told_.end());
  }
  if (leak.suspected && at->suspected->value() == 0)
    log::warn(fmt::format("the {} memory of {} {} grows by {:.0f} bytes a second", memory, job,
                          instance, leak.bytes_per_second));
  at->seen = true;
  at->slope->set(leak.bytes_per_second);
  at->suspected->set(leak.suspected ? 1 : 0);
}

}  // namespace tallymill::collector
