// links: tm_collector tm_base
// Texts of /proc, /sys and control groups. Goal: no bytes make a reader of them crash; what is read
// has its form, and of a text that is cut off nothing is misread: it gives what the whole one gives
// at its front. Input: any file's text, to each reader.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/proc.h"
#include "collector/host_text.h"

namespace tallymill::collector {
namespace {

bool is_word(std::string_view text) {
  return !text.empty() && text.find_first_of(" \t\n") == std::string_view::npos;
}

void check(const std::vector<Device>& whole, const std::vector<Device>& front,
           std::size_t columns) {
  for (const Device& device : whole)
    TM_CHECK(is_word(device.name) && device.counts.size() == columns);
  TM_CHECK(front.size() <= whole.size());
  for (std::size_t i = 0; i < front.size(); ++i)
    TM_CHECK(front[i].name == whole[i].name && front[i].counts == whole[i].counts);
}

// A name that is there twice has the last value, so that a front may have another one.
void check_fields(std::string_view text, std::string_view front) {
  const auto whole = proc_fields(text);
  const std::vector<std::string_view> lines = whole_lines(text);
  for (const auto& [name, value] : proc_fields(front))
    TM_CHECK(whole.size() < lines.size() || whole.at(name) == value);
  for (const auto& [name, value] : whole) TM_CHECK(is_word(name) || name.empty());
}

void check_lines(std::string_view text) {
  std::size_t bytes = 0;
  for (const std::string_view line : lines_of(text)) {
    TM_CHECK(line.find('\n') == std::string_view::npos);
    bytes += line.size() + 1;
    for (const std::string_view word : words_of(line)) TM_CHECK(is_word(word));
  }
  TM_CHECK(bytes == text.size() || bytes == text.size() + 1);
}

void check_process(std::string_view text, std::string_view front) {
  const auto whole = process_stat(text);
  const auto cut = process_stat(front);
  // With another parenthesis behind, the front has another name.
  if (!whole || !cut || front.rfind(')') != text.rfind(')')) return;
  TM_CHECK(cut->minor_faults == whole->minor_faults && cut->user_ticks == whole->user_ticks &&
           cut->threads == whole->threads && cut->start_ticks == whole->start_ticks &&
           cut->resident_pages == whole->resident_pages);
}

}  // namespace
}  // namespace tallymill::collector

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tallymill;
  using namespace tallymill::collector;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const std::size_t cut : {size / 2, size - size / 8, size - (size > 0 ? 1 : 0)}) {
    const std::string_view front = text.substr(0, cut);
    check(disks(text), disks(front), 5);
    check(network_devices(text), network_devices(front), 8);
    check_process(text, front);
    check_fields(text, front);
  }
  check_lines(text);
  if (const auto group = unified_group(text)) TM_CHECK(group->starts_with('/'));
  (void)cpu_times(text);
  (void)load_averages(text);
  (void)pressure(text);
  return 0;
}
