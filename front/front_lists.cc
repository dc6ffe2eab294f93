// Lists that are read from the ledger: jobs by what is known of them, ends and kept waterfalls by
// their numbers.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/text.h"
#include "front/front.h"
#include "front/told.h"

namespace tallymill::front {

using nlohmann::json;

json Front::status_json(const JobRow& row) const {
  json status{{"job", row.id.raw()},
              {"kind", row.kind},
              {"client", row.client},
              {"priority", row.priority},
              {"submitted_unix_ns", to_ns(row.submitted)},
              {"charges", row.charges}};
  if (row.deadline) status["deadline_unix_ns"] = to_ns(*row.deadline);
  if (row.parent != JobId(0)) status["parent"] = row.parent.raw();
  if (!row.end) {
    const std::string_view state = machine_->live_state(row.id);
    status["state"] = state.empty() ? "waiting" : std::string(state);
    status["attempts"] = machine_->attempts(row.id);
    return status;
  }
  status["state"] = std::string(name_of(row.end->state));
  status["attempts"] = row.end->attempts;
  status["end_unix_ns"] = to_ns(row.end->at);
  if (row.end->took >= Duration{}) status["took_ns"] = row.end->took.count();
  if (!row.end->code.empty()) {
    status["code"] = row.end->code;
    status["message"] = row.end->message;
    status["field"] = row.end->field;
  }
  return status;
}

// ---- jobs ----

// A stage stands for the kinds that pass it now; of a kind that no stage serves any more, the jobs
// are found by their kind.
Result<JobsQuery> Front::jobs_query(const bus::Ask& ask) const {
  JobsQuery query;
  query.state = std::string(ask.state);
  query.client = std::string(ask.client);
  if (ask.since_unix_ns != 0) query.since = wall_from_ns(ask.since_unix_ns);
  query.text = std::string(ask.text);
  query.cursor = std::string(ask.cursor);
  query.limit = ask.limit <= 0 ? limits::jobs_page : std::min(ask.limit, limits::jobs_page);
  if (!ask.kind.empty()) query.kinds = {std::string(ask.kind)};
  if (!ask.stage.empty()) {
    std::vector<std::string> passing;
    const auto stage = machine_->stage_named(ask.stage);
    for (std::size_t i = 0; stage && i < machine_->kinds(); ++i) {
      const Kind& kind = machine_->kind(static_cast<KindId>(i));
      if ((ask.kind.empty() || kind.name == ask.kind) &&
          std::ranges::find(kind.route, *stage) != kind.route.end())
        passing.push_back(kind.name);
    }
    query.kinds = std::move(passing);
  }
  if (ask.sort.empty()) return query;
  const auto sort = sort_named(ask.sort);
  if (!sort)
    return fail(Errc::bad_params, "no such sort: newest, oldest, ended or slowest", "/sort");
  query.sort = *sort;
  return query;
}

void Front::list_jobs(ConnId conn, const bus::Ask& ask) {
  const std::int64_t request = ask.request;
  auto query = jobs_query(ask);
  if (!query) return desk_->fail(conn, request, JobId(0), query.error());
  (void)errand(*errands_, conn, request,
               [this, conn, request, query = std::move(*query)]() -> bus::Errands::Answer {
                 auto read = std::make_shared<Result<JobsPage>>(reader_->jobs(query));
                 return [this, conn, request, read] {
                   if (!*read) return desk_->fail(conn, request, JobId(0), read->error());
                   json jobs = json::array();
                   for (JobRow& row : (*read)->rows) {
                     if (row.end) clean_text(row.end->message, limits::list_text_bytes);
                     if (row.end) clean_text(row.end->field, limits::list_text_bytes);
                     jobs.push_back(status_json(row));
                   }
                   reply_json(
                       conn, request,
                       {{"schema", 1}, {"jobs", std::move(jobs)}, {"cursor", (*read)->next}});
                 };
               });
}

// ---- ends ----

// What a watch of everybody's jobs would replay, a page at a time to who asks. Ends that the ledger
// has and that are not announced yet come with a later page.
void Front::list_ends(ConnId conn, const bus::Ask& ask) {
  const std::int64_t request = ask.request;
  const std::int64_t head = announced_;
  json answer{{"schema", 1},          {"ledger", opened_.ledger_id},
              {"head", head},         {"oldest", 0},
              {"reached", head},      {"more", false},
              {"ends", json::array()}};
  const bool foreign = !ask.ledger.empty() && ask.ledger != opened_.ledger_id;
  if (foreign || ask.after > head) {
    answer.erase("oldest");
    answer["gap"] = {{"from", foreign ? 0 : head + 1}, {"to", ask.after}};
    return reply_json(conn, request, answer);
  }
  const EndsQuery query{
      .since = std::max<std::int64_t>(0, ask.after),
      .client = {},
      .limit = ask.limit <= 0 ? limits::replay_piece : std::min(ask.limit, limits::replay_piece),
      .bytes = limits::replay_piece_bytes,
      .with_results = false};
  (void)errand(*errands_, conn, request, [=, this]() -> bus::Errands::Answer {
    auto page = std::make_shared<Result<EndsPage>>(reader_->ends_since(query));
    return [=, this]() mutable {
      if (!*page) return desk_->fail(conn, request, JobId(0), page->error());
      const EndsPage& read = **page;
      for (const EndsPage::Of& of : read.ends)
        if (of.end.seq <= head) answer["ends"].push_back(end_json(of));
      answer["oldest"] = read.oldest;
      if (read.oldest > query.since)
        answer["gap"] = {{"from", query.since + 1}, {"to", std::min(read.oldest, head)}};
      const std::int64_t reached = read.more ? std::min(read.reached, head) : head;
      answer["reached"] = reached;
      answer["more"] = reached < head;
      reply_json(conn, request, answer);
    };
  });
}

// ---- waterfalls ----

// Who asks owns the cursor: nothing is held for it here, and what it missed is a gap.
void Front::list_waterfalls(ConnId conn, const bus::Ask& ask) {
  const std::int64_t request = ask.request;
  const std::int64_t after = std::max<std::int64_t>(0, ask.after);
  const bool foreign = !ask.ledger.empty() && ask.ledger != opened_.ledger_id;
  const WaterfallsQuery query{.after = foreign ? 0 : after,
                              .limit = ask.limit <= 0
                                           ? limits::waterfalls_page
                                           : std::min(ask.limit, limits::waterfalls_page),
                              .bytes = limits::waterfalls_page_bytes,
                              .now = clock_.wall()};
  (void)errand(*errands_, conn, request, [=, this]() -> bus::Errands::Answer {
    const auto page = reader_->waterfalls(query);
    if (!page)
      return [=, this, error = page.error()] { desk_->fail(conn, request, JobId(0), error); };
    json told = waterfalls_json(*page, query.after);
    told["ledger"] = opened_.ledger_id;
    // Numbers of another ledger say nothing of this one: it is read from its begin.
    if (foreign) told["gap"] = {{"from", 0}, {"to", after}};
    return [=, this, told = std::move(told)] { reply_json(conn, request, told); };
  });
}

}  // namespace tallymill::front
