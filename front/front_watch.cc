// Watching: ends to those who wait for them, as they come and from the ledger.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "front/front.h"

namespace tallymill::front {

void Front::on_watch(ConnId conn, const bus::Item& item) {
  const auto watch = bus::read<bus::Watch>(item);
  if (!watch) return desk_->fail(conn, 0, JobId(0), watch.error());
  Conn& at = *desk_->find(conn);
  const bool own = watch->ids.empty() && !watch->all;
  if (own && at.name.empty())
    return desk_->fail(conn, watch->request, JobId(0),
                       {Errc::bad_frame, "say hello before watching all of a client's jobs", "/t"});
  if (at.ids.size() + watch->ids.size() > limits::watched_jobs)
    return desk_->fail(conn, watch->request, JobId(0),
                       {Errc::too_big,
                        "this client watches as many single jobs as it may; watch all "
                        "of them instead",
                        "/ids"});
  at.watch = watch->request;
  for (const std::int64_t id : watch->ids) {
    // Of another one nothing is to come, unless it is asked for what came.
    if (watch->since < 0 && !may_end(JobId(id))) continue;
    at.ids.insert(id);
    desk_->watch_job(conn, JobId(id));
  }
  if (own) {
    at.watches_all = true;
    desk_->watch_client(conn, at.client);
  }
  if (watch->all) {
    at.watches_everyone = true;
    desk_->watch_everyone(conn);
  }
  reply_json(conn, watch->request, {{"seq", announced_}, {"ledger", opened_.ledger_id}});
  if (watch->since < 0) return;
  const bool foreign = !watch->ledger.empty() && watch->ledger != opened_.ledger_id;
  if (foreign || watch->since > announced_) {
    desk_->send_gap(conn, {foreign ? 0 : announced_ + 1, watch->since});
    return forget_watches(conn);
  }
  // One reading a connection, or two would overtake one another: it goes back to the earlier start.
  const bool reading = std::exchange(at.replaying, true);
  at.replay_from = reading ? std::min(at.replay_from, watch->since) : watch->since;
  if (!reading) replay_ends(conn);
}

bool Front::may_end(JobId job) const { return machine_->replaying() || machine_->is_live(job); }

void Front::forget_watches(ConnId conn) {
  desk_->keep_watches(conn, [this](JobId job) { return may_end(job); });
}

// Reads ends back in pieces until the watcher has all that were announced; live ones wait for that.
// A piece is read when there is room for it on its way out.
void Front::replay_ends(ConnId conn) {
  Conn* at = desk_->find(conn);
  if (at == nullptr) return;
  const std::int64_t since = at->replay_from;
  if (since >= announced_) {
    at->replaying = false;
    return forget_watches(conn);
  }
  const auto later = [this, conn] {
    loop_.once(limits::replay_again, [this, conn] { replay_ends(conn); });
  };
  if (!desk_->has_room(conn, limits::replay_piece_bytes)) return later();
  EndsQuery query{.since = since,
                  .client = at->watches_all && !at->watches_everyone ? at->name : "",
                  .limit = limits::replay_piece,
                  .bytes = limits::replay_piece_bytes};
  const bool taken =
      errands_->put([this, conn, query, until = announced_]() -> bus::Errands::Answer {
        auto page = std::make_shared<Result<EndsPage>>(reader_->ends_since(query));
        return [this, conn, query, until, page] {
          send_replayed(conn, query, until, *page);
          replay_ends(conn);
        };
      });
  if (!taken) later();
}

// `until`: the last number that was announced when the page was asked for. The ledger may know
// later ones already; those are still to be announced, to everybody.
void Front::send_replayed(ConnId conn, const EndsQuery& query, std::int64_t until,
                          const Result<EndsPage>& page) {
  const std::int64_t since = query.since;
  Conn* watcher = desk_->find(conn);
  // Asked for earlier ones meanwhile: those come first.
  if (watcher == nullptr || watcher->replay_from != since) return;
  // Asked for everybody's meanwhile.
  if (watcher->watches_everyone && !query.client.empty()) return;
  if (!page) {
    log::error("ends cannot be read back: " + page.error().message);
    desk_->send_gap(conn, {since + 1, until});
    watcher->replay_from = until;
    return;
  }
  if (page->oldest > since) desk_->send_gap(conn, {since + 1, page->oldest});
  for (const EndsPage::Of& of : page->ends) {
    const JobEnd& end = of.end;
    if (end.seq > until) break;
    const bool single = watcher->ids.contains(end.job.raw());
    const bool closely = single || (watcher->watches_all && of.client == watcher->name);
    if (closely || watcher->watches_everyone)
      send_end(conn, {end, of.client, of.kind, closely ? &read_or_empty(end) : nullptr});
    if (!single) continue;
    watcher->ids.erase(end.job.raw());
    desk_->unwatch_job(end.job);
  }
  watcher->replay_from = page->more ? std::min(page->reached, until) : until;
}

// An end whose bytes cannot be read is told without its result.
const StoredEnd& Front::read_or_empty(const JobEnd& end) {
  if (auto read = read_end(end, ended_); !read) {
    log::error("an end cannot be read: " + read.error().message);
    ended_ = {};
  }
  return ended_;
}

void Front::send_end(ConnId conn, const Ending& ending) {
  const JobEnd& end = ending.end;
  bus::Event event;
  event.job = end.job.raw();
  event.seq = end.seq;
  event.what = name_of(end.state);
  event.fraction = end.state == EndState::done ? 1 : 0;
  event.code = end.code;
  event.message = end.message;
  event.field = end.field;
  event.attempts = end.attempts;
  event.whole_ns = ending.whole.count();
  event.took_ns = std::max(end.took, Duration{}).count();
  const Conn* watcher = desk_->find(conn);
  if (watcher != nullptr && watcher->watches_everyone) {
    event.kind = ending.kind;
    event.client = ending.client;
    event.at_unix_ns = to_ns(end.at);
  }
  const StoredEnd* result = ending.result;
  if (result != nullptr && end.state == EndState::done) event.files = result->done.files;
  const bool sent = result == nullptr
                        ? desk_->send_end(conn, event, {}, {})
                        : desk_->send_end(conn, event, result->result.params, result->result.blobs);
  if (sent) return;
  // What a worker said does not fit: the end itself is told all the same.
  event.files.clear();
  event.field = {};
  event.message = "what its worker said does not fit into a message";
  TM_CHECK(desk_->send_end(conn, event, {}, {}));
}

// Those who watch everybody's jobs see them come. It is on disk.
void Front::tell_accepted(const NewJob& job) {
  desk_->for_everyones_watchers([&](ConnId id, Conn&) {
    bus::Event event;
    event.job = job.id.raw();
    event.seq = announced_;
    event.what = "accepted";
    event.kind = job.kind;
    event.client = job.client;
    event.at_unix_ns = to_ns(job.submitted);
    (void)desk_->send(id, event);
  });
}

}  // namespace tallymill::front
