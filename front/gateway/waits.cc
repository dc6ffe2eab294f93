#include "front/gateway/waits.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "bus/codec_json.h"
#include "front/gateway/feed.h"

namespace tallymill::gateway {

using nlohmann::json;

void Waits::add(std::int64_t job, std::chrono::seconds time, http::Response otherwise,
                http::Answer answer) {
  otherwise.headers.add("Preference-Applied", fmt::format("wait={}", time.count()));
  const auto wait = std::make_shared<Wait>(Wait{std::move(answer), std::move(otherwise), 0});
  waits_.emplace(job, wait);
  const auto end = [this, job, wait] {
    drop(job, wait);
    if (wait->answer.pending()) wait->answer.send(std::move(wait->otherwise));
  };
  wait->timer = server_.once(time, end);
  wait->answer.on_leaving(end);
  look_at(job);
}

void Waits::on_end(std::int64_t job) {
  if (job != 0) return look_at(job);
  std::set<std::int64_t> jobs;
  for (const auto& [waited, wait] : waits_) jobs.insert(waited);
  for (const std::int64_t waited : jobs) look_at(waited);
}

void Waits::give_up() {
  for (const auto& [job, wait] : std::exchange(waits_, {})) {
    server_.cancel(wait->timer);
    if (wait->answer.pending()) wait->answer.send(std::move(wait->otherwise));
  }
}

void Waits::look_at(std::int64_t job) {
  if (!waits_.contains(job)) return;
  questions_.ask(bus::Verb::status, {.job = job},
                 [this, job](const Result<const bus::Item*>& said) { told(job, said); });
}

void Waits::told(std::int64_t job, const Result<const bus::Item*>& said) {
  const auto status =
      said ? bus::json_of_msgpack((*said)->params) : Result<json>(std::unexpected(said.error()));
  if (!status && info(status.error().code).retry) {
    server_.once(Feed::try_again, [this, job] { look_at(job); });
    return;
  }
  if (!status || !status->contains("end_unix_ns")) return;
  const auto [begin, end] = waits_.equal_range(job);
  const std::multimap<std::int64_t, std::shared_ptr<Wait>> ended(begin, end);
  for (const auto& [id, wait] : ended) {
    drop(job, wait);
    http::Response response = http::json_response(*status);
    for (const auto& [name, value] : wait->otherwise.headers.all())
      response.headers.add(name, value);
    if (wait->answer.pending()) wait->answer.send(std::move(response));
  }
}

void Waits::drop(std::int64_t job, const std::shared_ptr<Wait>& wait) {
  server_.cancel(wait->timer);
  auto [at, end] = waits_.equal_range(job);
  while (at != end) at = at->second == wait ? waits_.erase(at) : std::next(at);
}

}  // namespace tallymill::gateway
