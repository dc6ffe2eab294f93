// Goal: what the probe says of this process is what the kernel says, and never goes back. Method: a
// real registry, compared with getrusage and with what the test does: work, threads, files.
#include "base/process_probe.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace tallymill {
namespace {

double value(const metrics::Registry& registry, std::string_view name,
             std::string_view label = {}) {
  for (const auto& family : registry.snapshot().families) {
    if (family.name != name) continue;
    for (const auto& sample : family.samples)
      if (label.empty() || sample.labels.front().second == label) return sample.value;
  }
  ADD_FAILURE() << "no " << name;
  return 0;
}

double cpu(const metrics::Registry& registry) {
  return value(registry, "tallymill_process_cpu_seconds_total", "user") +
         value(registry, "tallymill_process_cpu_seconds_total", "system");
}

TEST(ProcessProbe, CpuTimeIsThatOfGetrusageInSeconds) {
  metrics::Registry registry;
  ProcessProbe probe(registry);
  const double before = cpu(registry);
  volatile std::uint64_t work = 0;
  for (std::uint64_t i = 0; i < 50'000'000; ++i) work = work + i;
  probe.look();
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const double is = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                    static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  EXPECT_GT(cpu(registry), before);
  EXPECT_LE(cpu(registry), is + 1e-6);
  EXPECT_GT(cpu(registry), is * 0.9);
}

TEST(ProcessProbe, OpenFilesAndThreadsAreCounted) {
  metrics::Registry registry;
  ProcessProbe probe(registry);
  const double files = value(registry, "tallymill_process_open_fds");
  const int a = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int b = ::dup(a);
  std::atomic<bool> stop = false;
  std::thread other([&] { stop.wait(false); });
  probe.look();
  EXPECT_EQ(value(registry, "tallymill_process_open_fds"), files + 2);
  EXPECT_EQ(value(registry, "tallymill_process_threads"), 2);
  stop = true;
  stop.notify_all();
  other.join();
  ::close(a);
  ::close(b);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(value(registry, "tallymill_process_max_fds"), static_cast<double>(limit.rlim_cur));
}

TEST(ProcessProbe, TheStartIsAMomentAgoAndStays) {
  metrics::Registry registry;
  ProcessProbe probe(registry);
  const double start = value(registry, "tallymill_process_start_time_seconds");
  const double now = std::chrono::duration<double>(SystemClock().wall().time_since_epoch()).count();
  EXPECT_LE(start, now + 0.02);
  EXPECT_GT(start, now - 600);
  probe.look();
  EXPECT_EQ(value(registry, "tallymill_process_start_time_seconds"), start);
}

TEST(ProcessProbe, MemoryIsThatOfTheProcess) {
  metrics::Registry registry;
  const ProcessProbe probe(registry);
  const double resident = value(registry, "tallymill_process_resident_memory_bytes");
  EXPECT_GT(resident, 1e6);
  EXPECT_GT(value(registry, "tallymill_process_virtual_memory_bytes"), resident);
  EXPECT_GE(value(registry, "tallymill_process_heap_held_bytes"),
            value(registry, "tallymill_process_heap_allocated_bytes"));
}

}  // namespace
}  // namespace tallymill
