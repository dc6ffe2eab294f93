#include "collector/device_table.h"

#include <utility>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::collector {

DeviceTable::DeviceTable(metrics::Registry& registry, const char* kind,
                         std::span<const DeviceColumn> columns)
    : registry_(registry),
      columns_(columns),
      there_(registry.gauge("tallymill_host_devices", "Disks and network devices that are told.",
                            {{"kind", kind}})),
      left_out_(registry.gauge("tallymill_host_devices_left_out",
                               "Disks and network devices beyond those that are told.",
                               {{"kind", kind}})) {}

void DeviceTable::take(const std::vector<Device>& devices) {
  for (auto& [name, row] : rows_) row.seen = false;
  std::size_t left_out = 0;
  for (const Device& device : devices)
    if (const auto known = rows_.find(device.name); known != rows_.end()) known->second.seen = true;
  std::erase_if(rows_, [](const auto& one) { return !one.second.seen; });
  for (const Device& device : devices) {
    if (!rows_.contains(device.name) && rows_.size() >= limits::host_devices) {
      ++left_out;
      continue;
    }
    TM_CHECK(device.counts.size() == columns_.size());
    Row& to = row(device.name);
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::uint64_t now = device.counts[i];
      const std::uint64_t last = std::exchange(to.last[i], now);
      to.counters[i]->add((now >= last ? now - last : now) * columns_[i].scale);
    }
  }
  there_.set(static_cast<double>(rows_.size()));
  left_out_.set(static_cast<double>(left_out));
}

DeviceTable::Row& DeviceTable::row(const std::string& name) {
  const auto [at, fresh] = rows_.try_emplace(name);
  Row& row = at->second;
  if (!fresh) return row;
  for (const DeviceColumn& column : columns_) {
    metrics::Labels labels{{"device", name}};
    if (column.direction != nullptr) labels.emplace_back("direction", column.direction);
    row.counters.push_back(&registry_.counter(column.name, column.help, std::move(labels)));
  }
  row.last.resize(columns_.size());
  return row;
}

}  // namespace tallymill::collector
