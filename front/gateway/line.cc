#include "front/gateway/line.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "bus/endpoints.h"
#include "bus/frames.h"

namespace tallymill::gateway {
namespace {

Instant now() { return SystemClock().now(); }

Error error_of(const bus::Failure& failure) {
  return {errc_named(failure.code).value_or(Errc::stage_failed), std::string(failure.message),
          std::string(failure.field), std::chrono::milliseconds(failure.retry_after_ms)};
}

}  // namespace

Result<std::unique_ptr<Line>> Line::open(http::Server& server, zmq::context_t& context,
                                         const std::string& front, const std::string& client) {
  auto socket = bus::open_socket(context, bus::Role::client_jobs, front);
  if (!socket) return std::unexpected(std::move(socket).error());
  std::unique_ptr<Line> line(new Line(server, std::move(*socket), client));
  if (auto said = line->hello(); !said) return std::unexpected(std::move(said).error());
  return line;
}

Line::Line(http::Server& server, zmq::socket_t&& socket, std::string client)
    : server_(server),
      socket_(std::move(socket)),
      client_(std::move(client)),
      fd_(socket_.get(zmq::sockopt::fd)),
      last_used_(now()) {
  server_.watch(fd_, [this] { on_ready(); });
}

Line::~Line() {
  server_.unwatch(fd_);
  give_up(Instant::max());
}

Status Line::hello() {
  refused_.reset();
  const std::int64_t request = expect([this](const Result<const bus::Item*>& said) {
    if (!said) refused_ = said.error();
  });
  auto added = packer_.try_add(bus::Hello{request, client_});
  if (!added) return added;
  send();
  return {};
}

void Line::ask(bus::Verb verb, bus::Ask ask, OnAnswer done) {
  ask.request = expect(std::move(done));
  if (auto added = packer_.try_add(verb, ask); !added)
    return answer(ask.request, std::unexpected(std::move(added).error()));
  send();
}

void Line::submit(bus::Submit submit, std::string_view params, std::vector<zmq::message_t>&& blobs,
                  OnAnswer done) {
  submit.request = expect(std::move(done));
  if (auto added = packer_.try_add(submit, params); !added)
    return answer(submit.request, std::unexpected(std::move(added).error()));
  for (zmq::message_t& blob : blobs) packer_.add_blob(std::move(blob));
  send();
}

void Line::watch(bus::Watch watch, OnAnswer done) {
  watch.request = expect(std::move(done));
  if (auto added = packer_.try_add(watch); !added)
    return answer(watch.request, std::unexpected(std::move(added).error()));
  send();
}

std::int64_t Line::expect(OnAnswer done) {
  last_used_ = now();
  waiting_.emplace(++last_request_, Waiting{last_used_, std::move(done)});
  return last_request_;
}

void Line::send() {
  const std::int64_t request = last_request_;
  if (auto sent = bus::send(socket_, packer_.take()); !sent)
    return answer(
        request,
        std::unexpected(Error{
            Errc::busy, "the front takes no more just now", {}, std::chrono::milliseconds(50)}));
  // The call may have taken in the edge that would have woken us.
  server_.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) on_ready();
  });
}

void Line::on_ready() {
  if (std::exchange(reading_, true)) return;
  while (bus::receive(socket_, frames_)) {
    auto envelope = bus::Envelope::decode(std::move(frames_));
    if (!envelope) {
      log::error("the front said what is no envelope: " + envelope.error().message);
      continue;
    }
    for (const bus::Item& item : envelope->items()) take(item);
  }
  reading_ = false;
}

void Line::take(const bus::Item& item) {
  switch (item.verb) {
    case bus::Verb::welcome:
      if (const auto said = bus::read<bus::Welcome>(item)) answer(said->request, &item);
      return;
    case bus::Verb::accepted:
      if (const auto said = bus::read<bus::Accepted>(item)) answer(said->request, &item);
      return;
    case bus::Verb::reply:
      if (const auto said = bus::read<bus::Reply>(item)) answer(said->request, &item);
      return;
    case bus::Verb::error:
      // What it answers to one that it refused is about the wire, and says nothing to who asked.
      if (const auto said = bus::read<bus::Failure>(item))
        answer(said->request, std::unexpected(refused_ ? *refused_ : error_of(*said)));
      return;
    default:
      if (happened_) happened_(item);
  }
}

void Line::answer(std::int64_t request, Result<const bus::Item*> said) {
  const auto found = waiting_.find(request);
  if (found == waiting_.end()) return;
  const OnAnswer done = std::move(found->second.done);
  waiting_.erase(found);
  done(std::move(said));
}

void Line::give_up(Instant before) {
  while (!waiting_.empty() && waiting_.begin()->second.since < before)
    answer(
        waiting_.begin()->first,
        fail(Errc::away, "the front gave no answer: whether it did what was asked is not known"));
}

Result<Line*> Lines::of(const std::string& client) {
  if (const auto known = lines_.find(client); known != lines_.end()) {
    Line& line = *known->second;
    // On the same socket: another would have to connect first, and be refused for that again.
    if (line.refused() && line.waiting() == 0)
      if (auto said = line.hello(); !said) return std::unexpected(std::move(said).error());
    return &line;
  }
  if (lines_.size() >= limits::gateway_lines) {
    auto idle = lines_.end();
    for (auto at = lines_.begin(); at != lines_.end(); ++at)
      if (at->second->waiting() == 0 &&
          (idle == lines_.end() || at->second->last_used() < idle->second->last_used()))
        idle = at;
    if (idle == lines_.end())
      return std::unexpected(Error{
          Errc::busy, "as many clients ask at once as may", {}, std::chrono::milliseconds(100)});
    lines_.erase(idle);
  }
  auto line = Line::open(server_, context_, front_, client);
  if (!line) return std::unexpected(std::move(line).error());
  return lines_.emplace(client, std::move(*line)).first->second.get();
}

void Lines::give_up_old() {
  for (auto& [name, line] : lines_) line->give_up(now() - limits::gateway_answer);
}

}  // namespace tallymill::gateway
