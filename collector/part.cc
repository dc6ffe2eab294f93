#include "collector/part.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <span>

#include "base/check.h"
#include "base/limits.h"
#include "collector/bytes.h"
#include "collector/codec.h"
#include "collector/columns.h"
#include "collector/records.h"

namespace tallymill::collector {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view title = "tmpart 1";
constexpr std::size_t footer_bytes = 68;
constexpr std::size_t entry_bytes = 16;
constexpr std::size_t write_bytes = 1 << 20;

std::string footer_of(const PartInfo& info) {
  std::string footer(title);
  append_word(footer, info.first_ms);
  append_word(footer, info.last_ms);
  append_word(footer, info.samples);
  append_word(footer, info.made_ms);
  append_word(footer, info.segment);
  append_word(footer, info.blocks);
  append_word(footer, info.series);
  append_word(footer, info.unit_bits);
  append_word(footer, info.directory_crc);
  append_word(footer, crc32(footer));
  TM_CHECK(footer.size() == footer_bytes);
  return footer;
}

// Entries, where they lie.
struct Directory {
  std::string_view bytes;
  [[nodiscard]] std::uint32_t word(std::size_t entry, std::size_t which) const {
    return load_word<std::uint32_t>(bytes.data() + entry * entry_bytes + which * 4);
  }
  [[nodiscard]] std::uint32_t series(std::size_t entry) const { return word(entry, 0); }
  [[nodiscard]] std::uint32_t offset(std::size_t entry) const { return word(entry, 1); }
  [[nodiscard]] std::uint32_t crc(std::size_t entry) const { return word(entry, 2); }
  [[nodiscard]] std::uint32_t begin(std::size_t entry) const { return word(entry, 3); }
  [[nodiscard]] std::size_t size() const { return bytes.size() / entry_bytes; }
  // The first entry of this or a later series.
  [[nodiscard]] std::size_t find(std::uint32_t wanted) const {
    std::size_t low = 0;
    std::size_t high = size();
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (series(middle) < wanted)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
};

std::uint64_t since(std::int64_t first_ms, std::int64_t t_ms) {
  return static_cast<std::uint64_t>(t_ms) - static_cast<std::uint64_t>(first_ms);
}

}  // namespace

Part::Part(fs::path file, Mapping mapping, const PartInfo& info)
    : file_(std::move(file)), mapping_(std::move(mapping)), info_(info) {
  directory_ = mapping_.bytes().size() - footer_bytes - info_.blocks * entry_bytes;
}

Result<std::shared_ptr<const Part>> Part::open(fs::path file) {
  auto mapping = Mapping::of(file);
  if (!mapping) return std::unexpected(std::move(mapping).error());
  const std::string_view bytes = mapping->bytes();
  const auto refused = fail(Errc::corrupt, file.string() + " has no footer of a part");
  if (bytes.size() < footer_bytes) return refused;
  const std::string_view footer = bytes.substr(bytes.size() - footer_bytes);
  Reader from(footer);
  PartInfo info;
  const bool titled = from.take(title.size()) == title;
  info.first_ms = from.word<std::int64_t>();
  info.last_ms = from.word<std::int64_t>();
  info.samples = from.word<std::uint64_t>();
  info.made_ms = from.word<std::int64_t>();
  info.segment = from.word<std::uint64_t>();
  info.blocks = from.word<std::uint32_t>();
  info.series = from.word<std::uint32_t>();
  info.unit_bits = from.word<std::uint32_t>();
  info.directory_crc = from.word<std::uint32_t>();
  info.crc = from.word<std::uint32_t>();
  if (!titled || info.crc != crc32(footer.substr(0, footer_bytes - 4)) || info.unit_bits > 63 ||
      info.blocks > (bytes.size() - footer_bytes) / entry_bytes)
    return refused;
  return std::shared_ptr<const Part>(new Part(std::move(file), *std::move(mapping), info));
}

bool Part::directory_is_whole() const {
  Judged judged = judged_.load(std::memory_order_relaxed);
  if (judged == Judged::no) {
    const std::string_view bytes = mapping_.bytes().substr(directory_, info_.blocks * entry_bytes);
    judged = crc32(bytes) == info_.directory_crc ? Judged::whole : Judged::damaged;
    judged_.store(judged, std::memory_order_relaxed);
  }
  return judged == Judged::whole;
}

std::uint64_t Part::read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms,
                         Column& into) const {
  if (from_ms > info_.last_ms || to_ms < info_.first_ms || from_ms > to_ms) return 0;
  if (!directory_is_whole()) return 1;
  const Directory directory{mapping_.bytes().substr(directory_, info_.blocks * entry_bytes)};
  // Where blocks begin is rounded down: one may be read for nothing, none is missed.
  const std::uint64_t last =
      since(info_.first_ms, std::min(to_ms, info_.last_ms)) >> info_.unit_bits;
  const std::uint64_t first =
      from_ms <= info_.first_ms ? 0 : since(info_.first_ms, from_ms) >> info_.unit_bits;
  std::uint64_t damaged = 0;
  for (std::size_t entry = directory.find(series.raw());
       entry < directory.size() && directory.series(entry) == series.raw(); ++entry) {
    if (directory.begin(entry) > last) break;
    const bool more = entry + 1 < directory.size();
    // The next one of the series begins before what is asked for: so this one ends before it.
    if (more && directory.series(entry + 1) == series.raw() && directory.begin(entry + 1) < first)
      continue;
    const std::size_t begin = directory.offset(entry);
    const std::size_t end = more ? directory.offset(entry + 1) : directory_;
    const std::size_t before = into.size();
    const bool placed = begin <= end && end <= directory_;
    const std::string_view block =
        placed ? mapping_.bytes().substr(begin, end - begin) : std::string_view();
    if (!placed || crc32(block) != directory.crc(entry) || !unpack_block(block, into))
      ++damaged;
    else
      keep_between(into, before, from_ms, to_ms);
  }
  return damaged;
}

