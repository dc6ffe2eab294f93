#include "collector/leak_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/limits.h"
#include "base/log.h"

namespace tallymill::collector {

LeakWatch::LeakWatch(const Source& source, metrics::Registry& registry, std::chrono::seconds window)
    : source_(source),
      registry_(registry),
      window_(window),
      left_out_(registry.gauge("tallymill_collector_leak_left_out",
                               "Measures of processes that are not watched for leaks.")) {}

void LeakWatch::look(std::int64_t now_ms) {
  for (Told& told : told_) told.seen = false;
  left_out_now_ = 0;
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
  const std::int64_t from_ms = now_ms - std::chrono::milliseconds(window_).count();
  const auto matcher =
      Matcher::of(Matcher::Kind::equal, std::string(metric_name), std::string(metric));
  if (!matcher) return;
  const auto found = source_.select(std::array{*matcher}, from_ms, now_ms);
  if (!found) return;
  Column column;
  for (const auto& one : *found) {
    column.clear();
    if (!source_.read(one.series, from_ms, now_ms, column) || column.size() == 0) continue;
    tell(one.labels, memory, leak_in(column, now_ms, window_));
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
