#include "alerting/http_post.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "http/url.h"

namespace tallymill::alerting {
namespace {

using std::chrono::milliseconds;

// What came of one request so far, between the client's thread and the one that waits.
struct Exchange {
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  int status = 0;  // 0: no answer yet
  milliseconds retry_after{0};
  std::size_t body_bytes = 0;
  bool over = false;
  std::optional<Error> error;

  [[nodiscard]] bool enough() const { return over || body_bytes > limits::sink_answer_bytes; }
};

milliseconds retry_after_of(const http::ClientResponse& head) {
  const std::string_view said = head.headers.get("Retry-After");
  std::int64_t seconds = 0;
  const auto read = std::from_chars(said.data(), said.data() + said.size(), seconds);
  if (read.ec != std::errc{} || seconds < 0) return milliseconds(0);
  const std::int64_t most = limits::sink_again_slowest.count() / 1000;
  return milliseconds(std::min(seconds, most) * 1000);
}

Status judge(int status, milliseconds retry_after) {
  if (status / 100 == 2) return {};
  Error error{Errc::away, fmt::format("answered {}", status)};
  if (status / 100 == 3)
    error.message = fmt::format("answered {}: redirects are not followed", status);
  const auto never = {400, 405, 411, 413, 415, 422, 431};
  if (std::ranges::find(never, status) != never.end()) error.code = Errc::bad_params;
  if (status == 429) error.code = Errc::rate_limited;
  if (status == 503) error.code = Errc::busy;
  error.retry_after = retry_after;
  return std::unexpected(std::move(error));
}

http::ClientOptions client_options(const HttpPost::Options& options) {
  http::ClientOptions made;
  made.timeout = options.timeout;
  made.silence = options.timeout;
  made.connections = 1;
  made.token = Secret(std::string(options.token.reveal()));
  made.ca_file = options.ca_file;
  made.thread = "alert sink";
  return made;
}

}  // namespace

HttpPost::HttpPost(Options options)
    : options_(std::move(options)), client_(client_options(options_)) {}

Status HttpPost::start() {
  const auto url = http::parse_url(options_.url.reveal());
  if (!url) return std::unexpected(url.error());
  if (url->socket) return fail(Errc::bad_params, "this is no URL of http or https");
  return client_.start();
}

Status HttpPost::post(std::string body, http::Headers headers) {
  const auto shared = std::make_shared<Exchange>();
  const auto until = std::chrono::steady_clock::now() + options_.timeout;
  http::ClientRequest request{.method = http::Method::post,
                              .url = std::string(options_.url.reveal()),
                              .headers = std::move(headers),
                              .body = std::move(body)};
  const auto id = client_.stream(
      std::move(request),
      [shared](const http::ClientResponse& head, std::string_view piece) {
        const std::lock_guard lock(shared->mutex);
        shared->status = head.status;
        shared->retry_after = retry_after_of(head);
        shared->body_bytes += piece.size();
        if (shared->enough()) shared->changed.notify_all();
      },
      [shared](Result<http::ClientResponse> ended) {
        const std::lock_guard lock(shared->mutex);
        shared->over = true;
        if (!ended) shared->error = std::move(ended).error();
        shared->changed.notify_all();
      });
  std::unique_lock lock(shared->mutex);
  const bool in_time = shared->changed.wait_until(lock, until, [&] { return shared->enough(); });
  if (!shared->over) {
    lock.unlock();
    client_.cancel(id);
    lock.lock();
  }
  if (shared->status != 0) return judge(shared->status, shared->retry_after);
  if (!in_time) return fail(Errc::deadline, "no answer in time");
  if (!shared->error) return fail(Errc::away, "no answer");
  // Which of them the client says, not how: its text names where it went.
  const Errc code = shared->error->code;
  if (code == Errc::deadline) return fail(code, "no answer in time");
  if (code == Errc::cancelled) return fail(code, "the sink was stopped");
  if (code == Errc::bad_frame) return fail(Errc::away, "its answer is not HTTP");
  if (code == Errc::too_big) return fail(Errc::away, "the header of its answer is too long");
  return fail(Errc::away, "no connection, or it broke");
}

}  // namespace tallymill::alerting
