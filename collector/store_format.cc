#include "collector/store_format.h"

#include <charconv>
#include <cstdint>
#include <string>

#include "collector/disk_file.h"
#include "collector/records.h"

namespace tallymill::collector {
namespace {

constexpr std::uint32_t format = 1;
constexpr std::string_view title = "format ";

}  // namespace

Status check_format(const std::filesystem::path& folder) {
  const std::filesystem::path home = folder / format_file;
  const auto file = DiskFile::open(home);
  std::uint32_t said = 0;  // nothing, or what is damaged
  if (file)
    scan_records(*file, [&](std::string_view payload) {
      if (!payload.starts_with(title)) return;
      payload.remove_prefix(title.size());
      (void)std::from_chars(payload.data(), payload.data() + payload.size(), said);
    });
  if (said > format)
    return fail(Errc::version, folder.string() + " was written by a newer tallymill, in format " +
                                   std::to_string(said) + "; this one knows formats up to " +
                                   std::to_string(format));
  if (said == format) return {};
  if (auto made = RecordFile::create(home)) {
    (*made)->add(std::string(title) + std::to_string(format));
    (void)(*made)->flush();
  }
  return {};
}

}  // namespace tallymill::collector
