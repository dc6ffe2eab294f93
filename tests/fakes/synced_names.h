// SyncedNames: remembers which names of files and folders are on the disk, and takes away the
// others from a copy, as a power cut may.
//
// A name is on the disk when its folder was synced after it was made, or when it was there before
// this was. Not modelled: a name that was removed and comes back; what a file holds.
//
// Threads: syncs from any; the rest by the test. One lives at a time.
#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/fakes/sync_calls.h"

namespace tallymill::fakes {

class SyncedNames {
 public:
  // Of all below this folder.
  explicit SyncedNames(const std::filesystem::path& root) {
    SyncCalls::tell(&note);
    const std::lock_guard lock(mutex_);
    root_ = root;
    names_.clear();
    keep(root);
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
      if (entry.is_directory()) keep(entry.path());
  }
  ~SyncedNames() {
    const std::lock_guard lock(mutex_);
    root_.clear();
  }
  SyncedNames(const SyncedNames&) = delete;
  SyncedNames& operator=(const SyncedNames&) = delete;

  // Removes from `copy`, which was made of `folder`, each name that is not on the disk, or leaves
  // it, by chance; all of it when the folder's own name is not.
  static void cut(const std::filesystem::path& folder, const std::filesystem::path& copy,
                  std::mt19937_64& chance) {
    const std::lock_guard lock(mutex_);
    for (std::filesystem::path at = folder; at != root_; at = at.parent_path())
      if (is_lost(at, chance)) {
        std::filesystem::remove_all(copy);
        return;
      }
    cut_below(folder, copy, chance);
  }

 private:
  static bool is_lost(const std::filesystem::path& path, std::mt19937_64& chance) {
    return !names_[path.parent_path()].contains(path.filename()) && chance() % 2 == 0;
  }
  static void cut_below(const std::filesystem::path& folder, const std::filesystem::path& copy,
                        std::mt19937_64& chance) {
    const std::vector<std::filesystem::directory_entry> entries{
        std::filesystem::directory_iterator(copy), std::filesystem::directory_iterator()};
    for (const auto& entry : entries) {
      const std::filesystem::path origin = folder / entry.path().filename();
      if (is_lost(origin, chance))
        std::filesystem::remove_all(entry.path());
      else if (entry.is_directory())
        cut_below(origin, entry.path(), chance);
    }
  }
  static void keep(const std::filesystem::path& folder) {
    std::set<std::filesystem::path> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder))
      names.insert(entry.path().filename());
    names_[folder] = std::move(names);
  }
  static bool note(const std::string& path) {
    const std::lock_guard lock(mutex_);
    if (!root_.empty() && path.starts_with(root_.string()) && std::filesystem::is_directory(path))
      keep(path);
    return true;
  }

  static inline std::mutex mutex_;  // guards what is below
  static inline std::filesystem::path root_;
  static inline std::map<std::filesystem::path, std::set<std::filesystem::path>> names_;
};

}  // namespace tallymill::fakes
