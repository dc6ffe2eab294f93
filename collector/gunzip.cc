#include "collector/gunzip.h"

#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>

#include "base/thread.h"

namespace tallymill::collector {

Result<std::string> gunzip(std::string_view untrusted, Bytes most) {
  thread_local const unique_handle<libdeflate_decompressor, libdeflate_free_decompressor> reader(
      libdeflate_alloc_decompressor());
  if (reader == nullptr) return fail(Errc::busy, "there is no memory to unpack it");
  const auto limit = static_cast<std::size_t>(most.raw());
  std::string text;
  // What the end says of the size is not asked: it grows by what comes out.
  for (std::size_t room = std::clamp<std::size_t>(untrusted.size() * 8, 4096, limit);;) {
    text.resize(room);
    std::size_t taken = 0;
    std::size_t made = 0;
    const auto result = libdeflate_gzip_decompress_ex(
        reader.get(), untrusted.data(), untrusted.size(), text.data(), text.size(), &taken, &made);
    if (result == LIBDEFLATE_SUCCESS) {
      if (taken != untrusted.size()) return fail(Errc::bad_params, "there is more behind its gzip");
      text.resize(made);
      return text;
    }
    if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
      return fail(Errc::bad_params, "its gzip cannot be read");
    if (room >= limit)
      return fail(Errc::too_big, fmt::format("its gzip holds more than {} bytes", limit));
    room = std::min(room * 2, limit);
  }
}

}  // namespace tallymill::collector
