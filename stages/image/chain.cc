#include "stages/image/chain.h"

#include <algorithm>
#include <optional>

#include "base/limits.h"

namespace tallymill::stages::image {
namespace {

// Where each picture comes from: the decode, or another picture (its index).
std::vector<std::optional<std::size_t>> plan(std::span<const Size> sizes) {
  std::vector<std::optional<std::size_t>> from(sizes.size());
  for (std::size_t i = 0; i < sizes.size(); ++i)
    for (std::size_t j = 0; j < sizes.size(); ++j) {
      const bool half =
          sizes[j].width >= 2 * sizes[i].width && sizes[j].height >= 2 * sizes[i].height;
      if (half && (!from[i] || sizes[j].pixels() < sizes[*from[i]].pixels())) from[i] = j;
    }
  return from;
}

Size enough_for(std::span<const Size> sizes) {
  Size most;
  for (const Size& size : sizes) {
    most.width = std::max(most.width, size.width);
    most.height = std::max(most.height, size.height);
  }
  return {(most.width * 3 + 1) / 2, (most.height * 3 + 1) / 2};
}

// Pulls the whole picture through `resizers`.
// `reached` follows the progress up to `share`.
Status stream(Reader& reader, const std::vector<Resizer*>& resizers, Context& context, double share,
              double& reached) {
  const std::size_t stride =
      static_cast<std::size_t>(reader.size().width) * static_cast<std::size_t>(reader.channels());
  const int height = reader.size().height;
  const int strip_rows =
      std::clamp(static_cast<int>(static_cast<std::size_t>(limits::max_image_strip.raw()) / stride),
                 1, height);
  const auto strip =
      std::make_unique_for_overwrite<std::uint8_t[]>(stride * static_cast<std::size_t>(strip_rows));
  for (int y = 0; y < height;) {
    const int rows = std::min(strip_rows, height - y);
    {
      const Span span(context, "decode");
      if (Status read = reader.read(strip.get(), rows); !read) return read;
    }
    const Span span(context, "resize");
    for (Resizer* resizer : resizers) {
      if (context.cancelled()) return fail(Errc::cancelled, "cancelled");
      resizer->push(strip.get(), rows);
    }
    y += rows;
    reached = share * y / height;
    context.progress(reached);
  }
  return {};
}

}  // namespace

Result<std::vector<Raster>> decode_to_sizes(std::string_view bytes, const ImageInfo& info,
                                            bool gray, std::span<const Size> sizes,
                                            Context& context, double progress_share) {
  std::vector<Size> stored;  // as the file has it, before it is turned upright
  for (const Size& size : sizes) stored.push_back(oriented(size, info.orientation));

  double reached = 0;
  ReadOptions options{gray, enough_for(stored), [&] {
                        context.progress(reached);  // a sign of life
                        return !context.cancelled();
                      }};
  auto opened = [&] {
    const Span span(context, "decode");  // a progressive JPEG does most of its work here
    return open(bytes, info, options);
  }();
  if (!opened) return std::unexpected(std::move(opened).error());
  Reader& reader = **opened;

  const auto from = plan(stored);
  std::vector<std::optional<Resizer>> resizers(stored.size());
  std::vector<Resizer*> streamed;
  for (std::size_t i = 0; i < stored.size(); ++i)
    if (!from[i])
      streamed.push_back(&resizers[i].emplace(reader.size(), reader.channels(), stored[i]));
  if (Status done = stream(reader, streamed, context, progress_share, reached); !done)
    return std::unexpected(std::move(done).error());

  const Span span(context, "resize");
  std::vector<std::size_t> order(stored.size());  // largest first, so that sources come first
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    return std::pair(stored[b].pixels(), a) < std::pair(stored[a].pixels(), b);
  });
  std::vector<Raster> pictures(stored.size());
  for (const std::size_t i : order)
    pictures[i] = from[i] ? resize(pictures[*from[i]], stored[i]) : resizers[i]->take();
  for (Raster& picture : pictures) picture = orient(std::move(picture), info.orientation);
  return pictures;
}

}  // namespace tallymill::stages::image
