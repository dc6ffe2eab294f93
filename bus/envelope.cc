#include "bus/envelope.h"

#include <fmt/format.h>

#include <limits>

#include "base/check.h"
#include "base/limits.h"
#include "bus/field_codec.h"
#include "bus/msgpack_reader.h"

namespace tallymill::bus {
namespace {

constexpr std::string_view empty_map = "\x80";
constexpr std::size_t frames_before_blobs = 3;
// A packer lives as long as its connection: what one large batch needed does not stay with each of
// them.
constexpr std::size_t kept_bytes = 64 << 10;

std::size_t size_of(Bytes bytes) { return static_cast<std::size_t>(bytes.raw()); }

std::string_view text_of(const zmq::message_t& frame) {
  return {static_cast<const char*>(frame.data()), frame.size()};
}

Status check_frames(const Frames& frames);

// What the envelope itself needs of one header.
struct HeaderScan {
  Verb verb = Verb::ping;
  std::int64_t count = 1;  // "N"
  std::int64_t blobs = 0;  // "B"
};
Status scan_header(MsgpackReader& in, HeaderScan& scan);

}  // namespace

Result<Envelope> Envelope::decode(Frames&& untrusted) {
  if (auto ok = check_frames(untrusted); !ok) return std::unexpected(std::move(ok).error());
  Envelope envelope;
  envelope.frames_ = std::move(untrusted);
  const Frames& frames = envelope.frames_;

  MsgpackReader headers(text_of(frames[1]));
  const bool has_params = frames.size() > 2 && frames[2].size() > 0;
  MsgpackReader params(has_params ? text_of(frames[2]) : std::string_view{});
  std::size_t blobs_taken = 0;
  const std::size_t blobs =
      frames.size() > frames_before_blobs ? frames.size() - frames_before_blobs : 0;

  std::size_t count = 1;
  for (std::size_t i = 0; i < count; ++i) {
    Item item;
    HeaderScan scan;
    const char* begin = headers.at();
    if (auto ok = scan_header(headers, scan); !ok) return std::unexpected(std::move(ok).error());
    item.verb = scan.verb;
    item.header = {begin, static_cast<std::size_t>(headers.at() - begin)};
    if (item.header.size() > size_of(limits::header_bytes))
      return fail(Errc::too_big, fmt::format("a header of {} bytes", item.header.size()));
    if (i == 0) {
      if (scan.count < 1) return fail(Errc::bad_frame, "the header's count is not positive", "/N");
      if (scan.count > static_cast<std::int64_t>(limits::batch_jobs))
        return fail(Errc::too_big, fmt::format("{} messages in one envelope", scan.count), "/N");
      count = static_cast<std::size_t>(scan.count);
      // Each header takes two bytes at least ("t" would take more): no memory for a mere claim.
      if (count - 1 > headers.left())
        return fail(Errc::bad_frame, "the header frame ends before its last message", "/N");
      envelope.items_.reserve(count);
    }

    if (has_params) {
      begin = params.at();
      if (!params.skip())
        return fail(Errc::bad_frame, fmt::format("params of message {}: not msgpack, cut off or "
                                                 "nested deeper than {}",
                                                 i, limits::msgpack_depth));
      item.params = {begin, static_cast<std::size_t>(params.at() - begin)};
      if (item.params.size() > size_of(limits::params_bytes))
        return fail(Errc::too_big, fmt::format("params of {} bytes", item.params.size()));
    } else {
      item.params = empty_map;
    }

    if (scan.blobs < 0) return fail(Errc::bad_frame, "a negative number of blobs", "/B");
    if (scan.blobs > static_cast<std::int64_t>(limits::item_blobs))
      return fail(Errc::too_big, fmt::format("{} blobs for one message", scan.blobs), "/B");
    const auto owned = static_cast<std::size_t>(scan.blobs);
    if (owned > blobs - blobs_taken)
      return fail(Errc::bad_frame, "a header owns more blobs than came", "/B");
    if (owned > 0) item.blobs = std::span(frames).subspan(frames_before_blobs + blobs_taken, owned);
    blobs_taken += owned;
    envelope.items_.push_back(item);
  }
  if (!headers.at_end()) return fail(Errc::bad_frame, "bytes after the last header");
  if (!params.at_end()) return fail(Errc::bad_frame, "bytes after the last params");
  if (blobs_taken != blobs) return fail(Errc::bad_frame, "blobs that no header owns");
  return envelope;
}

template <class M>
Status read_into(const Item& item, M& into) {
  MsgpackReader in(item.header);
  std::string_view bad_field;
  if (!read_map(in, into, bad_field)) [[unlikely]]
    return fail(Errc::bad_frame,
                fmt::format("{}: {}", name_of(item.verb),
                            bad_field.empty()
                                ? "not a map of fields"
                                : fmt::format("field '{}' has a wrong type or range", bad_field)),
                bad_field.empty() ? std::string() : fmt::format("/{}", bad_field));
  return {};
}

template <class M>
Result<M> read(const Item& item) {
  Result<M> message;
  if (auto ok = read_into(item, *message); !ok) message = std::unexpected(std::move(ok).error());
  return message;
}

struct Packer::State {
  Buffer headers;
  Buffer params;
  Frames blobs;
  std::size_t messages = 0;
  std::size_t blob_bytes = 0;
  std::size_t first_end = 0;   // of the first header
  std::size_t last_begin = 0;  // of the last header
  std::size_t last_blobs = 0;  // of the last message
};

namespace {

// The two bytes of a map16's length, or the low half of a fixmap: one more pair. The writer chose a
// format that has room for it.
void count_one_more_pair(char* map) {
  if (static_cast<std::uint8_t>(*map) == 0xde) {
    ++map[2];
    TM_CHECK(map[2] != 0);
  } else {
    TM_CHECK((*map & 0x0f) < 15);
    ++*map;
  }
}

// A map with room for the envelope's "N" and "B", which come when the rest is known.
template <class M>
void write_header(Buffer& out, Verb verb, const M& message) {
  M& fields_of = const_cast<M&>(message);
  FieldCounter count;
  fields_of.fields(count);
  const std::uint32_t pairs = count.fields + 1;
  if (pairs + 2 <= 15) {
    const char fixmap = static_cast<char>(0x80 | pairs);
    out.append({&fixmap, 1});
  } else {
    const char map16[3] = {static_cast<char>(0xde), 0, static_cast<char>(pairs)};
    out.append({map16, sizeof map16});
  }
  FieldWriter write(out);
  write.key("t");
  write.put(name_of(verb));
  fields_of.fields(write);
}

}  // namespace

Packer::Packer() : state_(std::make_unique<State>()) {}
Packer::~Packer() = default;
Packer::Packer(Packer&&) noexcept = default;
Packer& Packer::operator=(Packer&&) noexcept = default;

template <class M>
Status Packer::try_add(Verb verb, const M& message, std::string_view params) {
  State& s = *state_;
  if (params.size() > size_of(limits::params_bytes)) [[unlikely]]
    return fail(Errc::too_big, fmt::format("{}: params of {} bytes", name_of(verb), params.size()));
  const std::size_t begin = s.headers.size();
  write_header(s.headers, verb, message);
  const std::size_t header = s.headers.size() - begin;
  // Room for "N" and "B", which are written later.
  if (header + 16 > size_of(limits::header_bytes)) [[unlikely]] {
    s.headers.truncate(begin);
    return fail(Errc::too_big, fmt::format("{}: a header of {} bytes", name_of(verb), header));
  }
  s.last_begin = begin;
  s.last_blobs = 0;
  if (s.messages++ == 0) s.first_end = s.headers.size();
  s.params.append(params.empty() ? empty_map : params);
  return {};
}

template <class M>
void Packer::add(Verb verb, const M& message, std::string_view params) {
  const auto added = try_add(verb, message, params);
  TM_CHECK(added.has_value());
}

std::int32_t Packer::add_blob(zmq::message_t&& blob) {
  State& s = *state_;
  TM_CHECK(s.messages > 0);
  TM_CHECK(s.last_blobs < limits::item_blobs);
  TM_CHECK(blob.size() <= size_of(limits::frame_bytes));
  const auto index = static_cast<std::int32_t>(s.last_blobs++);
  if (index == 0) {
    count_one_more_pair(s.headers.data() + s.last_begin);
    const char entry[4] = {static_cast<char>(0xa1), 'B', static_cast<char>(0xcc), 0};
    s.headers.append({entry, sizeof entry});
    if (s.messages == 1) s.first_end = s.headers.size();
  }
  s.headers.data()[s.headers.size() - 1] = static_cast<char>(s.last_blobs);
  s.blob_bytes += blob.size();
  s.blobs.push_back(std::move(blob));
  return index;
}

std::size_t Packer::size() const { return state_->messages; }

std::size_t Packer::bytes() const {
  return state_->headers.size() + state_->params.size() + state_->blob_bytes;
}

bool Packer::full() const {
  return size() >= limits::batch_jobs || bytes() >= size_of(limits::batch_bytes) ||
         state_->blobs.size() + limits::item_blobs > limits::batch_blobs;
}

Frames Packer::take() {
  State& s = *state_;
  TM_CHECK(s.messages > 0 && s.messages <= limits::batch_jobs);
  const std::string_view headers = s.headers.view();
  Frames frames;
  frames.reserve(frames_before_blobs + s.blobs.size());
  frames.emplace_back(protocol_v1.data(), protocol_v1.size());
  if (s.messages == 1) {
    frames.emplace_back(headers.data(), headers.size());
  } else {
    count_one_more_pair(s.headers.data());
    const char entry[5] = {static_cast<char>(0xa1), 'N', static_cast<char>(0xcd),
                           static_cast<char>(s.messages >> 8), static_cast<char>(s.messages)};
    zmq::message_t& frame = frames.emplace_back(headers.size() + sizeof entry);
    char* out = static_cast<char*>(frame.data());
    std::memcpy(out, headers.data(), s.first_end);
    std::memcpy(out + s.first_end, entry, sizeof entry);
    std::memcpy(out + s.first_end + sizeof entry, headers.data() + s.first_end,
                headers.size() - s.first_end);
  }
  frames.emplace_back(s.params.view().data(), s.params.size());
  for (zmq::message_t& blob : s.blobs) frames.push_back(std::move(blob));
  s.headers.clear(kept_bytes);
  s.params.clear(kept_bytes);
  s.blobs.clear();
  s.messages = 0;
  s.blob_bytes = 0;
  return frames;
}

// NOLINTBEGIN(bugprone-macro-parentheses): a type takes none
#define TM_INSTANTIATE(M)                                         \
  template Result<M> read<M>(const Item&);                        \
  template Status read_into<M>(const Item&, M&);                  \
  template void Packer::add<M>(Verb, const M&, std::string_view); \
  template Status Packer::try_add<M>(Verb, const M&, std::string_view);
TM_MESSAGE_TABLE(TM_INSTANTIATE)
// NOLINTEND(bugprone-macro-parentheses)
#undef TM_INSTANTIATE

namespace {

Status check_frames(const Frames& frames) {
  if (frames.empty() || text_of(frames[0]) != protocol_v1) {
    if (!frames.empty() && frames[0].size() == 2 && text_of(frames[0])[0] == 'T' &&
        text_of(frames[0])[1] >= '0' && text_of(frames[0])[1] <= '9')
      return fail(Errc::version,
                  fmt::format("this end speaks {}, the other {}", protocol_v1, text_of(frames[0])));
    return fail(Errc::bad_frame, "the first frame is not the protocol's name");
  }
  if (frames.size() < 2) return fail(Errc::bad_frame, "no header frame");
  if (frames.size() > frames_before_blobs + limits::batch_blobs)
    return fail(Errc::too_big, fmt::format("{} frames", frames.size()));
  std::size_t total = 0;
  for (const zmq::message_t& frame : frames) {
    if (frame.size() > size_of(limits::frame_bytes))
      return fail(Errc::too_big, fmt::format("a frame of {} bytes", frame.size()));
    total += frame.size();
  }
  if (frames[1].size() > size_of(limits::header_frame_bytes))
    return fail(Errc::too_big, fmt::format("headers of {} bytes", frames[1].size()));
  if (total > size_of(limits::envelope_bytes))
    return fail(Errc::too_big, fmt::format("an envelope of {} bytes", total));
  return {};
}

Status scan_header(MsgpackReader& in, HeaderScan& scan) {
  std::uint32_t pairs = 0;
  if (!in.map(pairs)) return fail(Errc::bad_frame, "a header is not a msgpack map");
  if (pairs > limits::header_keys)
    return fail(Errc::bad_frame, fmt::format("a header of {} keys", pairs));
  std::string_view verb;
  for (; pairs > 0; --pairs) {
    std::string_view key;
    if (!in.read(key)) return fail(Errc::bad_frame, "a header's key is not text");
    bool ok = false;
    if (key.size() == 1 && key[0] == 't')
      ok = in.read(verb);
    else if (key.size() == 1 && key[0] == 'N')
      ok = in.read(scan.count);
    else if (key.size() == 1 && key[0] == 'B')
      ok = in.read(scan.blobs);
    else
      ok = in.skip(limits::msgpack_depth - 1);
    if (!ok) [[unlikely]]
      return fail(Errc::bad_frame, "a header's value is not msgpack, cut off or nested too deep");
  }
  if (!verb_named(verb, scan.verb))
    return fail(Errc::bad_frame, "a header names no verb of this version", "/t");
  return {};
}

}  // namespace
}  // namespace tallymill::bus
