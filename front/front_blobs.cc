// Blobs that come and go over the bus, in pieces; the porters' thread has the disk.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/limits.h"
#include "front/front.h"

namespace tallymill::front {
using std::chrono::milliseconds;

// Below the floor nothing new is taken: what is left is for the ends of jobs that are there.
std::optional<Error> Front::disk_refusal(Bytes size) const {
  if (committer_->free_bytes() >= options_.disk_floor + size) return std::nullopt;
  return Error{Errc::disk, "free space is below the floor", {}, milliseconds(1000)};
}

Status Front::carry(Bytes size, bus::Errands::Errand errand) {
  const Error full{Errc::busy, "as many blobs wait as may wait", {}, milliseconds(50)};
  // One that is larger than the bound goes alone.
  if (unstored_ > Bytes(0) && unstored_ + size > limits::unstored_bytes)
    return std::unexpected(full);
  const bool taken =
      porters_->put([this, size, errand = std::move(errand)]() -> bus::Errands::Answer {
        return [this, size, answer = errand()] {
          unstored_ -= size;
          answer();
        };
      });
  if (!taken) return std::unexpected(full);
  unstored_ += size;
  return {};
}

void Front::on_put(ConnId conn, const bus::Item& item) {
  const auto put = bus::read<bus::Put>(item);
  if (!put) return desk_->fail(conn, 0, JobId(0), put.error());
  if (put->bytes < 0 || put->offset < 0 || Bytes(put->bytes) > limits::max_job_bytes)
    return desk_->fail(conn, put->request, JobId(0),
                       {Errc::too_big, "a blob is larger than a job may be", "/b"});
  if (!item.blobs.empty() &&
      Bytes(static_cast<std::int64_t>(item.blobs[0].size())) > limits::piece_bytes)
    return desk_->fail(conn, put->request, JobId(0),
                       {Errc::too_big, "a blob is put in pieces of at most 1 MiB", "/o"});
  if (const auto full = disk_refusal(Bytes(put->bytes)))
    return desk_->fail(conn, put->request, JobId(0), *full);
  std::string piece(item.blobs.empty() ? std::string_view{} : item.blobs[0].to_string_view());
  const Bytes size(static_cast<std::int64_t>(piece.size()));
  auto carried = carry(size,
                       [this, conn, request = put->request, digest = std::string(put->digest),
                        whole = Bytes(put->bytes), offset = Bytes(put->offset),
                        piece = std::move(piece)]() -> bus::Errands::Answer {
                         auto stored = blobs_->put_piece(digest, whole, offset, piece);
                         return [this, conn, request, stored = std::move(stored)] {
                           if (!stored && stored.error().code == Errc::corrupt)
                             return stop_broken("the blob store", stored.error());
                           if (!stored) return desk_->fail(conn, request, JobId(0), stored.error());
                           reply_json(conn, request, {{"stored", *stored}});
                         };
                       });
  if (!carried) desk_->fail(conn, put->request, JobId(0), carried.error());
}

void Front::on_get(ConnId conn, const bus::Item& item) {
  const auto get = bus::read<bus::Get>(item);
  if (!get) return desk_->fail(conn, 0, JobId(0), get.error());
  if (auto checked = store::check_digest(get->digest); !checked)
    return desk_->fail(conn, get->request, JobId(0), checked.error());
  (void)errand(
      *porters_, conn, get->request,
      [this, conn, request = get->request, digest = std::string(get->digest), offset = get->offset,
       length = get->length]() -> bus::Errands::Answer {
        auto mapped = blobs_->map(digest);
        return [=, this, mapped = std::move(mapped)] {
          if (!mapped) return desk_->fail(conn, request, JobId(0), mapped.error());
          const auto all = mapped->bytes();
          const auto begin = static_cast<std::size_t>(
              std::clamp<std::int64_t>(offset, 0, static_cast<std::int64_t>(all.size())));
          const auto most = static_cast<std::size_t>(std::clamp<std::int64_t>(
              length <= 0 ? limits::piece_bytes.raw() : length, 0, limits::piece_bytes.raw()));
          const auto piece = all.substr(begin, most);
          if (!desk_->has_room(conn, Bytes(static_cast<std::int64_t>(piece.size()))))
            return desk_->fail(
                conn, request, JobId(0),
                {Errc::busy, "answers to this client wait to be read", {}, milliseconds(50)});
          bus::Reply reply{request, {}};
          reply.files.push_back({"", "", digest, static_cast<std::int64_t>(all.size()), 0});
          TM_CHECK(desk_->send(conn, reply, {}, {{piece}}));
        };
      });
}

}  // namespace tallymill::front
