#include "alerting/prober_redis.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/thread.h"

namespace tallymill::alerting {
namespace {

using Reader = unique_handle<redisReader, redisReaderFree>;

// Wiped when it was sent: it may hold a password.
Secret command_of(const std::vector<std::string_view>& words) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const std::string_view word : words) {
    texts.push_back(word.data());
    sizes.push_back(word.size());
  }
  char* made = nullptr;
  const int size =
      redisFormatCommandArgv(&made, static_cast<int>(words.size()), texts.data(), sizes.data());
  if (size < 0) throw std::bad_alloc();
  Secret command(std::string(made, static_cast<std::size_t>(size)));
  ::explicit_bzero(made, static_cast<std::size_t>(size));
  redisFreeCommand(made);
  return command;
}

// "WRONGPASS" of "WRONGPASS invalid username-password pair".
std::string_view first_word(std::string_view text) {
  const auto is_letter = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto end = std::ranges::find_if_not(text.substr(0, 32), is_letter);
  return text.substr(0, static_cast<std::size_t>(end - text.begin()));
}

class Conversation {
 public:
  Conversation(int fd, const ProberWait& wait)
      : fd_(fd), wait_(wait), reader_(redisReaderCreate()) {
    if (reader_ == nullptr) throw std::bad_alloc();
  }

  // That it answers with this word.
  Status ask(const std::vector<std::string_view>& words, std::string_view expected) {
    if (auto sent = send_all(fd_, command_of(words).reveal(), wait_); !sent) return sent;
    auto answer = line();
    if (!answer) return std::unexpected(std::move(answer).error());
    // A line that is no list, so that nothing in it sizes what the reader makes.
    redisReaderFeed(reader_.get(), answer->data(), answer->size());
    void* made = nullptr;
    if (redisReaderGetReply(reader_.get(), &made) != REDIS_OK || made == nullptr) return no_redis();
    const unique_handle<void, freeReplyObject> freed(made);
    const auto& reply = *static_cast<const redisReply*>(made);
    const std::string_view said(reply.str, reply.len);
    if (reply.type == REDIS_REPLY_STATUS && said == expected) return {};
    if (reply.type != REDIS_REPLY_ERROR) return no_redis();
    return fail(Errc::away,
                fmt::format("redis answers {} with the error {}", words.front(), first_word(said)));
  }

 private:
  static std::unexpected<Error> no_redis() { return fail(Errc::bad_frame, "it is no redis"); }

  Result<std::string> line() {
    for (;;) {
      if (!read_.empty() && read_.front() != '+' && read_.front() != '-') return no_redis();
      const std::size_t end = read_.find("\r\n");
      if (end != std::string::npos && end + 2 <= limits::probe_line_bytes) {
        std::string found = read_.substr(0, end + 2);
        read_.erase(0, end + 2);
        return found;
      }
      if (read_.size() >= limits::probe_line_bytes) return no_redis();
      char bytes[512];
      const ssize_t got = ::recv(fd_, bytes, sizeof(bytes), 0);
      if (got > 0) {
        read_.append(bytes, static_cast<std::size_t>(got));
      } else if (got == 0) {
        return fail(Errc::away, "it closed the connection");
      } else if (errno == EAGAIN) {
        if (auto ready = wait_.ready(fd_, POLLIN); !ready)
          return std::unexpected(std::move(ready).error());
      } else if (errno != EINTR) {
        return fail(Errc::away, std::generic_category().message(errno));
      }
    }
  }

  const int fd_;
  const ProberWait& wait_;
  const Reader reader_;
  std::string read_;  // and not taken yet
};

}  // namespace

Status ping_redis(const ProbeConfig& probe, const ProberWait& wait) {
  const auto connection = connect_tcp(probe.host, probe.port, wait);
  if (!connection) return std::unexpected(connection.error());
  Conversation redis(connection->fd(), wait);
  if (!probe.secret.empty()) {
    std::vector<std::string_view> auth{"AUTH"};
    if (!probe.username.empty()) auth.emplace_back(probe.username);
    auth.push_back(probe.secret.reveal());
    if (auto known = redis.ask(auth, "OK"); !known) return known;
  }
  return redis.ask({"PING"}, "PONG");
}

}  // namespace tallymill::alerting
