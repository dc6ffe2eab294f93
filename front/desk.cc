#include "front/desk.h"

#include <algorithm>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"

namespace tallymill::front {

Desk::Desk(zmq::socket_t& router) : router_(router), outgoing_(std::make_shared<bus::Outgoing>()) {}

ConnId Desk::conn_of(const bus::Route& route, Instant now) {
  auto [entry, fresh] = by_peer_.try_emplace(route.peer, next_conn_);
  if (!fresh) {
    Conn& known = conns_.at(entry->second);
    known.last_seen = now;
    known.gone = false;
    return entry->second;
  }
  const ConnId id = next_conn_++;
  Conn conn;
  conn.route = route;
  conn.last_seen = now;
  conn.outgoing = std::make_shared<bus::Outgoing>(outgoing_);
  conns_.emplace(id, std::move(conn));
  if (conns_.size() > limits::connections) {
    const auto oldest = std::ranges::min_element(
        conns_, {}, [](const auto& pair) { return pair.second.last_seen; });
    forget(oldest->first);
  }
  return id;
}

Conn* Desk::find(ConnId id) {
  const auto entry = conns_.find(id);
  return entry == conns_.end() ? nullptr : &entry->second;
}

void Desk::forget(ConnId id) {
  const auto entry = conns_.find(id);
  TM_CHECK(entry != conns_.end());
  by_peer_.erase(entry->second.route.peer);
  std::erase(everyones_, id);
  unwatch_client(id, entry->second.client);
  if (!entry->second.name.empty()) let_go_.push_back(entry->second.client);
  for (const std::int64_t job : entry->second.ids) unwatch_job(id, job);
  behind_.erase(id);
  conns_.erase(entry);
}

ReplyTo Desk::ask(ConnId conn, std::int64_t request) { return keep({conn, request}); }

std::optional<ReplyTo> Desk::ask_submit(ConnId id, std::int64_t request, Bytes size) {
  Conn* conn = find(id);
  TM_CHECK(conn != nullptr);
  if (conn->open_submits >= limits::submit_window_jobs) return std::nullopt;
  if (conn->open_submits > 0 && conn->open_bytes + size > limits::submit_window_bytes)
    return std::nullopt;
  ++conn->open_submits;
  conn->open_bytes += size;
  return keep({id, request, size});
}

ReplyTo Desk::keep(const Asked& asked) {
  if (free_.empty()) {
    asked_.push_back(asked);
    return asked_.size();
  }
  const std::uint32_t slot = free_.back();
  free_.pop_back();
  asked_[slot] = asked;
  return slot + 1U;
}

Desk::Asked Desk::answer(ReplyTo handle) {
  TM_CHECK(handle > 0 && handle <= asked_.size());
  const auto slot = static_cast<std::uint32_t>(handle - 1);
  free_.push_back(slot);
  const Asked asked = std::exchange(asked_[slot], Asked{});
  if (Conn* conn = asked.of_window ? find(asked.conn) : nullptr; conn != nullptr) {
    --conn->open_submits;
    conn->open_bytes -= *asked.of_window;
  }
  return asked;
}

void Desk::mark(ConnId id, Conn& conn) {
  if (std::exchange(conn.dirty, true)) return;
  dirty_.push_back(id);
}

void Desk::fail(ConnId id, std::int64_t request, JobId job, const Error& error) {
  // An error may quote what somebody sent.
  std::string message = error.message;
  std::string field = error.field;
  clean_text(message, limits::error_text_bytes);
  clean_text(field, limits::error_text_bytes);
  TM_CHECK(send(id, bus::Failure{request, job.raw(), info(error.code).name, message, field,
                                 error.retry_after.count()}));
}

bool Desk::send_end(ConnId id, const bus::Event& end, std::string_view params,
                    std::span<const std::string_view> blobs) {
  Conn* conn = find(id);
  if (conn == nullptr) return true;
  if (!conn->lost.empty()) {
    conn->lost.add(end.seq);
    return true;
  }
  if (!send(id, end, params, blobs)) return false;
  conn->packed.add(end.seq);
  return true;
}

void Desk::send_gap(ConnId id, const SeqRange& ends) {
  Conn* conn = find(id);
  if (conn == nullptr) return;
  if (!conn->lost.empty()) return conn->lost.add(ends);
  send(id, bus::Gap{conn->watch, ends.from, ends.to});
  conn->packed.add(ends);
}

bool Desk::has_room(ConnId id, Bytes size) {
  const Conn* conn = find(id);
  if (conn == nullptr) return false;
  const Bytes packed(static_cast<std::int64_t>(conn->out.bytes()));
  const Bytes own = conn->outgoing->bytes() + packed;
  // Who reads is served, however many others do not.
  if (own == Bytes(0) || own + size <= limits::client_out_share) return true;
  return own + size <= limits::client_out_bytes &&
         outgoing_->bytes() + packed + size <= limits::clients_out_bytes;
}

void Desk::flush(ConnId id, Conn& conn) {
  if (conn.out.empty()) return;
  const bool room = has_room(id, Bytes(0)) || conn.outgoing->bytes() == Bytes(0);
  bus::Frames frames = conn.out.take();
  if (!room || (!conn.lost.empty() && !tell_gap(id, conn))) return lose(id, conn);
  bus::track(frames, conn.outgoing);
  if (auto sent = bus::send(router_, conn.route, std::move(frames)); !sent) {
    mark_gone(id, conn, sent.error());
    return lose(id, conn);
  }
  conn.packed = {};
}

void Desk::lose(ConnId id, Conn& conn) {
  ++dropped_;
  conn.lost.add(std::exchange(conn.packed, {}));
  if (!conn.lost.empty()) behind_.insert(id);
}

// Half of its window must be free: else a slow client's pipe would fill with gaps.
bool Desk::tell_gap(ConnId id, Conn& conn) {
  if (!has_room(id, Bytes(limits::client_out_bytes.raw() / 2))) return false;
  bus::Packer packer;
  packer.add(bus::Gap{conn.watch, conn.lost.from, conn.lost.to});
  if (auto sent = bus::send(router_, conn.route, packer.take()); !sent) {
    mark_gone(id, conn, sent.error());
    return false;
  }
  conn.lost = {};
  behind_.erase(id);
  return true;
}

void Desk::tell_gaps() {
  const std::vector<ConnId> behind(behind_.begin(), behind_.end());
  for (const ConnId id : behind) (void)tell_gap(id, *find(id));
  flush();
}

// Not forgotten at once: somebody may be going through the watchers just now.
void Desk::mark_gone(ConnId id, Conn& conn, const Error& error) {
  if (error.code != Errc::away || std::exchange(conn.gone, true)) return;
  gone_.push_back(id);
}

void Desk::flush() {
  for (const ConnId id : dirty_)
    if (Conn* conn = find(id)) {
      conn->dirty = false;
      flush(id, *conn);
    }
  dirty_.clear();
  for (const ConnId id : std::exchange(gone_, {}))
    if (const Conn* conn = find(id); conn != nullptr && conn->gone) forget(id);
}

void Desk::introduce(ConnId id, const std::string& name, ClientId client) {
  Conn& conn = conns_.at(id);
  if (!conn.name.empty()) let_go_.push_back(conn.client);
  if (conn.client != client) {
    unwatch_client(id, conn.client);
    conn.watches_all = false;
  }
  conn.name = name;
  conn.client = client;
}

void Desk::unwatch_client(ConnId id, ClientId client) {
  const auto watchers = by_client_.find(client);
  if (watchers == by_client_.end()) return;
  std::erase(watchers->second, id);
  if (watchers->second.empty()) by_client_.erase(watchers);
}

void Desk::watch_everyone(ConnId id) {
  if (std::ranges::find(everyones_, id) == everyones_.end()) everyones_.push_back(id);
}

void Desk::watch_client(ConnId id, ClientId client) {
  auto& watchers = by_client_[client];
  if (std::ranges::find(watchers, id) == watchers.end()) watchers.push_back(id);
}

void Desk::watch_job(ConnId id, JobId job) {
  auto& watchers = by_job_[job.raw()];
  if (std::ranges::find(watchers, id) == watchers.end()) watchers.push_back(id);
}

void Desk::unwatch_job(ConnId id, std::int64_t job) {
  const auto watchers = by_job_.find(job);
  if (watchers == by_job_.end()) return;
  std::erase(watchers->second, id);
  if (watchers->second.empty()) by_job_.erase(watchers);
}

void Desk::unwatch_job(JobId job) {
  const auto watchers = by_job_.find(job.raw());
  if (watchers == by_job_.end()) return;
  // Who is being told of earlier ends will find this one there.
  for (const ConnId id : watchers->second)
    if (Conn* conn = find(id); conn != nullptr && !conn->replaying) conn->ids.erase(job.raw());
  by_job_.erase(watchers);
}

}  // namespace tallymill::front
