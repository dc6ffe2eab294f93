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
  if (given_up_) return answer.send(std::move(otherwise));
  const auto wait = std::make_shared<Wait>(
      Wait{std::move(answer), std::move(otherwise), fmt::format("wait={}", time.count())});
  waits_.emplace(job, wait);
  wait->timer = server_.once(time, [this, job, wait] {
    wait->otherwise.headers.add("Preference-Applied", wait->preference);
    end(job, wait, std::move(wait->otherwise));
  });
  wait->answer.on_leaving([this, job, wait] { end(job, wait, std::move(wait->otherwise)); });
  look_at(job);
}

void Waits::on_end(std::int64_t job) {
  if (job != 0) return look_at(job);
  std::set<std::int64_t> jobs;
  for (const auto& [waited, wait] : waits_) jobs.insert(waited);
  for (const std::int64_t waited : jobs) look_at(waited);
}

void Waits::give_up() {
  given_up_ = true;
  const auto waits = waits_;
  for (const auto& [job, wait] : waits) end(job, wait, std::move(wait->otherwise));
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
  const auto [first, last] = waits_.equal_range(job);
  const std::multimap<std::int64_t, std::shared_ptr<Wait>> ended(first, last);
  for (const auto& [id, wait] : ended) {
    http::Response response = http::json_response(*status);
    for (const auto& [name, value] : wait->otherwise.headers.all())
      response.headers.add(name, value);
    response.headers.add("Preference-Applied", wait->preference);
    end(job, wait, std::move(response));
  }
}

void Waits::end(std::int64_t job, const std::shared_ptr<Wait>& wait, http::Response response) {
  server_.cancel(wait->timer);
  auto [at, last] = waits_.equal_range(job);
  while (at != last) at = at->second == wait ? waits_.erase(at) : std::next(at);
  if (wait->answer.pending()) wait->answer.send(std::move(response));
}

}  // namespace tallymill::gateway
