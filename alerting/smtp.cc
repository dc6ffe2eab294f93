#include "alerting/smtp.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <mutex>
#include <set>
#include <utility>

#include "alerting/alert_json.h"
#include "base/check.h"
#include "base/thread.h"

namespace tallymill::alerting {
namespace {

// One that stands in a header and in a command of SMTP: nothing that ends either.
bool is_address(std::string_view text) {
  return text.size() <= 254 && text.find('@') != std::string_view::npos &&
         std::ranges::all_of(text, [](char c) {
           return c > 0x20 && c < 0x7f && c != '<' && c != '>' && c != ',' && c != '"';
         });
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    const std::size_t there = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k)
      three = three << 8 | (k < there ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k)
      text += k <= there ? digits[three >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

// RFC 2047: words of at most 75 characters, cut between characters.
std::string encoded_words(std::string_view text) {
  constexpr std::size_t most = 42;  // 56 in base64
  std::string words;
  while (!text.empty()) {
    std::size_t size = std::min(most, text.size());
    while (size > 1 && size < text.size() &&
           (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80)
      --size;
    words +=
        fmt::format("{}=?UTF-8?B?{}?=", words.empty() ? "" : "\r\n ", base64(text.substr(0, size)));
    text.remove_prefix(size);
  }
  return words;
}

std::string folded_base64(std::string_view bytes) {
  constexpr std::size_t line = 57;  // 76 in base64
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += line)
    text += base64(bytes.substr(i, line)) + "\r\n";
  return text;
}

std::string date_of(std::int64_t ms) {
  constexpr std::array days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const time_t seconds = ms / 1000;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000",
                     days[static_cast<std::size_t>(parts.tm_wday)], parts.tm_mday,
                     months[static_cast<std::size_t>(parts.tm_mon)], parts.tm_year + 1900,
                     parts.tm_hour, parts.tm_min, parts.tm_sec);
}

// What libcurl reads the mail from.
struct Upload {
  std::string_view rest;
  static std::size_t read(char* to, std::size_t size, std::size_t count, void* self) {
    std::string_view& rest = static_cast<Upload*>(self)->rest;
    const std::size_t n = std::min(size * count, rest.size());
    std::memcpy(to, rest.data(), n);
    rest.remove_prefix(n);
    return n;
  }
};
// What a server says is for nobody.
std::size_t drop(char*, std::size_t size, std::size_t count, void*) { return size * count; }

// libcurl writes to sockets that may be closed; of what it does with OpenSSL that is a signal.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  }
};

using Easy = unique_handle<CURL, curl_easy_cleanup>;
using List = unique_handle<curl_slist, curl_slist_free_all>;

Status judge(CURLcode code, long reply) {
  if (code == CURLE_OK) return {};
  if (code == CURLE_OPERATION_TIMEDOUT) return fail(Errc::deadline, "no answer in time");
  if (reply == 552 || reply == 554)
    return fail(Errc::bad_params, fmt::format("the server answered {}", reply));
  // Its own words name no secret: they are a table.
  return fail(Errc::away, fmt::format("{} (last reply {})", curl_easy_strerror(code), reply));
}

}  // namespace

// Its sockets are known, so that stop() can end them: libcurl waits for an answer to QUIT, and that
// wait cannot be woken.
struct Smtp::Handles {
  Handles() : multi(curl_multi_init()) { TM_CHECK(multi != nullptr); }
  ~Handles() { curl_multi_cleanup(multi); }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  static curl_socket_t open(void* self, curlsocktype, curl_sockaddr* address) {
    auto& handles = *static_cast<Handles*>(self);
    const std::lock_guard lock(handles.sockets_mutex);
    if (handles.stopped) return CURL_SOCKET_BAD;
    const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0) handles.sockets.insert(fd);
    return fd;
  }
  static int close(void* self, curl_socket_t fd) {
    auto& handles = *static_cast<Handles*>(self);
    const std::lock_guard lock(handles.sockets_mutex);
    handles.sockets.erase(fd);
    return ::close(fd);
  }
  void stop() {
    const std::lock_guard lock(sockets_mutex);
    stopped = true;
    for (const int fd : sockets) ::shutdown(fd, SHUT_RDWR);
    curl_multi_wakeup(multi);
  }

  CURLM* multi;
  std::mutex sockets_mutex;  // guards the sockets
  std::set<int> sockets;
  std::atomic<bool> stopped{false};
};

