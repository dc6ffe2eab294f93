#include "collector/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "store/durable.h"

namespace tallymill::collector {

Mapping::~Mapping() {
  if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
}

Result<Mapping> Mapping::of(const std::filesystem::path& file) {
  const store::File opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!opened && errno == ENOENT) return fail(Errc::not_found, "there is no " + file.string());
  if (!opened || ::fstat(opened.fd(), &info) != 0) return store::disk_error("open", file);
  Mapping mapping;
  if (info.st_size == 0) return mapping;
  const auto size = static_cast<std::size_t>(info.st_size);
  void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, opened.fd(), 0);
  if (memory == MAP_FAILED) return store::disk_error("map", file);
  mapping.bytes_ = {static_cast<const char*>(memory), size};
  return mapping;
}

}  // namespace tallymill::collector
