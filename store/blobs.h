// Blobs: files by the SHA-256 of their content, in one folder.
//
// Inputs and results above limits::inline_bytes live here; jobs refer to them by digest. A put is:
// write aside, fdatasync, rename, fsync of the folder; only then may a reference to it be
// committed. The same content has one file, so putting twice has one effect. A worker on the
// front's host maps the file read-only; others fetch it over the bus.
//
//   invariant: a file under its digest's name has that content, whole: half-written ones are under
//              tmp/, locked by who writes them; the others there are removed in time
//   invariant: id() is of this very folder: another one of the same path, on another host or in
//              another mount, and a copy of it, have other ids
//
// Threads: put and map from any thread and any process on the host; collect() by the front alone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/sha256.h"
#include "base/units.h"
#include "store/durable.h"

namespace tallymill::store {

// 64 lower-case hex digits. bad_params for anything else: digests from the wire are paths to us.
[[nodiscard]] Status check_digest(std::string_view untrusted);

// A blob's bytes, read-only, unmapped with the last copy.
class Mapped {
 public:
  Mapped() = default;
  [[nodiscard]] std::string_view bytes() const { return bytes_; }

 private:
  friend class Blobs;
  std::shared_ptr<const void> memory_;
  std::string_view bytes_;
};

class BlobWriter;

class Blobs {
 public:
  // Makes the folder if it is not there. `owner`: gives it an id if it has none, and removes what a
  // crash left half-written (the front). Others may write meanwhile, and a second owner may start.
  [[nodiscard]] static Result<std::unique_ptr<Blobs>> open(std::filesystem::path folder,
                                                           bool owner);

  // The id of the store in `folder`; empty when there is none that this process can read.
  [[nodiscard]] static std::string id_of(const std::filesystem::path& folder);
  [[nodiscard]] std::string id() const { return id_of(folder_); }

  // Durable when it returns; the digest. disk: no space or a failing disk, nothing was stored.
  // corrupt: a sync failed. What this put wrote is removed, but what the disk took is not known any
  // more, and another sync would not tell: whoever acknowledges by this store stops doing so.
  [[nodiscard]] Result<std::string> put(std::string_view bytes);

  // The same in pieces, for a writer that gets them one by one: `offset` must not be beyond where
  // the last one ended, else wrong_state, and the writer starts again at 0. What another writer put
  // already stays when it is the same, so that all who put one blob at once end. True when the
  // whole is stored (its digest was checked: bad_params if it is another). A known digest needs no
  // pieces: true at once. disk, corrupt: as put().
  [[nodiscard]] Result<bool> put_piece(std::string_view digest, Bytes whole, Bytes offset,
                                       std::string_view piece);

  // For a blob that comes piece by piece and whose digest is known at its end only. disk: no file.
  // REQUIRES: the store outlives it.
  [[nodiscard]] Result<std::unique_ptr<BlobWriter>> writer();

  // not_found when there is no such blob; corrupt when its size is not what was written.
  [[nodiscard]] Result<Mapped> map(std::string_view digest) const;
  [[nodiscard]] bool has(std::string_view digest) const;
  // Nothing when there is no such blob.
  [[nodiscard]] std::optional<Bytes> size(std::string_view digest) const;
  // As map(), and reads it all: corrupt when the content has another digest.
  [[nodiscard]] Status verify(std::string_view digest) const;

  // Offers blobs whose file is older than `age` to `unreferenced`, which answers which of them to
  // remove. Looks at whole fan-out folders until `limit` files were seen, and goes on there at the
  // next call. How many were removed. Pieces of puts that were given up, those of which none came
  // for limits::unfinished_put, and what processes that are gone left half-written are removed too.
  // disk: a folder could not be read; what is in the others was collected.
  [[nodiscard]] Result<int> collect(
      Duration age, WallTime now, int limit,
      const std::function<Result<std::vector<std::string>>(std::span<const std::string>)>&
          unreferenced);

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  friend class BlobWriter;
  explicit Blobs(std::filesystem::path folder) : folder_(std::move(folder)) {}
  [[nodiscard]] Status need_folder(std::string_view digest);
  [[nodiscard]] Status publish(int fd, const std::filesystem::path& aside, std::string_view digest);
  [[nodiscard]] Result<bool> touch(std::string_view digest);

  std::filesystem::path folder_;
  std::array<std::atomic<bool>, 256> durable_{};  // fan-out folders that this process has synced
  int collect_at_ = 0;  // the fan-out folder, 0..255, that collect() looks at next
};

// Threads: one at a time.
class BlobWriter {
 public:
  ~BlobWriter();  // what was not finished is removed
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;

  // disk: the blob cannot be finished any more, and finish() says so.
  [[nodiscard]] Status write(std::string_view piece);
  // The digest of all that was written, durable; as Blobs::put. Once.
  [[nodiscard]] Result<std::string> finish();
  [[nodiscard]] Bytes size() const { return size_; }

 private:
  friend class Blobs;
  BlobWriter(Blobs& blobs, std::filesystem::path path, File file)
      : blobs_(blobs), path_(std::move(path)), file_(std::move(file)) {}

  Blobs& blobs_;
  std::filesystem::path path_;
  File file_;
  Sha256 sha256_;
  Bytes size_{};
  bool whole_ = true;    // each write was
  bool placed_ = false;  // it has the name of its digest
};

}  // namespace tallymill::store