Smtp::Smtp(Options options) : options_(std::move(options)) {
  static std::once_flag once;
  std::call_once(once, [] { TM_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
  handles_ = std::make_unique<Handles>();
}

Smtp::~Smtp() = default;

Status Smtp::start() {
  if (!options_.url.starts_with("smtp://") && !options_.url.starts_with("smtps://"))
    return fail(Errc::bad_params, "the URL begins with smtp:// or smtps://");
  if (!is_address(options_.from)) return fail(Errc::bad_params, "`from` is no mail address");
  if (options_.to.empty() || !std::ranges::all_of(options_.to, is_address))
    return fail(Errc::bad_params, "`to` is no list of mail addresses");
  return {};
}

void Smtp::stop() { handles_->stop(); }

std::string Smtp::mail_of(const Message& message) const {
  std::string to;
  for (const std::string& one : options_.to) to += (to.empty() ? "" : ",\r\n ") + one;
  const auto& first = message.notices.empty() ? message.standing : message.notices;
  const std::int64_t at_ms = first.empty() ? 0 : first.front().at_ms;
  return fmt::format(
      "From: {}\r\nTo: {}\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{}@tallymill>\r\n"
      "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Transfer-Encoding: base64\r\nAuto-Submitted: auto-generated\r\n\r\n{}",
      options_.from, to, encoded_words(title_of(message)), date_of(at_ms), message.key,
      folded_base64(text_of(message)));
}

Status Smtp::send(const Message& message) {
  const NoPipeSignal none;
  const std::string mail = mail_of(message);
  Upload upload{mail};
  const Easy easy(curl_easy_init());
  if (!easy) return fail(Errc::memory, "no memory for a mail");
  List to;
  for (const std::string& one : options_.to)
    to.reset(curl_slist_append(to.release(), ("<" + one + ">").c_str()));
  const std::string from = "<" + options_.from + ">";
  const auto set = [&](auto option, auto value) { curl_easy_setopt(easy.get(), option, value); };
  set(CURLOPT_URL, options_.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // a resolver that hangs is left behind
  set(CURLOPT_PROXY, "");
  set(CURLOPT_OPENSOCKETFUNCTION, &Handles::open);
  set(CURLOPT_OPENSOCKETDATA, handles_.get());
  set(CURLOPT_CLOSESOCKETFUNCTION, &Handles::close);
  set(CURLOPT_CLOSESOCKETDATA, handles_.get());
  set(CURLOPT_FORBID_REUSE, 1L);
  set(CURLOPT_SERVER_RESPONSE_TIMEOUT, static_cast<long>(options_.timeout.count() / 1000 + 1));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(options_.timeout.count()));
  set(CURLOPT_USE_SSL, static_cast<long>(options_.starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
  set(CURLOPT_MAIL_FROM, from.c_str());
  set(CURLOPT_MAIL_RCPT, to.get());
  set(CURLOPT_UPLOAD, 1L);
  set(CURLOPT_READFUNCTION, &Upload::read);
  set(CURLOPT_READDATA, &upload);
  set(CURLOPT_WRITEFUNCTION, &drop);
  set(CURLOPT_HEADERFUNCTION, &drop);
  if (!options_.username.empty()) {
    std::string password(options_.password.reveal());
    set(CURLOPT_USERNAME, options_.username.c_str());
    set(CURLOPT_PASSWORD, password.c_str());
    Secret::wipe(password);
  }
  CURLM* const multi = handles_->multi;
  curl_multi_add_handle(multi, easy.get());
  CURLcode code = CURLE_FAILED_INIT;
  for (int running = 1; running > 0 && !handles_->stopped;) {
    if (curl_multi_perform(multi, &running) != CURLM_OK) break;
    if (running > 0 && !handles_->stopped)
      curl_multi_poll(multi, nullptr, 0, static_cast<int>(options_.timeout.count()), nullptr);
  }
  int left = 0;
  while (const CURLMsg* ended = curl_multi_info_read(multi, &left))
    if (ended->msg == CURLMSG_DONE) code = ended->data.result;
  long reply = 0;
  curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &reply);
  curl_multi_remove_handle(multi, easy.get());
  if (handles_->stopped) return fail(Errc::cancelled, "the sink was stopped");
  return judge(code, reply);
}

}  // namespace tallymill::alerting
