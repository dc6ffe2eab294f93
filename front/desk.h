// Desk: the clients. Whoever speaks on the jobs socket, what they asked and still wait for, what
// they watch, and the messages on their way out to them.
//
// Answers of one turn to one client leave as one ZeroMQ message. A client that does not read fills
// its own pipe only. What the pipe does not take is dropped and counted: a lost answer is asked for
// again by who waits for it, lost ends are told as one gap before anything else is sent.
//
//   invariant: each question is answered once, by its ReplyTo
//   invariant: the submits of a connection that have no answer yet fit in its window
//   invariant: a watcher gets every end of its jobs after `since`, in order, or a gap first
//   invariant: libzmq holds at most limits::client_out_bytes in large frames for a connection, and
//              limits::clients_out_bytes for all, but for limits::client_out_share each
//
// Threads: the front's loop.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "base/result.h"
#include "base/units.h"
#include "bus/envelope.h"
#include "bus/frames.h"
#include "bus/outgoing.h"
#include "front/machine.h"

namespace tallymill::front {

using ConnId = std::uint32_t;

// Numbers of ends, from the first to the last of some.
struct SeqRange {
  std::int64_t from = 0;
  std::int64_t to = 0;
  [[nodiscard]] bool empty() const { return to == 0; }
  void add(std::int64_t seq) { add(SeqRange{seq, seq}); }
  void add(const SeqRange& other) {
    if (other.empty()) return;
    from = empty() ? other.from : std::min(from, other.from);
    to = std::max(to, other.to);
  }
};

struct Conn {
  bus::Route route;
  std::string name;  // said by hello
  ClientId client = 0;
  bool watches_all = false;       // of its client
  bool watches_everyone = false;  // and of all others
  bool replaying = false;         // ends are read back; live ones wait until they are through
  std::int64_t replay_from = 0;   // the next one to be read is behind this
  std::int64_t watch = 0;         // request of the last one
  std::unordered_set<std::int64_t> ids;
  std::int32_t open_submits = 0;
  Bytes open_bytes{};  // of those
  bus::Packer out;
  SeqRange packed;  // ends in `out`
  SeqRange lost;    // ends that its pipe did not take: it is told of the gap first
  bool dirty = false;
  bool gone = false;  // libzmq knows it no more
  std::shared_ptr<bus::Outgoing> outgoing;
  Instant last_seen;

  // Whether it is told of this job's results and previews.
  [[nodiscard]] bool watches_closely(ClientId of, JobId job) const {
    return (watches_all && client == of) || ids.contains(job.raw());
  }
};

class Desk {
 public:
  explicit Desk(zmq::socket_t& router);

  // The connection of this peer; made when it is new. Beyond limits::connections the one that was
  // silent longest is forgotten.
  ConnId conn_of(const bus::Route& route, Instant now);
  [[nodiscard]] Conn* find(ConnId id);

  // The connection says its name, and with another one that it is somebody else. `client` is held
  // by it, see let_go().
  void introduce(ConnId id, const std::string& name, ClientId client);
  // Clients that connections hold no more, once each time.
  [[nodiscard]] std::vector<ClientId> let_go() { return std::exchange(let_go_, {}); }

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
    if (conn->out.full()) flush(id, *conn);
    if (!conn->out.try_add(message, params)) return false;
    for (const std::string_view blob : blobs)
      conn->out.add_blob(zmq::message_t(blob.data(), blob.size()));
    mark(id, *conn);
    return true;
  }
  // The same of a job's end. While earlier ends are lost to this connection it is lost as well, and
  // told by the same gap.
  bool send_end(ConnId id, const bus::Event& end, std::string_view params,
                std::span<const std::string_view> blobs);
  // These cannot be told.
  void send_gap(ConnId id, const SeqRange& ends);
  void fail(ConnId id, std::int64_t request, JobId job, const Error& error);
  // Whether the connection would be sent so much more.
  [[nodiscard]] bool has_room(ConnId id, Bytes size);
  void flush();
  // Tries again to tell who lost ends of the gap. REQUIRES: called now and then.
  void tell_gaps();

  // Who watches everybody's jobs, those of `client`, or `job` itself.
  void watch_everyone(ConnId id);
  void watch_client(ConnId id, ClientId client);
  void watch_job(ConnId id, JobId job);
  void unwatch_job(JobId job);
  // Ends the connection's watches of single jobs for which `is_live` says no.
  template <class F>
  void keep_watches(ConnId id, F is_live) {
    if (Conn* conn = find(id))
      std::erase_if(conn->ids, [&](std::int64_t job) {
        if (is_live(JobId(job))) return false;
        unwatch_job(id, job);
        return true;
      });
  }
  // Calls `each` for every live watcher of this job; those who watch everybody's come first.
  template <class F>
  void for_watchers(ClientId client, JobId job, F each) {
    for_everyones_watchers(each);
    if (const auto all = by_client_.find(client); all != by_client_.end())
      for (const ConnId id : all->second)
        if (Conn* conn = find(id); conn != nullptr && !conn->replaying && !conn->watches_everyone)
          each(id, *conn);
    if (const auto one = by_job_.find(job.raw()); one != by_job_.end())
      for (const ConnId id : one->second)
        if (Conn* conn = find(id); conn != nullptr && !conn->replaying && !conn->watches_everyone &&
                                   !(conn->watches_all && conn->client == client))
          each(id, *conn);
  }
  template <class F>
  void for_everyones_watchers(F each) {
    for (const ConnId id : everyones_)
      if (Conn* conn = find(id); conn != nullptr && !conn->replaying) each(id, *conn);
  }
  [[nodiscard]] bool is_watched(ClientId client, JobId job) const {
    return !everyones_.empty() || by_client_.contains(client) || by_job_.contains(job.raw());
  }

  [[nodiscard]] std::size_t connections() const { return by_peer_.size(); }
  [[nodiscard]] std::int64_t dropped() const { return dropped_; }
  [[nodiscard]] std::size_t behind() const { return behind_.size(); }
  [[nodiscard]] Bytes outgoing() const { return outgoing_->bytes(); }

 private:
  ReplyTo keep(const Asked& asked);
  void flush(ConnId id, Conn& conn);
  [[nodiscard]] bool tell_gap(ConnId id, Conn& conn);
  void lose(ConnId id, Conn& conn);
  void mark_gone(ConnId id, Conn& conn, const Error& error);
  void mark(ConnId id, Conn& conn);
  void forget(ConnId id);
  void unwatch_client(ConnId id, ClientId client);
  void unwatch_job(ConnId id, std::int64_t job);

  zmq::socket_t& router_;
  std::unordered_map<std::string, ConnId> by_peer_;
  std::unordered_map<ConnId, Conn> conns_;
  ConnId next_conn_ = 1;
  std::vector<ConnId> dirty_;
  std::unordered_set<ConnId> behind_;  // lost ends
  std::vector<ConnId> gone_;
  std::vector<ClientId> let_go_;
  std::shared_ptr<bus::Outgoing> outgoing_;  // by libzmq, for all
  std::vector<Asked> asked_;                 // by handle - 1
  std::vector<std::uint32_t> free_;          // handles
  std::vector<ConnId> everyones_;            // who watches everybody's jobs
  std::unordered_map<ClientId, std::vector<ConnId>> by_client_;
  std::unordered_map<std::int64_t, std::vector<ConnId>> by_job_;
  std::int64_t dropped_ = 0;
};

}  // namespace tallymill::front
