#include "collector/host_probe.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <utility>

#include "base/proc.h"

namespace tallymill::collector {
namespace {

constexpr std::uint64_t us = 1'000;  // in nanoseconds, which counters of seconds count
constexpr std::uint64_t ms = 1'000'000;

constexpr const char* disk_bytes = "tallymill_host_disk_bytes_total";
constexpr const char* disk_bytes_help = "Bytes read from and written to each disk.";
constexpr const char* disk_operations = "tallymill_host_disk_operations_total";
constexpr const char* disk_operations_help = "Reads and writes that each disk has done.";
constexpr std::array<DeviceColumn, 5> disk_columns{{
    {disk_bytes, disk_bytes_help, "read", 1},
    {disk_bytes, disk_bytes_help, "write", 1},
    {disk_operations, disk_operations_help, "read", 1},
    {disk_operations, disk_operations_help, "write", 1},
    {"tallymill_host_disk_busy_seconds_total", "Time with some operation under way.", nullptr, ms},
}};

constexpr const char* net_bytes = "tallymill_host_network_bytes_total";
constexpr const char* net_bytes_help = "Bytes into and out of each network device.";
constexpr const char* net_packets = "tallymill_host_network_packets_total";
constexpr const char* net_packets_help = "Packets into and out of each network device.";
constexpr const char* net_errors = "tallymill_host_network_errors_total";
constexpr const char* net_errors_help = "Packets that each network device found bad.";
constexpr const char* net_drops = "tallymill_host_network_drops_total";
constexpr const char* net_drops_help = "Packets that each network device had no room for.";
constexpr std::array<DeviceColumn, 8> network_columns{{
    {net_bytes, net_bytes_help, "in", 1},
    {net_bytes, net_bytes_help, "out", 1},
    {net_packets, net_packets_help, "in", 1},
    {net_packets, net_packets_help, "out", 1},
    {net_errors, net_errors_help, "in", 1},
    {net_errors, net_errors_help, "out", 1},
    {net_drops, net_drops_help, "in", 1},
    {net_drops, net_drops_help, "out", 1},
}};

struct MemoryField {
  const char* field;  // of /proc/meminfo
  const char* name;
  const char* help;
};
constexpr std::array<MemoryField, 8> memory_fields{{
    {"MemTotal", "tallymill_host_memory_total_bytes", "RAM that the kernel manages."},
    {"MemFree", "tallymill_host_memory_free_bytes", "RAM that nothing uses, not even a cache."},
    {"MemAvailable", "tallymill_host_memory_available_bytes",
     "RAM that programs could still have, without swapping."},
    {"Buffers", "tallymill_host_memory_buffers_bytes", "RAM that caches raw disk blocks."},
    {"Cached", "tallymill_host_memory_cached_bytes", "RAM that caches files."},
    {"Dirty", "tallymill_host_memory_dirty_bytes", "RAM that waits to be written to disk."},
    {"SwapTotal", "tallymill_host_swap_total_bytes", "Swap space."},
    {"SwapFree", "tallymill_host_swap_free_bytes", "Swap space that is free."},
}};

// Of a machine with version 1 beside it, version 2 lies in a folder of its own.
std::filesystem::path group_folder(const std::filesystem::path& root) {
  const auto group = unified_group(read_proc(root / "proc/self/cgroup"));
  if (!group) return {};
  std::error_code error;
  for (const char* mount : {"sys/fs/cgroup", "sys/fs/cgroup/unified"})
    if (std::filesystem::exists(root / mount / "cgroup.controllers", error))
      return root / mount / group->substr(1);
  return {};
}

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

}  // namespace

HostProbe::HostProbe(metrics::Registry& registry, std::filesystem::path data,
                     std::filesystem::path root)
    : registry_(registry),
      data_(std::move(data)),
      root_(std::move(root)),
      group_(group_folder(root_)),
      disks_(registry, "disk", disk_columns),
      network_(registry, "network", network_columns) {
  for (std::size_t i = 0; i < cpu_modes.size(); ++i)
    cpu_[i] = &registry.counter("tallymill_host_cpu_seconds_total",
                                "Time that the CPUs of this host spent so, all together.",
                                {{"mode", std::string(cpu_modes[i])}});
  look();
}

void HostProbe::look() {
  look_at_cpu();
  look_at_memory();
  look_at_disks();
  // A file that could not be read is no word of devices that went.
  if (const std::string text = proc("net/dev"); !text.empty()) network_.take(network_devices(text));
  look_at_file_system();
  look_at_pressure();
  look_at_group();
}

// The kernel's own may go back a little (iowait is an estimate); ours stay until they are caught
// up.
void HostProbe::look_at_cpu() {
  if (const auto times = cpu_times(proc("stat"))) {
    for (std::size_t i = 0; i < cpu_modes.size(); ++i) {
      const auto now = static_cast<std::uint64_t>(ticks(times->ticks[i]).count());
      if (now > cpu_[i]->value()) cpu_[i]->add(now - cpu_[i]->value());
    }
    set("tallymill_host_cpus", "CPUs that are online.", static_cast<double>(times->cpus));
  }
  if (const auto load = load_averages(proc("loadavg"))) {
    const auto average = [&](const char* over, double value) {
      registry_
          .gauge("tallymill_host_load", "Tasks that run or wait for CPU or disk, averaged.",
                 {{"over", over}})
          .set(value);
    };
    average("1m", load->of_1m);
    average("5m", load->of_5m);
    average("15m", load->of_15m);
  }
}

void HostProbe::look_at_memory() {
  const auto fields = proc_fields(proc("meminfo"));
  for (const MemoryField& one : memory_fields)
    if (const auto found = fields.find(one.field); found != fields.end())
      set(one.name, one.help, static_cast<double>(found->second));
}

void HostProbe::look_at_disks() {
  const std::string text = proc("diskstats");
  if (text.empty()) return;
  auto all = disks(text);
  std::erase_if(all, [this](const Device& device) { return !is_whole_disk(device); });
  disks_.take(all);
}

// Not a partition, whose numbers are in its disk's already, and not one of the many devices that a
// kernel keeps for nobody.
bool HostProbe::is_whole_disk(const Device& device) const {
  if (std::ranges::all_of(device.counts, [](std::uint64_t n) { return n == 0; })) return false;
  std::string name = device.name;
  std::ranges::replace(name, '/', '!');  // as in cciss/c0d0
  std::error_code error;
  return std::filesystem::exists(root_ / "sys/block" / name, error);
}

void HostProbe::look_at_file_system() {
  struct statvfs at{};
  if (data_.empty() || ::statvfs(data_.c_str(), &at) != 0) return;
  const auto bytes = [&](std::uint64_t blocks) {
    return static_cast<double>(blocks) * static_cast<double>(at.f_frsize);
  };
  set("tallymill_host_filesystem_size_bytes", "Size of the file system of the data folder.",
      bytes(at.f_blocks));
  set("tallymill_host_filesystem_available_bytes",
      "Bytes that may still be written to the file system of the data folder.", bytes(at.f_bavail));
  set("tallymill_host_filesystem_files_free",
      "Files that may still be made in the file system of the data folder.",
      static_cast<double>(at.f_favail));
}

void HostProbe::look_at_pressure() {
  for (const char* resource : {"cpu", "io", "memory"}) {
    const auto found = pressure(proc((std::string("pressure/") + resource).c_str()));
    if (!found) continue;
    const auto tell = [&](const char* who, std::uint64_t waited_us) {
      raise("tallymill_host_pressure_seconds_total",
            "Time in which some, or all that could run, waited for a resource.", waited_us * us,
            {{"resource", resource}, {"who", who}});
    };
    tell("some", found->some_us);
    if (found->full_us) tell("all", *found->full_us);
  }
}

void HostProbe::look_at_group() {
  if (group_.empty()) return;
  const auto gauge = [&](const char* file, const char* name, const char* help) {
    if (const auto value = group_number(file)) set(name, help, static_cast<double>(*value));
  };
  gauge("memory.current", "tallymill_cgroup_memory_bytes", "Memory of the control group.");
  gauge("memory.max", "tallymill_cgroup_memory_limit_bytes",
        "Memory that the control group may have; not told when there is no limit.");
  gauge("pids.current", "tallymill_cgroup_tasks", "Threads of the control group.");
  gauge("pids.max", "tallymill_cgroup_tasks_limit",
        "Threads that the control group may have; not told when there is no limit.");
  const auto cpu = proc_fields(read_proc(group_ / "cpu.stat"));
  const auto counter = [&](const auto& fields, const char* field, const char* name,
                           const char* help, std::uint64_t scale) {
    if (const auto found = fields.find(field); found != fields.end())
      raise(name, help, found->second * scale);
  };
  counter(cpu, "usage_usec", "tallymill_cgroup_cpu_seconds_total",
          "CPU time that the control group has used.", us);
  counter(cpu, "throttled_usec", "tallymill_cgroup_throttled_seconds_total",
          "Time in which the control group was held to its quota.", us);
  counter(proc_fields(read_proc(group_ / "memory.events")), "oom_kill",
          "tallymill_cgroup_oom_kills_total",
          "Processes of the control group that were killed for lack of memory.", 1);
  const std::string quota = read_proc(group_ / "cpu.max");
  const auto words = words_of(first_line(quota));
  const auto used = words.size() == 2 ? whole_number(words[0]) : std::nullopt;
  const auto period = words.size() == 2 ? whole_number(words[1]) : std::nullopt;
  if (used && period && *period != 0)
    set("tallymill_cgroup_cpu_limit",
        "CPUs that the control group may use; not told when there is no limit.",
        static_cast<double>(*used) / static_cast<double>(*period));
}

std::string HostProbe::proc(const char* file) const { return read_proc(root_ / "proc" / file); }

std::optional<std::uint64_t> HostProbe::group_number(const char* file) const {
  const std::string text = read_proc(group_ / file);
  return whole_number(first_line(text));
}

void HostProbe::set(const char* name, const char* help, double value) {
  registry_.gauge(name, help).set(value);
}

void HostProbe::raise(const char* name, const char* help, std::uint64_t to,
                      metrics::Labels labels) {
  metrics::Counter& counter = registry_.counter(name, help, std::move(labels));
  if (to > counter.value()) counter.add(to - counter.value());
}

}  // namespace tallymill::collector
