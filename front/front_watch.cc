// Watching: ends to those who wait for them, as they come and from the ledger.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "front/front.h"

namespace tallymill::front {

void Front::on_watch(ConnId conn, const bus::Item& item) {
  const auto watch = bus::read<bus::Watch>(item);
  if (!watch) return desk_->fail(conn, 0, JobId(0), watch.error());
  Conn& at = *desk_->find(conn);
  if (watch->ids.empty() && at.name.empty())
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
  if (watch->ids.empty()) {
    at.watches_all = true;
    desk_->watch_client(conn, at.client);
  }
  reply_json(conn, watch->request, {{"seq", announced_}, {"ledger", opened_.ledger_id}});
  if (watch->since < 0) return;
  const bool foreign = !watch->ledger.empty() && watch->ledger != opened_.ledger_id;
  if (foreign || watch->since > announced_) {
    desk_->send(conn, bus::Gap{watch->request, foreign ? 0 : announced_ + 1, watch->since});
    return;
  }
  at.replaying = true;
  replay_ends(conn, watch->since);
}

bool Front::may_end(JobId job) const { return machine_->replaying() || machine_->is_live(job); }

// Reads ends back in pieces until the watcher has all that were announced; live ones wait for that.
// A piece is read when there is room for it on its way out.
void Front::replay_ends(ConnId conn, std::int64_t since) {
  Conn* at = desk_->find(conn);
  if (at == nullptr) return;
  if (since >= announced_) {
    at->replaying = false;
    return desk_->keep_watches(conn, [this](JobId job) { return may_end(job); });
  }
  const auto later = [this, conn, since] {
    loop_.once(limits::replay_again, [this, conn, since] { replay_ends(conn, since); });
  };
  if (!desk_->has_room(conn, limits::replay_piece_bytes)) return later();
  const bool taken = errands_->put([this, conn, client = at->watches_all ? at->name : "", since,
                                    until = announced_]() -> bus::Errands::Answer {
    auto page = std::make_shared<Result<EndsPage>>(
        reader_->ends_since(since, client, limits::replay_piece, limits::replay_piece_bytes));
    return [this, conn, since, until, page] { send_replayed(conn, since, until, *page); };
  });
  if (!taken) later();
}

void Front::send_replayed(ConnId conn, std::int64_t since, std::int64_t until,
                          const Result<EndsPage>& page) {
  Conn* watcher = desk_->find(conn);
  if (watcher == nullptr) return;
  if (!page) {
    watcher->replaying = false;
    return desk_->fail(conn, watcher->watch, JobId(0), page.error());
  }
  if (page->oldest > since) desk_->send(conn, bus::Gap{watcher->watch, since + 1, page->oldest});
  for (const JobEnd& end : page->ends) {
    const bool single = watcher->ids.erase(end.job.raw()) > 0;
    if (single || watcher->watches_all) {
      if (auto read = read_end(end, ended_); !read)
        log::error("an end cannot be read: " + read.error().message);
      else
        send_end(conn, end, ended_, Duration{});
    }
    if (single) desk_->unwatch_job(end.job);
  }
  replay_ends(conn, page->more ? page->reached : until);
}

void Front::send_end(ConnId conn, const JobEnd& end, const StoredEnd& stored, Duration whole) {
  bus::Event event;
  event.job = end.job.raw();
  event.seq = end.seq;
  event.what = name_of(end.state);
  event.fraction = end.state == EndState::done ? 1 : 0;
  event.code = end.code;
  event.message = end.message;
  event.field = end.field;
  event.attempts = end.attempts;
  event.whole_ns = whole.count();
  if (end.state == EndState::done) event.files = stored.done.files;
  if (desk_->send_end(conn, event, stored.result.params, stored.result.blobs)) return;
  // What a worker said does not fit: the end itself is told all the same.
  event.files.clear();
  event.field = {};
  event.message = "what its worker said does not fit into a message";
  TM_CHECK(desk_->send_end(conn, event, {}, {}));
}

}  // namespace tallymill::front
