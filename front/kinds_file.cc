#include "front/kinds_file.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "store/durable.h"

namespace tallymill::front {
namespace {

using nlohmann::json;

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
  return store::write_file(folder / "kinds.json", list.dump(1) + '\n');
}

}  // namespace tallymill::front
