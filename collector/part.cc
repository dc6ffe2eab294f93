#include "collector/part.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
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

constexpr std::string_view title = "tmpart 2";
constexpr std::size_t footer_bytes = 88;
constexpr std::size_t entry_bytes = 16;
constexpr std::uint32_t page_entries = 64;
constexpr std::size_t write_bytes = 1 << 20;

std::string footer_of(const PartInfo& info) {
  std::string footer(title);
  append_word(footer, info.first_ms);
  append_word(footer, info.last_ms);
  append_word(footer, info.samples);
  append_word(footer, info.made_ms);
  append_word(footer, info.oldest_ms);
  append_word(footer, info.segment);
  append_word(footer, info.own_samples);
  append_word(footer, info.blocks);
  append_word(footer, info.series);
  append_word(footer, info.unit_bits);
  append_word(footer, info.step_ms);
  append_word(footer, info.directory_crc);
  append_word(footer, crc32(footer));
  TM_CHECK(footer.size() == footer_bytes);
  return footer;
}

struct Entry {
  std::uint32_t series;
  std::uint32_t offset;
  std::uint32_t crc;
  std::uint32_t begin;
};

std::uint64_t since(std::int64_t first_ms, std::int64_t t_ms) {
  return static_cast<std::uint64_t>(t_ms) - static_cast<std::uint64_t>(first_ms);
}

}  // namespace

// Reads entries of the directory, one after the other. It holds a page of its own, since what the
// disk gave is gone at the next read.
class Part::Cursor {
 public:
  explicit Cursor(const Part& part) : part_(part) {}

  // False: it cannot be read, or is not what it was when it was judged.
  [[nodiscard]] bool read(std::uint32_t at, Entry& entry) {
    if (at / page_entries != page_ && !load(at / page_entries)) return false;
    std::memcpy(&entry, bytes_.data() + at % page_entries * entry_bytes, sizeof entry);
    return true;
  }

 private:
  bool load(std::uint32_t page) {
    const std::uint32_t first = page * page_entries;
    const std::size_t size =
        std::min(page_entries, part_.info_.blocks - first) * std::size_t{entry_bytes};
    const auto bytes = part_.disk_.read(DiskFile::Stream::second,
                                        part_.directory_ + first * std::size_t{entry_bytes}, size);
    if (!bytes || crc32(*bytes) != part_.pages_[page].crc) return false;
    std::memcpy(bytes_.data(), bytes->data(), size);
    page_ = page;
    return true;
  }

  const Part& part_;
  std::uint32_t page_ = std::numeric_limits<std::uint32_t>::max();
  std::array<char, page_entries * entry_bytes> bytes_;
};

Part::Part(fs::path file, DiskFile disk, const PartInfo& info)
    : file_(std::move(file)), disk_(std::move(disk)), info_(info) {
  directory_ = disk_.size() - footer_bytes - info_.blocks * std::uint64_t{entry_bytes};
}

Result<std::shared_ptr<const Part>> Part::open(fs::path file) {
  auto disk = DiskFile::open(file);
  if (!disk) return std::unexpected(std::move(disk).error());
  const auto refused = fail(Errc::corrupt, file.string() + " has no footer of a part");
  if (disk->size() < footer_bytes) return refused;
  const auto read = disk->read(DiskFile::Stream::first, disk->size() - footer_bytes, footer_bytes);
  if (!read) return refused;
  const std::string_view footer = *read;
  Reader from(footer);
  PartInfo info;
  const bool titled = from.take(title.size()) == title;
  info.first_ms = from.word<std::int64_t>();
  info.last_ms = from.word<std::int64_t>();
  info.samples = from.word<std::uint64_t>();
  info.made_ms = from.word<std::int64_t>();
  info.oldest_ms = from.word<std::int64_t>();
  info.segment = from.word<std::uint64_t>();
  info.own_samples = from.word<std::uint64_t>();
  info.blocks = from.word<std::uint32_t>();
  info.series = from.word<std::uint32_t>();
  info.unit_bits = from.word<std::uint32_t>();
  info.step_ms = from.word<std::uint32_t>();
  info.directory_crc = from.word<std::uint32_t>();
  info.crc = from.word<std::uint32_t>();
  if (!titled || info.crc != crc32(footer.substr(0, footer_bytes - 4)) || info.unit_bits > 63 ||
      info.blocks > (disk->size() - footer_bytes) / entry_bytes || info.series > limits::series_ids)
    return refused;
  return std::shared_ptr<const Part>(new Part(std::move(file), *std::move(disk), info));
}

bool Part::directory_is_whole() const {
  std::call_once(judged_, [this] {
    std::vector<Page> pages;
    std::uint32_t crc = 0;
    for (std::uint32_t at = 0; at < info_.blocks; at += page_entries) {
      const auto bytes =
          disk_.read(DiskFile::Stream::second, directory_ + at * std::uint64_t{entry_bytes},
                     std::min(page_entries, info_.blocks - at) * std::size_t{entry_bytes});
      if (!bytes) return;
      crc = crc32(*bytes, crc);
      pages.push_back({load_word<std::uint32_t>(bytes->data()), crc32(*bytes)});
    }
    if (crc == info_.directory_crc) pages_ = std::move(pages);
  });
  return !pages_.empty() || info_.blocks == 0;
}

