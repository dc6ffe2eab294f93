// Desk: the clients. Whoever speaks on the jobs socket, what they asked and still wait for, what
// they watch, and the messages on their way out to them.
//
// Answers of one turn to one client leave as one ZeroMQ message. A client that does not read fills
// its own pipe only: what cannot be sent is dropped and counted, and the client finds the gap by
// its sequence number when it comes back.
//
//   invariant: each question gets exactly one answer, by its ReplyTo
//   invariant: the submits of a connection that have no answer yet fit in its window
//   invariant: a watcher gets every end of its jobs after `since`, in order, or a gap first
//
// Threads: the front's loop.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>
#include <zmq.hpp>

#include "base/result.h"
#include "base/units.h"
#include "bus/envelope.h"
#include "bus/frames.h"
#include "front/machine.h"

namespace tallymill::front {

using ConnId = std::uint32_t;

struct Conn {
  bus::Route route;
  std::string name;  // said by hello
  ClientId client = 0;
  bool watches_all = false;
  bool replaying = false;  // ends are read back; live ones wait until they are through
  std::int64_t watched_from = 0;
  std::unordered_set<std::int64_t> ids;
  std::int32_t open_submits = 0;
  Bytes open_bytes{};  // of those
  bus::Packer out;
  bool dirty = false;
  Instant last_seen;
};

class Desk {
 public:
  explicit Desk(zmq::socket_t& router) : router_(router) {}

  // The connection of this peer; made when it is new. Beyond limits::connections the one that was
  // silent longest is forgotten.
  ConnId conn_of(const bus::Route& route, Instant now);
  [[nodiscard]] Conn* find(ConnId id);

  // A question of this connection; its handle for the machine.
  ReplyTo ask(ConnId conn, std::int64_t request);
  // The same of a submit, which takes a part of its connection's window until it is answered;
  // nothing when the window has no room for it. One that is larger than the window goes alone.
  [[nodiscard]] std::optional<ReplyTo> ask_submit(ConnId conn, std::int64_t request, Bytes size);
  // Whose question it was; the handle is free again. Nothing when the connection is gone.
  struct Asked {
    ConnId conn = 0;
    std::int64_t request = 0;
    std::optional<Bytes> of_window = {};  // a submit's
  };
  [[nodiscard]] Asked answer(ReplyTo handle);

  // A message out, with its blobs; flushed at the end of the turn. False: it does not fit, and
  // nothing of it leaves. REQUIRES: at most limits::item_blobs, each at most limits::frame_bytes.
  template <class M>
  bool send(ConnId id, const M& message, std::string_view params = {},
            std::span<const std::string_view> blobs = {}) {
    Conn* conn = find(id);
    if (conn == nullptr) return true;
    if (conn->out.full()) flush(*conn);
    if (!conn->out.try_add(message, params)) return false;
    for (const std::string_view blob : blobs)
      conn->out.add_blob(zmq::message_t(blob.data(), blob.size()));
    mark(id, *conn);
    return true;
  }
  void fail(ConnId id, std::int64_t request, JobId job, const Error& error);
  void flush();

  // Who watches the jobs of `client`, or `job` itself.
  void watch_client(ConnId id, ClientId client);
  void watch_job(ConnId id, JobId job);
  void unwatch_job(JobId job);
  // Calls `each` for every live watcher of this job.
  template <class F>
  void for_watchers(ClientId client, JobId job, F each) {
    if (const auto all = by_client_.find(client); all != by_client_.end())
      for (const ConnId id : all->second)
        if (Conn* conn = find(id); conn != nullptr && !conn->replaying) each(id, *conn);
    if (const auto one = by_job_.find(job.raw()); one != by_job_.end())
      for (const ConnId id : one->second)
        if (Conn* conn = find(id);
            conn != nullptr && !conn->replaying && !(conn->watches_all && conn->client == client))
          each(id, *conn);
  }
  [[nodiscard]] bool is_watched(ClientId client, JobId job) const {
    return by_client_.contains(client) || by_job_.contains(job.raw());
  }

  [[nodiscard]] std::size_t connections() const { return by_peer_.size(); }
  [[nodiscard]] std::int64_t dropped() const { return dropped_; }

 private:
  ReplyTo keep(const Asked& asked);
  void flush(Conn& conn);
  void mark(ConnId id, Conn& conn);
  void forget(ConnId id);

  zmq::socket_t& router_;
  std::unordered_map<std::string, ConnId> by_peer_;
  std::unordered_map<ConnId, Conn> conns_;
  ConnId next_conn_ = 1;
  std::vector<ConnId> dirty_;
  std::vector<Asked> asked_;         // by handle - 1
  std::vector<std::uint32_t> free_;  // handles
  std::unordered_map<ClientId, std::vector<ConnId>> by_client_;
  std::unordered_map<std::int64_t, std::vector<ConnId>> by_job_;
  std::int64_t dropped_ = 0;
};

}  // namespace tallymill::front
