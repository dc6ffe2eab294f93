#include "stages/reports.h"

#include <cstdint>
#include <utility>

#include "base/schema.h"
#include "base/text.h"
#include "stages/share.h"

namespace tallymill::stages {

namespace {

void append_big_endian(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>((value >> shift) & 0xff);
}

// Shortest form that any reader takes.
void append_number(std::string& out, std::int64_t number) {
  const auto value = static_cast<std::uint64_t>(number);
  if (number >= 0 && number < 128) {
    out += static_cast<char>(value);
  } else if (number >= 0 && number <= 0xffff'ffff) {
    out += '\xce';
    append_big_endian(out, value, 4);
  } else {
    out += '\xd3';
    append_big_endian(out, value, 8);
  }
}

void append_held(std::string& out, std::span<const Desk::Listed> held) {
  out += "\xa4held";
  out += '\xdd';
  append_big_endian(out, held.size(), 4);
  for (const Desk::Listed& entry : held) {
    out += '\x94';
    append_number(out, entry.token.job);
    append_number(out, entry.token.epoch);
    append_number(out, entry.token.attempt);
    append_number(out, static_cast<std::int64_t>(entry.phase));
  }
}

}  // namespace

std::string held_params(std::span<const Desk::Listed> held) {
  std::string out = "\x81";
  out.reserve(16 + held.size() * 16);
  append_held(out, held);
  return out;
}

std::string hello_params(std::span<const Desk::Listed> held, std::span<const StageKind> kinds) {
  nlohmann::json list = nlohmann::json::array();
  for (const StageKind& kind : kinds) list.push_back(to_json(kind.spec));
  std::string out = "\x82";
  append_held(out, held);
  out += "\xa5kinds";
  nlohmann::json::to_msgpack(list, out);
  return out;
}

bool repack_result(const Desk::Again& again, bus::Packer& packer) {
  bus::Frames frames;
  for (const zmq::message_t& frame : again.sent->frames) frames.push_back(share(frame));
  const auto envelope = bus::Envelope::decode(std::move(frames));
  if (!envelope || again.index >= envelope->items().size()) return false;
  const bus::Item& item = envelope->items()[again.index];
  const auto done = bus::read<bus::Done>(item);
  if (!done || !packer.try_add(*done, item.params)) return false;
  for (const zmq::message_t& blob : item.blobs) packer.add_blob(share(blob));
  return true;
}

std::shared_ptr<const Sent> stopped_result(const Shared& shared, const HeldJob& job, Stop why) {
  const bool late = why == Stop::expired;
  bus::Done done{
      .token = job.token,
      .worker = shared.incarnation,
      .outcome = "stopped",
      .code = info(late ? Errc::deadline : Errc::cancelled).name,
      .message = late ? "the deadline passed before it started" : "cancelled before it started",
      .hops = job.work.hops};
  if (done.hops.size() <= static_cast<std::size_t>(job.work.hop)) done.hops.emplace_back();
  bus::Hop& hop = done.hops.back();
  hop.stage = shared.stage;
  hop.worker = shared.incarnation;
  hop.received_ns = shared.offset.to_front(to_ns(job.received));
  hop.handed_ns = shared.offset.to_front(to_ns(shared.clock.now()));
  hop.clock_error_ns = shared.offset.error_ns();
  bus::Packer packer;
  packer.add(done);
  auto sent = std::make_shared<Sent>();
  sent->frames = packer.take();
  return sent;
}

void add_preview(Notice& notice, bus::Packer& packer) {
  clean_text(notice.file.name, limits::file_name_bytes);
  clean_text(notice.file.media_type, limits::file_name_bytes);
  const auto bytes = static_cast<std::int64_t>(notice.file.bytes.size());
  packer.add(bus::Live{.token = notice.token,
                       .preview = {{notice.file.name, notice.file.media_type, {}, bytes, 0}}});
  packer.add_blob(zmq::message_t(notice.file.bytes.data(), notice.file.bytes.size()));
}

}  // namespace tallymill::stages
