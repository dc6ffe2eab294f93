#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "bus/client_state.h"
#include "bus/codec_json.h"

namespace tallymill::bus {
namespace {

using nlohmann::json;

// What a message that the front sends of its own accord tells of an end.
Error error_of(std::string_view state, std::string_view code, std::string_view message,
               std::string_view field) {
  const Errc fallback = state == "cancelled" ? Errc::cancelled
                        : state == "expired" ? Errc::deadline
                                             : Errc::stage_failed;
  return {errc_named(code).value_or(fallback), std::string(message), std::string(field)};
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// An end as `status` tells it, without what a result holds.
JobResult end_of_status(JobId job, const json& status) {
  JobResult end{.job = job, .state = text_at(status, "state")};
  if (!end.done())
    end.error = error_of(end.state, text_at(status, "code"), text_at(status, "message"),
                         text_at(status, "field"));
  if (const auto attempts = status.find("attempts");
      attempts != status.end() && attempts->is_number_integer())
    end.attempts = attempts->get<int>();
  return end;
}

// What keeping an end costs.
std::int64_t bytes_of(const JobResult& end) {
  auto bytes = static_cast<std::int64_t>(sizeof end + end.values.size());
  for (const ResultFile& file : end.files)
    bytes += static_cast<std::int64_t>(sizeof file + file.bytes.size());
  return bytes;
}

constexpr std::string_view Ask::* texts[] = {&Ask::state, &Ask::kind, &Ask::stage,  &Ask::client,
                                             &Ask::text,  &Ask::sort, &Ask::cursor, &Ask::ledger};

auto pack_ask(Verb verb, const Ask& ask) {
  std::array<std::string, std::size(texts)> kept;
  for (std::size_t i = 0; i < kept.size(); ++i) kept[i] = ask.*texts[i];
  return [verb, ask, kept = std::move(kept)](Packer& out, std::int64_t request) {
    Ask message = ask;
    message.request = request;
    for (std::size_t i = 0; i < kept.size(); ++i) message.*texts[i] = kept[i];
    return out.try_add(verb, message);
  };
}

}  // namespace

std::vector<ResultFile> copy_files(const std::vector<FileRef>& refs,
                                   std::span<const zmq::message_t> blobs) {
  std::vector<ResultFile> files;
  files.reserve(refs.size());
  for (const FileRef& ref : refs) {
    ResultFile& file = files.emplace_back();
    file.name = ref.name;
    file.media_type = ref.media_type;
    file.size = Bytes(ref.bytes);
    if (ref.blob < 0 || static_cast<std::size_t>(ref.blob) >= blobs.size()) {
      file.digest = ref.digest;
      continue;
    }
    const zmq::message_t& blob = blobs[static_cast<std::size_t>(ref.blob)];
    file.bytes.assign(static_cast<const char*>(blob.data()), blob.size());
    // With a digest it is a piece of a blob, and the size is of the whole.
    if (ref.digest.empty()) file.size = Bytes(static_cast<std::int64_t>(blob.size()));
  }
  return files;
}

// ---- questions ----

Status Client::State::ask(std::function<Status(Packer&, std::int64_t)> pack,
                          std::function<void(Result<Answer>)> done, bool once) {
  if (asks.size() >= limits::client_asks)
    return fail(Errc::busy, fmt::format("{} questions are pending", asks.size()));
  const std::int64_t request = last_request += 2;
  asks.emplace(request, PendingAsk{.pack = std::move(pack), .done = std::move(done), .once = once});
  if (phase == Phase::ready) send_ask(request);
  return {};
}

void Client::State::send_ask(std::int64_t request) {
  PendingAsk& pending = asks.at(request);
  if (out.full()) send_out();
  pending.sent = true;
  pending.sent_tick = ticks;
  if (auto packed = pending.pack(out, request); !packed)
    answer_ask(request, std::unexpected(std::move(packed).error()));
}

void Client::State::answer_ask(std::int64_t request, Result<Answer> answer) {
  const auto found = asks.find(request);
  if (found == asks.end()) return;
  const auto done = std::move(found->second.done);
  asks.erase(found);
  if (done) done(std::move(answer));
  ask_next_ends();
}

void Client::State::ask_overdue() {
  std::vector<std::int64_t> overdue;
  for (const auto& [request, pending] : asks)
    if (pending.sent && pending.sent_tick + limits::client_overdue_pings < ticks)
      overdue.push_back(request);
  for (const std::int64_t request : overdue) {
    const auto found = asks.find(request);
    if (found == asks.end()) continue;
    if (found->second.once)
      answer_ask(request,
                 fail(Errc::away, "no answer came: whether the front did it is not known"));
    else
      send_ask(request);
  }
}

void Client::State::ask_again() {
  std::vector<std::int64_t> all;
  all.reserve(asks.size());
  for (const auto& [request, pending] : asks) all.push_back(request);
  std::ranges::sort(all);
  for (const std::int64_t request : all) {
    const auto found = asks.find(request);
    if (found == asks.end()) continue;
    if (phase == Phase::ready) {
      send_ask(request);
    } else if (std::exchange(found->second.sent, false) && found->second.once) {
      answer_ask(request, fail(Errc::away,
                               "the connection broke before the answer came: whether "
                               "the front did it is not known"));
    }
  }
}

Result<Answer> Client::State::ask_and_wait(std::function<Status(Packer&, std::int64_t)> pack,
                                           Duration timeout, bool once) {
  std::optional<Result<Answer>> got;
  if (auto asked = ask(
          std::move(pack), [&](Result<Answer> answer) { got = std::move(answer); }, once);
      !asked)
    return std::unexpected(std::move(asked).error());
  const std::int64_t request = last_request;
  if (pump([&] { return got.has_value(); }, timeout)) return std::move(*got);
  asks.erase(request);
  return std::unexpected(no_answer());
}

void Client::State::take_reply(const Item& item) {
  const auto reply = read<Reply>(item);
  if (!reply || !asks.contains(reply->request)) return;
  answer_ask(reply->request, Answer{.params = std::string(item.params),
                                    .files = copy_files(reply->files, item.blobs)});
}

// ---- events ----

void Client::State::take_event(const Item& item) {
  Event& event = event_message;
  if (!read_into(item, event)) return;
  last_seq = std::max(last_seq, event.seq);
  const bool end = is_end(event.what);
  const std::int64_t job = event.job;
  const bool wanted = end && (waits.contains(job) || fresh.contains(job));
  std::optional<JobResult> result;
  if (wanted) result = result_of(event, item);
  if (event_sink) event_sink(event, item);
  if (result) ended(std::move(*result), JobId(job));
}

void Client::State::ended(Result<JobResult> result, JobId job) {
  const bool own = fresh.erase(job.raw()) > 0;
  const auto found = waits.find(job.raw());
  if (found == waits.end()) {
    if (own && result) keep_end(std::move(*result));
    return;
  }
  const auto waiters = std::move(found->second);
  waits.erase(found);
  waits_held -= waiters.size();
  for (const Waiting& waiter : waiters) waiter.done(result);
}

void Client::State::keep_end(JobResult&& end) {
  const std::int64_t job = end.job.raw();
  (void)take_end(JobId(job));
  ends_bytes += bytes_of(end);
  ends.push_back(std::move(end));
  end_of[job] = std::prev(ends.end());
  // An end that was dropped is asked for when somebody waits for it after all.
  while (ends.size() > limits::client_ends || ends_bytes > limits::client_ends_bytes.raw())
    (void)take_end(ends.front().job);
}

std::optional<JobResult> Client::State::take_end(JobId job) {
  const auto kept = end_of.extract(job.raw());
  if (kept.empty()) return std::nullopt;
  JobResult end = std::move(*kept.mapped());
  ends.erase(kept.mapped());
  ends_bytes -= bytes_of(end);
  return end;
}

void Client::State::take_gap(const Item& item) {
  const auto gap = read<Gap>(item);
  if (!gap) return;
  // A gap up to the number that was asked from means that the front never reached it.
  last_seq = gap->to == last_seq ? gap->from - 1 : std::max(last_seq, gap->to);
  fresh.clear();
  std::vector<std::int64_t> jobs;
  jobs.reserve(waits.size());
  for (const auto& [job, waiters] : waits) jobs.push_back(job);
  for (const std::int64_t job : jobs) {
    // What is being answered now may have been read before the end that did not come.
    if (const auto asked = end_asks.find(job); asked != end_asks.end() && asked->second.under_way)
      asked->second.again = true;
    else
      ask_for_end(JobId(job));
  }
  if (gap_sink) gap_sink(gap->from, gap->to);
}

// ---- waiting ----

std::uint64_t Client::State::wait(JobId job, std::function<void(Result<JobResult>)> done) {
  const std::uint64_t id = ++last_wait;
  if (auto kept = take_end(job)) {
    done(std::move(*kept));
    return id;
  }
  if (waits_held >= limits::client_waits) {
    done(fail(Errc::busy, fmt::format("{} jobs are waited for", waits_held)));
    return id;
  }
  ++waits_held;
  auto& waiters = waits[job.raw()];
  waiters.push_back({id, std::move(done)});
  if (waiters.size() > 1 || fresh.contains(job.raw())) return id;
  if (phase != Phase::ready) return id;  // watch_again() asks
  watch_job(job);
  ask_for_end(job);
  return id;
}

void Client::State::forget_wait(JobId job, std::uint64_t id) {
  const auto found = waits.find(job.raw());
  if (found == waits.end()) return;
  waits_held -= std::erase_if(found->second, [&](const Waiting& w) { return w.id == id; });
  if (found->second.empty()) waits.erase(found);
}

void Client::State::watch_job(JobId job) {
  if (out.full()) send_out();
  (void)out.try_add(Watch{.request = last_request += 2, .ids = {job.raw()}});
}

void Client::State::watch_again(bool same_ledger) {
  if (options.watch)
    (void)out.try_add(Watch{
        .request = last_request += 2, .since = welcomes > 1 ? last_seq : -1, .ledger = ledger});
  if (!same_ledger) fresh.clear();
  std::vector<std::int64_t> jobs;
  jobs.reserve(waits.size());
  for (const auto& [job, waiters] : waits)
    if (!fresh.contains(job)) jobs.push_back(job);
  for (const std::int64_t job : jobs) {
    watch_job(JobId(job));
    ask_for_end(JobId(job));
  }
}

// Asks whether the job has ended already; if not, its end comes as an event. A few jobs at a time:
// the others wait in to_ask.
void Client::State::ask_for_end(JobId job) {
  if (!end_asks.try_emplace(job.raw()).second) return;
  to_ask.push_back(job.raw());
  ask_next_ends();
}

void Client::State::ask_next_ends() {
  while (!to_ask.empty() && end_asks_under_way < limits::client_end_asks &&
         asks.size() < limits::client_asks) {
    const JobId job(to_ask.front());
    to_ask.pop_front();
    if (!waits.contains(job.raw())) {  // it came as an event
      end_asks.erase(job.raw());
      continue;
    }
    end_asks.at(job.raw()).under_way = true;
    ++end_asks_under_way;
    const auto asked = ask(pack_ask(Verb::status, {.job = job.raw()}),
                           [this, job](auto answer) { end_answered(job, std::move(answer)); });
    TM_CHECK(asked.has_value());
  }
}

// The place among the questions is kept until the result is here too.
void Client::State::end_answered(JobId job, Result<Answer> answer) {
  const bool wanted = waits.contains(job.raw());
  auto status = answer ? answer->json() : std::unexpected(std::move(answer).error());
  if (!status) {
    end_ask_over(job);
    return end_refused(job, std::move(status).error());
  }
  JobResult end = end_of_status(job, *status);
  if (wanted && end.done())
    return ask_for_result(job, [this, job, attempts = end.attempts](Result<JobResult> result) {
      end_ask_over(job);
      if (!result) return end_refused(job, std::move(result).error());
      result->attempts = attempts;
      if (waits.contains(job.raw())) ended(std::move(result), job);
    });
  end_ask_over(job);
  if (wanted && is_end(end.state)) ended(std::move(end), job);
}

void Client::State::end_refused(JobId job, Error&& error) {
  if (!waits.contains(job.raw())) return;
  if (!info(error.code).retry) return ended(std::unexpected(std::move(error)), job);
  loop->once(std::max<Duration>(error.retry_after, std::chrono::milliseconds(10)),
             [this, job, held = std::weak_ptr<State*>(alive)] {
               if (!held.expired() && waits.contains(job.raw())) ask_for_end(job);
             });
}

void Client::State::end_ask_over(JobId job) {
  --end_asks_under_way;
  const bool again = end_asks.extract(job.raw()).mapped().again;
  if (again && waits.contains(job.raw())) ask_for_end(job);
}

void Client::State::ask_for_result(JobId job, const std::function<void(Result<JobResult>)>& done) {
  auto asked = ask(pack_ask(Verb::result, {.job = job.raw()}), [=](Result<Answer> answer) {
    if (!answer) return done(std::unexpected(std::move(answer).error()));
    done(JobResult{.job = job,
                   .state = "done",
                   .values = std::move(answer->params),
                   .files = std::move(answer->files)});
  });
  if (!asked) done(std::unexpected(std::move(asked).error()));
}

// ---- the public face ----

JobResult Client::result_of(const Event& end, const Item& item) {
  JobResult result{.job = JobId(end.job), .state = std::string(end.what)};
  if (!result.done()) result.error = error_of(end.what, end.code, end.message, end.field);
  result.attempts = end.attempts;
  result.whole = Duration(end.whole_ns);
  result.values = item.params;
  result.files = copy_files(end.files, item.blobs);
  return result;
}

void Client::on_event(std::function<void(const Event&, const Item&)> happened) {
  state_->event_sink = std::move(happened);
}

void Client::on_gap(std::function<void(std::int64_t, std::int64_t)> gap) {
  state_->gap_sink = std::move(gap);
}

void Client::wait_async(JobId job, std::function<void(Result<JobResult>)> done) {
  state_->wait(job, std::move(done));
}

Result<JobResult> Client::wait(JobId job, std::optional<Duration> timeout) {
  State& s = *state_;
  std::optional<Result<JobResult>> end;
  const std::uint64_t id = s.wait(job, [&](Result<JobResult> result) { end = std::move(result); });
  const Duration longest = timeout.value_or(s.options.timeout);
  if (s.pump([&] { return end.has_value(); }, longest)) return std::move(*end);
  s.forget_wait(job, id);
  if (s.phase != State::Phase::ready) return std::unexpected(s.no_answer());
  return fail(Errc::deadline, fmt::format("job {} has not ended within {} s; it goes on", job.raw(),
                                          std::chrono::duration<double>(longest).count()));
}

Status Client::ask_async(Verb verb, const Ask& ask, std::function<void(Result<Answer>)> done) {
  return state_->ask(pack_ask(verb, ask), std::move(done), verb == Verb::retry);
}

Result<Answer> Client::ask(Verb verb, const Ask& ask, std::optional<Duration> timeout) {
  return state_->ask_and_wait(pack_ask(verb, ask), timeout.value_or(state_->options.timeout),
                              verb == Verb::retry);
}

namespace {

Result<json> asked(Client& client, Verb verb, const Ask& ask = {}) {
  auto answer = client.ask(verb, ask);
  if (!answer) return std::unexpected(std::move(answer).error());
  return answer->json();
}

}  // namespace

Result<json> Client::status(JobId job) { return asked(*this, Verb::status, {.job = job.raw()}); }
Result<json> Client::cancel(JobId job) { return asked(*this, Verb::cancel, {.job = job.raw()}); }
Result<json> Client::timeline(JobId job) {
  return asked(*this, Verb::timeline, {.job = job.raw()});
}
Result<json> Client::workers() { return asked(*this, Verb::workers); }
Result<json> Client::topology() { return asked(*this, Verb::topology); }
Result<json> Client::kinds() { return asked(*this, Verb::kinds); }
Result<json> Client::snapshot() { return asked(*this, Verb::snapshot); }

Result<json> Client::jobs(const Ask& which) { return asked(*this, Verb::jobs, which); }
Result<json> Client::ends(const Ask& which) { return asked(*this, Verb::ends, which); }

Result<JobId> Client::retry(JobId job) {
  auto answer = ask(Verb::retry, {.job = job.raw()});
  if (!answer) return std::unexpected(std::move(answer).error());
  return answer->job;
}

Status Client::ping(std::optional<Duration> timeout) {
  auto answer = ask(Verb::ping, {}, timeout);
  if (!answer) return std::unexpected(std::move(answer).error());
  return {};
}

Result<JobResult> Client::result(JobId job) {
  State& s = *state_;
  auto answer = ask(Verb::result, {.job = job.raw()}, s.options.timeout);
  if (!answer) return std::unexpected(std::move(answer).error());
  return JobResult{.job = job,
                   .state = "done",
                   .values = std::move(answer->params),
                   .files = std::move(answer->files)};
}

Result<json> Answer::json() const {
  if (params.empty()) return json::object();
  return json_of_msgpack(params);
}

json JobResult::values_json() const {
  if (values.empty()) return json::object();
  auto value = json_of_msgpack(values);
  return value && value->is_object() ? std::move(*value) : json::object();
}

Status JobRequest::set_params(const nlohmann::json& value) {
  auto packed = msgpack_of_json(value);
  if (!packed) return std::unexpected(std::move(packed).error());
  params = std::move(*packed);
  return {};
}

}  // namespace tallymill::bus
