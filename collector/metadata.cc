#include "collector/metadata.h"

#include <algorithm>

namespace tallymill::collector {

bool MetadataStore::add(const Metadata& said) {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(said.name);
  const bool is_new = found == known_.end();
  // What the others hold, and what this one will.
  std::size_t held = held_ + (is_new ? said.name.size() : 0);
  if (said.help) held += said.help->size() - (is_new ? 0 : found->second.help.size());
  if (said.unit) held += said.unit->size() - (is_new ? 0 : found->second.unit.size());
  if ((is_new && known_.size() >= metrics_) || (held > bytes_ && held > held_)) {
    ++refused_;
    return false;
  }
  Texts& texts = is_new ? known_[std::string(said.name)] : found->second;
  if (said.type) texts.type = *said.type;
  if (said.help) texts.help = *said.help;
  if (said.unit) texts.unit = *said.unit;
  held_ = held;
  return true;
}

std::vector<MetadataStore::Known> MetadataStore::all(std::size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<Known> all;
  all.reserve(std::min(most, known_.size()));
  for (const auto& [name, texts] : known_) {
    if (all.size() == most) break;
    all.push_back({name, texts.type, texts.help, texts.unit});
  }
  return all;
}

std::vector<MetadataStore::Known> MetadataStore::of(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = known_.find(name);
  if (found == known_.end()) return {};
  const Texts& texts = found->second;
  return {{found->first, texts.type, texts.help, texts.unit}};
}

MetadataStore::Stats MetadataStore::stats() const {
  const std::lock_guard lock(mutex_);
  return {known_.size(), held_, refused_};
}

}  // namespace tallymill::collector
