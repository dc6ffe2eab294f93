// DeviceTable: the counters of the disks, or of the network devices, that a host has now.
//
// Devices come and go, on a host of containers all day. A counter of ours goes on where it was when
// the kernel begins anew at nothing, so that it is one counter for whoever takes rates.
//
//   invariant: at most limits::host_devices are told at a time; what is beyond is left out, and
//              counted
//
// Threads: one.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "collector/host_text.h"

namespace tallymill::collector {

struct DeviceColumn {
  const char* name;
  const char* help;
  const char* direction;  // null: none
  std::uint64_t scale;    // what the kernel's unit is in ours
};

class DeviceTable {
 public:
  // `kind` as in "disk". REQUIRES: the columns outlive this.
  DeviceTable(metrics::Registry& registry, const char* kind, std::span<const DeviceColumn> columns);

  // REQUIRES: each device has a count for each column.
  void take(const std::vector<Device>& devices);

 private:
  struct Row {
    std::vector<metrics::Counter*> counters;
    std::vector<std::uint64_t> last;
    bool seen = false;
  };
  Row& row(const std::string& name);

  metrics::Registry& registry_;
  std::span<const DeviceColumn> columns_;
  metrics::Gauge& there_;
  metrics::Gauge& left_out_;
  std::map<std::string, Row> rows_;
};

}  // namespace tallymill::collector
