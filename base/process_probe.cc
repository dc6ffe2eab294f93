#include "base/process_probe.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "base/proc.h"

namespace tallymill {
namespace {

// Walking a fragmented heap is the dearest of all: while the process works only so often.
constexpr std::uint64_t looks_per_heap = 10;

std::uint64_t nanoseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_usec) * 1'000;
}

// Of the clock that /proc counts in: it goes on while the machine sleeps.
Duration since_boot() {
  timespec time{};
  ::clock_gettime(CLOCK_BOOTTIME, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

double seconds(Duration length) { return std::chrono::duration<double>(length).count(); }

// To what the kernel counts.
void raise(metrics::Counter& counter, std::uint64_t to) {
  if (to > counter.value()) counter.add(to - counter.value());
}

// Less the one that this look opens.
double open_fds() {
  std::error_code error;
  const std::filesystem::directory_iterator all("/proc/self/fd", error);
  return error ? 0 : static_cast<double>(std::distance(begin(all), end(all)) - 1);
}

}  // namespace

ProcessProbe::ProcessProbe(metrics::Registry& registry)
    : user_(registry.counter("tallymill_process_cpu_seconds_total",
                             "CPU time that this process has used.", {{"mode", "user"}})),
      system_(registry.counter("tallymill_process_cpu_seconds_total",
                               "CPU time that this process has used.", {{"mode", "system"}})),
      minor_faults_(registry.counter("tallymill_process_page_faults_total",
                                     "Page faults; a major one waited for the disk.",
                                     {{"kind", "minor"}})),
      major_faults_(registry.counter("tallymill_process_page_faults_total",
                                     "Page faults; a major one waited for the disk.",
                                     {{"kind", "major"}})),
      voluntary_(registry.counter("tallymill_process_context_switches_total",
                                  "Times that a thread left its CPU: to wait, or for another.",
                                  {{"kind", "voluntary"}})),
      involuntary_(registry.counter("tallymill_process_context_switches_total",
                                    "Times that a thread left its CPU: to wait, or for another.",
                                    {{"kind", "involuntary"}})),
      resident_(registry.gauge("tallymill_process_resident_memory_bytes",
                               "Memory of this process that is in RAM.")),
      virtual_(registry.gauge("tallymill_process_virtual_memory_bytes",
                              "Address space that this process has reserved.")),
      threads_(registry.gauge("tallymill_process_threads", "Threads of this process.")),
      start_(registry.gauge("tallymill_process_start_time_seconds",
                            "When this process was started, since 1970.")),
      open_fds_(registry.gauge("tallymill_process_open_fds", "File descriptors that are open.")),
      max_fds_(registry.gauge("tallymill_process_max_fds",
                              "File descriptors that this process may have open.")),
      allocated_(registry.gauge("tallymill_process_heap_allocated_bytes",
                                "Memory that the program asked for and has not freed.")),
      held_(registry.gauge("tallymill_process_heap_held_bytes",
                           "Memory that the allocator took from the system.")),
      trims_(registry.counter("tallymill_process_heap_trims_total",
                              "Times that memory which had become spare was given back.")) {
  look();
}

void ProcessProbe::look() {
  look_at_usage();
  look_at_stat();
  look_at_heap();
  ++looks_;
}

// Not from /proc/self: its CPU time is in hundredths of a second, its switches the main thread's.
void ProcessProbe::look_at_usage() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  raise(user_, nanoseconds(used.ru_utime));
  raise(system_, nanoseconds(used.ru_stime));
  raise(minor_faults_, static_cast<std::uint64_t>(used.ru_minflt));
  raise(major_faults_, static_cast<std::uint64_t>(used.ru_majflt));
  raise(voluntary_, static_cast<std::uint64_t>(used.ru_nvcsw));
  raise(involuntary_, static_cast<std::uint64_t>(used.ru_nivcsw));
}

void ProcessProbe::look_at_stat() {
  if (const auto stat = process_stat(read_proc("/proc/self/stat"))) {
    resident_.set(static_cast<double>(stat->resident_pages) *
                  static_cast<double>(::sysconf(_SC_PAGESIZE)));
    virtual_.set(static_cast<double>(stat->virtual_bytes));
    threads_.set(static_cast<double>(stat->threads));
    // Once: the wall clock may be set meanwhile.
    if (looks_ == 0)
      start_.set(seconds(SystemClock().wall().time_since_epoch() - since_boot() +
                         ticks(stat->start_ticks)));
  }
  open_fds_.set(open_fds());
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) max_fds_.set(static_cast<double>(files.rlim_cur));
}

void ProcessProbe::look_at_heap() {
  const Duration cpu(static_cast<Duration::rep>(user_.value() + system_.value()));
  const bool idle = idle_.is_idle(SystemClock().now(), cpu);
  if (!idle && looks_ % looks_per_heap != 0) return;
  Heap heap = read_heap();
  const auto spare = [&] {
    const auto resident = static_cast<std::uint64_t>(resident_.value());
    return resident - std::min(resident, heap.allocated_bytes);
  };
  if (idle && idle_.due(spare())) {
    trim_heap();
    trims_.add();
    look_at_stat();
    heap = read_heap();
    idle_.trimmed(spare());
  }
  allocated_.set(static_cast<double>(heap.allocated_bytes));
  held_.set(static_cast<double>(heap.held_bytes));
}

}  // namespace tallymill