// Where the first entry of this or a later series may be.
std::uint32_t Part::first_page(SeriesId series) const {
  const auto at = std::ranges::lower_bound(pages_, series.raw(), {}, &Page::first_series);
  return static_cast<std::uint32_t>(at - pages_.begin()) - (at == pages_.begin() ? 0 : 1);
}

std::uint64_t Part::read(SeriesId series, std::int64_t from_ms, std::int64_t to_ms, Column& into,
                         std::size_t enough) const {
  if (from_ms > info_.last_ms || to_ms < info_.first_ms || from_ms > to_ms) return 0;
  if (!directory_is_whole()) return 1;
  // Where blocks begin is rounded down: one may be read for nothing, none is missed.
  const std::uint64_t last =
      since(info_.first_ms, std::min(to_ms, info_.last_ms)) >> info_.unit_bits;
  const std::uint64_t first =
      from_ms <= info_.first_ms ? 0 : since(info_.first_ms, from_ms) >> info_.unit_bits;
  Cursor cursor(*this);
  Entry entry{};
  std::uint32_t at = first_page(series) * page_entries;
  for (;; ++at) {
    if (at >= info_.blocks) return 0;
    if (!cursor.read(at, entry)) return 1;
    if (entry.series >= series.raw()) break;
  }
  std::uint64_t damaged = 0;
  while (entry.series == series.raw() && entry.begin <= last) {
    const bool more = ++at < info_.blocks;
    Entry next{};
    if (more && !cursor.read(at, next)) return damaged + 1;
    // If the next one of the series begins before what is asked for, this one ends before it.
    const bool before = more && next.series == series.raw() && next.begin < first;
    const std::uint64_t end = more ? next.offset : directory_;
    if (!before && !read_block(entry.offset, end, entry.crc, from_ms, to_ms, into)) ++damaged;
    if (!more || into.size() >= enough) break;
    entry = next;
  }
  return damaged;
}

bool Part::read_block(std::uint64_t begin, std::uint64_t end, std::uint32_t crc,
                      std::int64_t from_ms, std::int64_t to_ms, Column& into) const {
  if (begin > end || end > directory_ || end - begin > limits::block_bytes) return false;
  const auto block = disk_.read(DiskFile::Stream::first, begin, end - begin);
  const std::size_t before = into.size();
  if (!block || crc32(*block) != crc || !unpack_block(*block, into)) return false;
  keep_between(into, before, from_ms, to_ms);
  return true;
}

bool Part::mark(std::vector<bool>& series) const {
  std::vector<SeriesId> ids;
  if (!list(ids)) return false;
  for (const SeriesId id : ids)
    if (id.raw() < series.size()) series[id.raw()] = true;
  return true;
}

bool Part::list(std::vector<SeriesId>& into) const {
  if (!directory_is_whole()) return false;
  Cursor cursor(*this);
  Entry entry{};
  for (std::uint32_t at = 0; at < info_.blocks; ++at) {
    if (!cursor.read(at, entry)) return false;
    if (into.empty() || into.back().raw() != entry.series) into.emplace_back(entry.series);
  }
  return true;
}

Result<PartWriter> PartWriter::create(fs::path file, std::uint64_t most) {
  fs::path aside = file;
  aside += ".new";
  store::File made(::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640));
  if (!made) return store::disk_error("create", aside);
  return PartWriter(std::move(file), std::move(made), most);
}

PartWriter::~PartWriter() {
  if (aside_) ::unlink(aside().c_str());
}

fs::path PartWriter::aside() const {
  fs::path aside = file_;
  aside += ".new";
  return aside;
}

Status PartWriter::add(SeriesId series, const Column& samples, Origin origin) {
  TM_CHECK(samples.size() > 0 && (entries_.empty() || entries_.back().series < series.raw()));
  if (info_.samples == 0) {
    info_.first_ms = std::numeric_limits<std::int64_t>::max();
    info_.last_ms = std::numeric_limits<std::int64_t>::min();
  }
  info_.first_ms = std::min(info_.first_ms, samples.t_ms.front());
  info_.last_ms = std::max(info_.last_ms, samples.t_ms.back());
  info_.samples += samples.size();
  if (origin == Origin::own_bus) info_.own_samples += samples.size();
  info_.series = series.raw() + 1;
  for (std::size_t at = 0; at < samples.size(); at += limits::block_samples) {
    const std::size_t count = std::min(limits::block_samples, samples.size() - at);
    const std::size_t begin = unwritten_.size();
    pack_block(std::span(samples.t_ms).subspan(at, count),
               std::span(samples.value).subspan(at, count), unwritten_);
    const std::string_view block = std::string_view(unwritten_).substr(begin);
    if (size_ + unwritten_.size() > most_)
      return fail(Errc::too_big, "a part has at most " + std::to_string(most_) + " bytes");
    entries_.push_back(
        {series.raw(), static_cast<std::uint32_t>(size_ + begin), crc32(block), samples.t_ms[at]});
  }
  if (unwritten_.size() < write_bytes) return {};
  size_ += unwritten_.size();
  auto wrote = store::write_all(aside_.fd(), unwritten_, aside());
  unwritten_.clear();
  return wrote;
}

Result<std::shared_ptr<const Part>> PartWriter::finish(const PartSource& source) {
  static_cast<PartSource&>(info_) = source;
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
