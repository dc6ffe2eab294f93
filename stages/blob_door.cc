#include "stages/blob_door.h"

#include <utility>

#include "base/limits.h"
#include "bus/client.h"

namespace tallymill::stages {

namespace {

// A stopped job's waiting ends like a front that is away; it is not.
Error as_the_job_sees_it(Error error, const RunContext& context) {
  if (context.cancelled()) return {Errc::cancelled, "stopped", {}, {}};
  return std::move(error).in("blobs over the bus");
}

}  // namespace

BlobDoor::BlobDoor(Shared& shared, HandlerProbe& probe) : shared_(shared), probe_(probe) {}
BlobDoor::~BlobDoor() = default;

Result<BlobsAt> BlobDoor::place(RunContext& context) const {
  BlobsAt at = shared_.blobs.wait(limits::blob_answer, [&] { return context.go_on(); });
  if (at.mapped || !at.jobs_door.empty()) return at;
  return std::unexpected(as_the_job_sees_it(
      {Errc::away, "the blob store is not on this host, and the front names no door to it", {}, {}},
      context));
}

Result<bus::Client*> BlobDoor::client(const std::string& jobs_door) {
  if (client_ && client_->endpoint() == jobs_door) return client_.get();
  client_ = std::make_unique<bus::Client>(bus::ClientOptions{.name = "stage:" + shared_.stage,
                                                             .watch = false,
                                                             .insecure = shared_.insecure,
                                                             .timeout = limits::blob_answer});
  if (auto started = client_->start(jobs_door); !started) {
    client_.reset();
    return std::unexpected(std::move(started).error().in("jobs door"));
  }
  return client_.get();
}

Result<BlobDoor::Blob> BlobDoor::get(std::string_view digest, RunContext& context) {
  auto at = place(context);
  if (!at) return std::unexpected(std::move(at).error());
  if (!at->mapped) return fetch(digest, at->jobs_door, context);
  auto mapped = at->mapped->map(digest);
  if (!mapped) return std::unexpected(std::move(mapped).error());
  auto memory = std::make_shared<const store::Mapped>(std::move(*mapped));
  return Blob{memory->bytes(), memory};
}

Result<BlobDoor::Blob> BlobDoor::fetch(std::string_view digest, const std::string& jobs_door,
                                       RunContext& context) {
  const std::string name(digest);
  if (const Fetch kept = shared_.fetched.find(name)) return Blob{*kept, kept};
  const Span span(context, "fetch");
  const auto found = shared_.fetched.find_or_claim(name, [&] { return context.go_on(); });
  if (!found) return std::unexpected(as_the_job_sees_it({Errc::cancelled, "stopped"}, context));
  if (*found) return Blob{**found, *found};
  auto blob = download(name, jobs_door, context);
  shared_.fetched.land(name, blob ? *blob : nullptr);
  if (!blob) return std::unexpected(std::move(blob).error());
  return Blob{**blob, *blob};
}

Result<Fetch> BlobDoor::download(const std::string& name, const std::string& jobs_door,
                                 RunContext& context) {
  auto client = this->client(jobs_door);
  if (!client) return std::unexpected(std::move(client).error());
  (*client)->while_waiting([&] { return context.go_on(); });
  auto bytes = (*client)->fetch({.name = name, .media_type = {}, .bytes = {}, .digest = name});
  (*client)->while_waiting({});
  if (!bytes) return std::unexpected(as_the_job_sees_it(std::move(bytes).error(), context));
  probe_.fetched(bytes->size());
  return std::make_shared<const std::string>(std::move(*bytes));
}

Result<std::string> BlobDoor::put(std::string_view bytes, RunContext& context) {
  auto at = place(context);
  if (!at) return std::unexpected(std::move(at).error());
  const Span span(context, "put");
  if (at->mapped) {
    auto stored = at->mapped->put(bytes);
    // A sync that failed: nothing was acknowledged here, and the job's next attempt writes it anew.
    if (!stored && stored.error().code == Errc::corrupt) stored.error().code = Errc::disk;
    return stored;
  }
  auto client = this->client(at->jobs_door);
  if (!client) return std::unexpected(std::move(client).error());
  (*client)->while_waiting([&] { return context.go_on(); });
  auto digest = (*client)->put(bytes);
  (*client)->while_waiting({});
  if (!digest) return std::unexpected(as_the_job_sees_it(std::move(digest).error(), context));
  probe_.put(bytes.size());
  return digest;
}

}  // namespace tallymill::stages
