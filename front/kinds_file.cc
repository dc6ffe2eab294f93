#include "front/kinds_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <utility>

namespace tallymill::front {
namespace {

using nlohmann::json;

std::unexpected<Error> failed(std::string_view doing, const std::filesystem::path& path) {
  const int cause = errno;
  return fail(Errc::disk, std::string(doing) + " " + path.string() + ": " +
                              std::generic_category().message(cause));
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(fd, bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  return true;
}

}  // namespace

Result<std::vector<KindSpec>> read_kinds_file(const std::filesystem::path& folder) {
  std::vector<KindSpec> kinds;
  std::ifstream file(folder / "kinds.json");
  if (!file) return kinds;
  const json list = json::parse(file, nullptr, false);
  if (!list.is_array()) return fail(Errc::bad_frame, "kinds.json is not a list of kinds");
  for (const json& one : list)
    if (auto kind = kind_from_json(one)) kinds.push_back(std::move(*kind));
  return kinds;
}

Status write_kinds_file(const std::filesystem::path& folder,
                        const std::map<std::string, KindSpec>& kinds) {
  json list = json::array();
  for (const auto& [name, kind] : kinds) list.push_back(to_json(kind));
  const auto path = folder / "kinds.json";
  const auto aside = folder / "kinds.json.new";
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
  if (fd < 0) return failed("create", aside);
  Status stored;
  if (!write_all(fd, list.dump(1) + '\n') || ::fdatasync(fd) != 0) stored = failed("write", aside);
  ::close(fd);
  if (stored && ::rename(aside.c_str(), path.c_str()) != 0) stored = failed("rename", aside);
  if (!stored) {
    ::unlink(aside.c_str());
    return stored;
  }
  const int home = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (home < 0 || ::fsync(home) != 0) stored = failed("sync", folder);
  if (home >= 0) ::close(home);
  return stored;
}

}  // namespace tallymill::front
