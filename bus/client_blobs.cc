#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "base/sha256.h"
#include "base/text.h"
#include "bus/client_state.h"
#include "bus/msgpack_reader.h"

namespace tallymill::bus {
namespace {

constexpr auto piece_bytes = static_cast<std::size_t>(limits::piece_bytes.raw());

// The whole file, unless it is larger than `most`.
Result<std::string> read_file(const std::string& path, Bytes most) {
  const auto wrong = [&](std::string_view what) {
    return fail(Errc::bad_params, fmt::format("cannot read '{}': {}", path, what), "/inputs");
  };
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return wrong(std::generic_category().message(errno));
  const std::unique_ptr<const int, void (*)(const int*)> closer(&fd,
                                                                [](const int* f) { ::close(*f); });
  struct stat info{};
  if (::fstat(fd, &info) != 0) return wrong(std::generic_category().message(errno));
  if (S_ISDIR(info.st_mode)) return wrong("it is a folder");
  if (Bytes(info.st_size) > most)
    return fail(Errc::too_big,
                fmt::format("'{}' has {} bytes, more than {}", path, info.st_size, most.raw()),
                "/inputs");
  std::string bytes;
  char piece[64 * 1024];
  for (;;) {
    const ssize_t n = ::read(fd, piece, sizeof piece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return wrong(std::generic_category().message(errno));
    if (n == 0) return bytes;
    bytes.append(piece, static_cast<std::size_t>(n));
    // A file that grows, or a pipe.
    if (Bytes(static_cast<std::int64_t>(bytes.size())) > most)
      return fail(Errc::too_big, fmt::format("'{}' has more than {} bytes", path, most.raw()),
                  "/inputs");
  }
}

// {"stored": true}: the front has the whole, and needs no further piece.
bool says_stored(std::string_view params) {
  MsgpackReader in(params);
  std::uint32_t pairs = 0;
  if (!in.map(pairs)) return false;
  for (; pairs > 0; --pairs) {
    std::string_view key;
    bool value = false;
    if (!in.read(key)) return false;
    if (key == "stored") return in.read(value) && value;
    if (!in.skip()) return false;
  }
  return false;
}

}  // namespace

// Pieces go out in order, a few ahead of their answers. When the front lost its place in the blob
// (it restarted, or another client put the same), the whole begins anew, a few times. A piece that
// it has no room for now is put again when it may have, with what comes behind it.
Result<std::string> Client::State::put(std::string_view bytes, Duration timeout) {
  if (Bytes(static_cast<std::int64_t>(bytes.size())) > limits::max_job_bytes)
    return fail(Errc::too_big,
                fmt::format("{} bytes, more than {}", bytes.size(), limits::max_job_bytes.raw()));
  std::string digest = sha256_hex(bytes);
  struct Upload {
    std::size_t next = 0;
    int under_way = 0;
    int answers = 0;
    bool stored = false;
    std::optional<Error> error;
    std::optional<Error> busy;
    std::size_t busy_at = 0;  // the first piece that was told so
    std::vector<std::int64_t> requests;
  };
  constexpr int tries = 4;
  std::size_t begin = 0;
  Instant patience = clock.now() + timeout;
  for (int lost = 0; lost < tries;) {
    // Shared with callbacks of pieces that may outlive this call.
    const auto upload = std::make_shared<Upload>();
    upload->next = begin;
    const auto send_pieces = [&] {
      while (!upload->stored && !upload->error && !upload->busy &&
             upload->under_way < limits::blob_pieces_ahead &&
             (upload->next < bytes.size() || upload->requests.empty())) {
        // One piece at least: that of a blob without bytes has none either.
        const std::size_t offset = upload->next;
        const auto piece = bytes.substr(offset, piece_bytes);
        // The caller's bytes may be gone when a piece is asked to be sent again.
        auto frame = std::make_shared<zmq::message_t>(piece.data(), piece.size());
        auto pack = [frame, digest, offset, whole = static_cast<std::int64_t>(bytes.size())](
                        Packer& packer, std::int64_t request) -> Status {
          packer.add(Put{.request = request,
                         .digest = digest,
                         .bytes = whole,
                         .offset = static_cast<std::int64_t>(offset)});
          zmq::message_t same;
          same.copy(*frame);
          packer.add_blob(std::move(same));
          return {};
        };
        auto asked = ask(std::move(pack), [upload, offset](Result<Answer> answer) {
          --upload->under_way;
          ++upload->answers;
          if (!answer && answer.error().code == Errc::busy) {
            upload->busy_at = upload->busy ? std::min(upload->busy_at, offset) : offset;
            upload->busy = std::move(answer).error();
          } else if (!answer)
            upload->error = upload->error ? upload->error : std::move(answer).error();
          else if (says_stored(answer->params))
            upload->stored = true;
        });
        if (!asked) {
          upload->error = std::move(asked).error();
          break;
        }
        ++upload->under_way;
        upload->requests.push_back(last_request);
        upload->next += piece.size();
      }
    };
    int answers = -1;
    for (;;) {
      send_pieces();
      if (upload->stored) return digest;
      if (upload->under_way == 0) break;
      answers = upload->answers;
      if (!pump([&] { return upload->answers != answers; }, timeout)) {
        for (const std::int64_t request : upload->requests) asks.erase(request);
        return std::unexpected(no_answer());
      }
    }
    if (upload->error && upload->error->code != Errc::wrong_state)
      return std::unexpected(std::move(*upload->error).in("put"));
    if (!upload->busy) {
      begin = 0;
      ++lost;
      continue;
    }
    if (upload->busy_at > begin) patience = clock.now() + timeout;
    if (clock.now() > patience) return std::unexpected(std::move(*upload->busy).in("put"));
    begin = upload->busy_at;
    pause(upload->busy->retry_after);
  }
  return fail(Errc::busy, "put: the front lost its place in the blob again and again");
}

Result<std::string> Client::State::fetch(const ResultFile& file, Duration timeout) {
  if (file.digest.empty()) return file.bytes;
  if (!is_sha256_hex(file.digest))
    return fail(Errc::bad_frame, fmt::format("'{}' is no digest", file.digest));
  const auto checked = [&](std::string&& bytes) -> Result<std::string> {
    if (sha256_hex(bytes) == file.digest) return std::move(bytes);
    return fail(Errc::corrupt, fmt::format("'{}' has not the digest {}", file.name, file.digest));
  };
  if (!blobs_folder.empty()) {
    const auto path = std::filesystem::path(blobs_folder) / file.digest.substr(0, 2) / file.digest;
    auto bytes = read_file(path.string(), limits::max_job_bytes);
    if (bytes && Bytes(static_cast<std::int64_t>(bytes->size())) == file.size)
      return checked(std::move(*bytes));
  }

  // How many there are is what the front says: the name's size came from whoever made the file.
  std::string bytes;
  Instant patience = clock.now() + timeout;
  for (;;) {
    auto pack = [digest = file.digest, offset = static_cast<std::int64_t>(bytes.size())](
                    Packer& packer, std::int64_t request) {
      return packer.try_add(Get{.request = request,
                                .digest = digest,
                                .offset = offset,
                                .length = limits::piece_bytes.raw()});
    };
    auto answer = ask_and_wait(std::move(pack), timeout);
    if (!answer && answer.error().code == Errc::busy && clock.now() < patience) {
      pause(answer.error().retry_after);
      continue;
    }
    if (!answer) return std::unexpected(std::move(answer).error().in("get"));
    patience = clock.now() + timeout;
    if (answer->files.empty()) return fail(Errc::bad_frame, "get: an answer without a piece");
    const ResultFile& piece = answer->files.front();
    if (piece.size > limits::max_job_bytes || piece.size < Bytes(0))
      return fail(Errc::too_big, fmt::format("'{}' has {} bytes", file.name, piece.size.raw()));
    const auto whole = static_cast<std::size_t>(piece.size.raw());
    bytes.reserve(whole);
    bytes += piece.bytes;
    if (bytes.size() >= whole) return checked(std::move(bytes));
    if (piece.bytes.empty()) return fail(Errc::bad_frame, "get: a piece without bytes");
  }
}

// The request with every input inline or named by the digest of a blob that the front has.
Result<JobRequest> Client::State::with_blobs(const JobRequest& request, Duration timeout) {
  JobRequest ready = request;
  for (InputFile& file : ready.inputs) {
    if (!file.path.empty()) {
      auto bytes = read_file(file.path, limits::max_job_bytes);
      if (!bytes) return std::unexpected(std::move(bytes).error());
      if (file.name.empty()) {
        file.name = std::filesystem::path(file.path).filename().string();
        clean_text(file.name, limits::file_name_bytes);  // a file system takes any bytes
      }
      file.path.clear();
      file.bytes = std::move(*bytes);
    }
    file.size = Bytes(static_cast<std::int64_t>(file.bytes.size()));
    if (!file.digest.empty() || file.size <= limits::inline_bytes) continue;
    auto digest = put(file.bytes, timeout);
    if (!digest) return std::unexpected(std::move(digest).error().in(file.name));
    file.digest = std::move(*digest);
    file.bytes = {};
  }
  return ready;
}

void Client::while_waiting(std::function<bool()> go_on) { state_->go_on = std::move(go_on); }

Result<std::string> Client::put(std::string_view bytes, std::optional<Duration> timeout) {
  return state_->put(bytes, timeout.value_or(state_->options.timeout));
}

Result<std::string> Client::fetch(const ResultFile& file, std::optional<Duration> timeout) {
  return state_->fetch(file, timeout.value_or(state_->options.timeout));
}

}  // namespace tallymill::bus
