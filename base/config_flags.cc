#include "base/config_flags.h"

#include <algorithm>
#include <cctype>
#include <variant>

#include "base/config_keys.h"

namespace tallymill {
namespace {

template <class Owner>
ConfigFlag flag_of(const config_keys::Key<Owner>& key, const std::string& prefix) {
  ConfigFlag flag;
  flag.key = prefix + std::string(key.name);
  flag.variable = variable_of(flag.key);
  flag.help = key.help;
  flag.unit = key.unit;
  flag.choices.assign(key.choices.begin(), key.choices.end());
  flag.is_switch = std::holds_alternative<bool& (*)(Owner&)>(key.slot);
  return flag;
}

// The key without the section that the program lets its users leave out; empty: none.
std::string short_form(const ConfigSources& sources, const std::string& key) {
  for (const auto& section : sources.sections)
    if (key.starts_with(section + ".")) return key.substr(section.size() + 1);
  return {};
}

}  // namespace

std::vector<ConfigFlag> config_flags(const ConfigSources& sources) {
  const auto is_read = [&](std::string_view key) {
    return sources.reads.empty() || std::ranges::any_of(sources.reads, [&](const auto& beginning) {
             return key.starts_with(beginning);
           });
  };
  std::vector<ConfigFlag> flags;
  std::vector<ConfigFlag> others;
  for (const auto& key : config_keys::all()) {
    if (!is_read(key.name)) continue;
    ConfigFlag flag = flag_of(key, "");
    const std::string short_name = short_form(sources, flag.key);
    flag.flag = "--" + (short_name.empty() ? flag.key : short_name);
    std::ranges::replace(flag.flag, '_', '-');
    (short_name.empty() ? others : flags).push_back(std::move(flag));
  }
  flags.insert(flags.end(), others.begin(), others.end());
  for (const auto& key : config_keys::of_a_kind()) {
    if (!is_read("kinds.")) continue;
    ConfigFlag flag = flag_of(key, "kinds.KIND.");
    flag.flag = "--" + flag.key;
    flags.push_back(std::move(flag));
  }
  return flags;
}

std::string variable_of(std::string_view key) {
  std::string name = "TALLYMILL_";
  for (const char c : key) {
    if (c == '.')
      name += "__";
    else
      name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

}  // namespace tallymill
