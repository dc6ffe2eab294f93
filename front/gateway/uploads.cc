// Bodies that come in pieces: read on the server's thread, written on one that may wait for the
// disk, but for a job's JSON that is small. One piece of a body is under way at a time, so that a
// slow disk slows its client down.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/limits.h"
#include "front/gateway/gateway.h"
#include "front/gateway/upload.h"

namespace tallymill::gateway {
namespace {

using nlohmann::json;

// `Work` has feed(piece) and finish(); `Outcome` is what finish() gives.
template <class Work, class Outcome>
class Reader final : public http::BodyReader {
 public:
  using Finished = std::function<void(Outcome&&, http::Answer)>;
  Reader(bus::Errands& porters, std::unique_ptr<Work> work, http::Answer answer, Finished finished)
      : porters_(porters),
        shared_(std::make_shared<Shared>(std::move(work), std::move(answer), std::move(finished))) {
  }

  Status piece(std::string_view bytes, std::function<void()> more) override {
    const bool taken = porters_.put([shared = shared_, bytes = std::string(bytes),
                                     more = std::move(more)]() -> bus::Errands::Answer {
      auto fed = shared->work->feed(bytes);
      return [shared, more, fed = std::move(fed)] {
        if (fed) return more();
        shared->fail(fed.error());
      };
    });
    if (!taken) shared_->fail(full());
    return {};
  }

  void finish() override {
    const bool taken = porters_.put([shared = shared_]() -> bus::Errands::Answer {
      auto outcome = std::make_shared<Outcome>(shared->work->finish());
      return [shared, outcome] {
        if (!*outcome) return shared->fail(outcome->error());
        if (shared->answer.pending())
          shared->finished(std::move(*outcome), std::move(shared->answer));
      };
    });
    if (!taken) shared_->fail(full());
  }

 private:
  struct Shared {
    Shared(std::unique_ptr<Work> w, http::Answer a, Finished f)
        : work(std::move(w)), answer(std::move(a)), finished(std::move(f)) {}
    void fail(const Error& error) {
      if (answer.pending()) answer.fail(error);
    }
    std::unique_ptr<Work> work;
    http::Answer answer;
    Finished finished;
  };
  static Error full() {
    return {Errc::busy, "as many blobs wait as may wait", {}, std::chrono::milliseconds(50)};
  }

  bus::Errands& porters_;
  std::shared_ptr<Shared> shared_;
};

// JSON that is parsed in less time than a thread takes to be woken: read where it comes.
constexpr std::uint64_t small_json_bytes = 16 * 1024;

bool is_small_json(const http::Request& request) {
  if (http::media_type_of(request.headers.get("Content-Type")) != "application/json") return false;
  const auto said = request.headers.get("Content-Length");
  std::uint64_t size = 0;
  const auto [end, failed] = std::from_chars(said.data(), said.data() + said.size(), size);
  return failed == std::errc{} && end == said.data() + said.size() && size <= small_json_bytes;
}

class SmallJson final : public http::BodyReader {
 public:
  using Finished = std::function<void(Result<Submission>&&, http::Answer)>;
  SmallJson(std::unique_ptr<JobUpload> upload, http::Answer answer, Finished finished)
      : upload_(std::move(upload)), answer_(std::move(answer)), finished_(std::move(finished)) {}
  Status piece(std::string_view bytes, std::function<void()> more) override {
    auto fed = upload_->feed(bytes);
    if (fed) more();
    return fed;
  }
  void finish() override {
    auto job = upload_->finish();
    if (!job) return answer_.fail(job.error());
    finished_(std::move(job), std::move(answer_));
  }

 private:
  std::unique_ptr<JobUpload> upload_;
  http::Answer answer_;
  Finished finished_;
};

struct BlobUpload {
  std::unique_ptr<store::BlobWriter> writer;
  [[nodiscard]] Status feed(std::string_view piece) const { return writer->write(piece); }
  [[nodiscard]] Result<std::pair<std::string, Bytes>> finish() const {
    auto digest = writer->finish();
    if (!digest) return std::unexpected(std::move(digest).error());
    return std::pair(std::move(*digest), writer->size());
  }
};

}  // namespace

std::unique_ptr<http::BodyReader> Gateway::submit_job(Request&& request, Answer answer) {
  const auto client = client_of(request);
  if (!client) {
    answer.fail(client.error());
    return nullptr;
  }
  auto upload = JobUpload::of({*blobs_, options_.disk_floor}, request.headers.get("Content-Type"),
                              SystemClock().wall());
  if (!upload) {
    answer.fail(upload.error());
    return nullptr;
  }
  auto finished = [this, client = *client,
                   key = std::string(request.headers.get("Idempotency-Key")), trace = request.trace,
                   wait = wait_of(request)](Result<Submission>&& job, Answer held) {
    job->key = key;
    submit(std::move(*job), client, trace, wait, std::move(held));
  };
  if (is_small_json(request))
    return std::make_unique<SmallJson>(std::move(*upload), std::move(answer), std::move(finished));
  return std::make_unique<Reader<JobUpload, Result<Submission>>>(
      *porters_, std::move(*upload), std::move(answer), std::move(finished));
}

std::unique_ptr<http::BodyReader> Gateway::put_blob(Request&&, Answer answer) {
  auto writer = UploadPlace{*blobs_, options_.disk_floor}.writer();
  if (!writer) {
    answer.fail(writer.error());
    return nullptr;
  }
  return std::make_unique<Reader<BlobUpload, Result<std::pair<std::string, Bytes>>>>(
      *porters_, std::make_unique<BlobUpload>(std::move(*writer)), std::move(answer),
      [](Result<std::pair<std::string, Bytes>>&& stored, Answer held) {
        const auto& [digest, size] = *stored;
        http::Response response =
            http::json_response({{"digest", digest}, {"bytes", size.raw()}}, 201);
        response.headers.add("Location", "/v1/blobs/" + digest);
        held.send(std::move(response));
      });
}

}  // namespace tallymill::gateway