void Part::mark(std::vector<bool>& series) const {
  if (!directory_is_whole()) return;
  const Directory directory{mapping_.bytes().substr(directory_, info_.blocks * entry_bytes)};
  for (std::size_t entry = 0; entry < directory.size(); ++entry)
    if (directory.series(entry) < series.size()) series[directory.series(entry)] = true;
}

Result<PartWriter> PartWriter::create(fs::path file) {
  fs::path aside = file;
  aside += ".new";
  store::File made(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!made) return store::disk_error("create", aside);
  return PartWriter(std::move(file), std::move(made));
}

PartWriter::~PartWriter() {
  if (aside_) ::unlink(aside().c_str());
}

fs::path PartWriter::aside() const {
  fs::path aside = file_;
  aside += ".new";
  return aside;
}

Status PartWriter::add(SeriesId series, const Column& samples) {
  TM_CHECK(samples.size() > 0 && (entries_.empty() || entries_.back().series < series.raw()));
  if (info_.samples == 0) {
    info_.first_ms = std::numeric_limits<std::int64_t>::max();
    info_.last_ms = std::numeric_limits<std::int64_t>::min();
  }
  info_.first_ms = std::min(info_.first_ms, samples.t_ms.front());
  info_.last_ms = std::max(info_.last_ms, samples.t_ms.back());
  info_.samples += samples.size();
  info_.series = series.raw() + 1;
  for (std::size_t at = 0; at < samples.size(); at += limits::block_samples) {
    const std::size_t count = std::min(limits::block_samples, samples.size() - at);
    const std::size_t begin = unwritten_.size();
    pack_block(std::span(samples.t_ms).subspan(at, count),
               std::span(samples.value).subspan(at, count), unwritten_);
    const std::string_view block = std::string_view(unwritten_).substr(begin);
    if (size_ + unwritten_.size() > limits::part_bytes)
      return fail(Errc::too_big,
                  "a part has at most " + std::to_string(limits::part_bytes) + " bytes");
    entries_.push_back(
        {series.raw(), static_cast<std::uint32_t>(size_ + begin), crc32(block), samples.t_ms[at]});
  }
  if (unwritten_.size() < write_bytes) return {};
  size_ += unwritten_.size();
  auto wrote = store::write_all(aside_.fd(), unwritten_, aside());
  unwritten_.clear();
  return wrote;
}

Result<std::shared_ptr<const Part>> PartWriter::finish(std::int64_t made_ms,
                                                       std::uint64_t segment) {
  info_.made_ms = made_ms;
  info_.segment = segment;
  info_.blocks = static_cast<std::uint32_t>(entries_.size());
  const auto width = static_cast<int>(std::bit_width(since(info_.first_ms, info_.last_ms)));
  info_.unit_bits = static_cast<std::uint32_t>(std::max(0, width - 32));
  const std::size_t directory = unwritten_.size();
  for (const Entry& entry : entries_) {
    append_word(unwritten_, entry.series);
    append_word(unwritten_, entry.offset);
    append_word(unwritten_, entry.crc);
    append_word(unwritten_, static_cast<std::uint32_t>(since(info_.first_ms, entry.first_ms) >>
                                                       info_.unit_bits));
  }
  info_.directory_crc = crc32(std::string_view(unwritten_).substr(directory));
  unwritten_ += footer_of(info_);
  auto stored = store::write_all(aside_.fd(), unwritten_, aside());
  if (stored) stored = store::put_in_place(aside_.fd(), aside(), file_);
  if (!stored) return std::unexpected(std::move(stored).error());
  return Part::open(file_);
}

}  // namespace tallymill::collector
