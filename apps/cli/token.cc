// token: a new token, and its line of the file that a front reads with --token-file.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "base/check.h"
#include "http/tokens.h"

namespace tallymill::cli {
namespace {

// The file, made for its owner alone when it is not there, and held while it is written.
class TokenFile {
 public:
  explicit TokenFile(const std::string& path)
      : path_(path),
        fd_(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600)) {}
  ~TokenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  TokenFile(const TokenFile&) = delete;
  TokenFile& operator=(const TokenFile&) = delete;

  // All or nothing of it.
  [[nodiscard]] Status append(std::string_view name, std::string line) const {
    if (fd_ < 0 || ::flock(fd_, LOCK_EX) != 0) return wrong();
    const auto tokens = http::Tokens::read(path_);
    if (!tokens) return std::unexpected(tokens.error());
    if (tokens->has(name))
      return fail(Errc::wrong_state,
                  fmt::format("{} has a token of the name {} already", path_, name), "/name");
    const off_t size = ::lseek(fd_, 0, SEEK_END);
    if (size < 0) return wrong();
    char last = '\n';
    if (size > 0 && ::pread(fd_, &last, 1, size - 1) != 1) return wrong();
    line = (last == '\n' ? "" : "\n") + line + "\n";
    const ssize_t written = ::write(fd_, line.data(), line.size());
    if (std::cmp_equal(written, line.size())) return {};
    if (written >= 0) errno = ENOSPC;
    auto error = wrong();
    (void)!::ftruncate(fd_, size);
    return error;
  }

 private:
  [[nodiscard]] std::unexpected<Error> wrong() const {
    return fail(Errc::disk, fmt::format("cannot write '{}': {}", path_,
                                        std::generic_category().message(errno)));
  }
  const std::string& path_;
  int fd_;
};

}  // namespace

int token(const TokenArgs& args) {
  const auto role = http::role_named(args.role);
  TM_CHECK(role);
  const auto made = http::make_token(args.name, *role);
  if (!made) return tell(args.common, made.error());
  if (!args.file.empty()) {
    if (auto added = TokenFile(args.file).append(args.name, made->line); !added)
      return tell(args.common, added.error());
  }
  // The one place that tells it: whoever asked must have it, and has it from nowhere else.
  const std::string_view revealed = made->token.reveal();
  if (args.common.json) {
    print_json({{"name", args.name},
                {"role", args.role},
                {"token", revealed},
                {"line", made->line},
                {"file", args.file.empty() ? nlohmann::json() : nlohmann::json(args.file)}});
    return exit_ok;
  }
  print(revealed);
  print("\n");
  if (args.file.empty())
    fmt::print(stderr, "{}\n", made->line);
  else
    fmt::print(stderr, "added to {}; it is not told again\n", printable(args.file));
  return exit_ok;
}

}  // namespace tallymill::cli
