// HostProbe: what the machine does, as metrics: CPU, memory, disks, network, pressure, its limits.
//
// The collector looks once a second. Counters are the kernel's own, since the boot, so that a rate
// over any window is exact; nothing is averaged here. What a kernel does not have (PSI, a control
// group of version 2, swap) is not told, rather than told as 0.
//
// Threads: one, that calls look(). Cost: a dozen small files, 0.3 ms.
#pragma once

#include <array>
#include <filesystem>
#include <string>

#include "base/metrics.h"
#include "collector/device_table.h"
#include "collector/host_text.h"

namespace tallymill::collector {

class HostProbe {
 public:
  // `data`: whose file system is watched; empty: none. `root`: where proc and sys are.
  HostProbe(metrics::Registry& registry, std::filesystem::path data,
            std::filesystem::path root = "/");
  void look();

 private:
  void look_at_cpu();
  void look_at_memory();
  void look_at_disks();
  void look_at_file_system();
  void look_at_pressure();
  void look_at_group();
  [[nodiscard]] bool is_whole_disk(const Device& device) const;
  [[nodiscard]] std::string proc(const char* file) const;
  // The file's number; "max" and no file are none.
  [[nodiscard]] std::optional<std::uint64_t> group_number(const char* file) const;
  void set(const char* name, const char* help, double value);
  void raise(const char* name, const char* help, std::uint64_t to, metrics::Labels labels = {});

  metrics::Registry& registry_;
  const std::filesystem::path data_;
  const std::filesystem::path root_;
  std::filesystem::path group_;  // empty: none of version 2
  std::array<metrics::Counter*, cpu_modes.size()> cpu_{};
  DeviceTable disks_;
  DeviceTable network_;
};

}  // namespace tallymill::collector
