#include "http/access_log.h"

#include <fmt/format.h>

#include <chrono>

#include "base/log.h"
#include "http/tokens.h"

namespace tallymill::http {

void log_request(const Request& request, int status, std::size_t bytes, Duration took) {
  if (!log::is_on(log::Level::info)) return;
  log::write(log::Level::info,
             fmt::format("{} {} {} {} {} B {:.3f} ms {} {}", request.peer, name_of(request.method),
                         path_for_log(request.target), status, bytes,
                         std::chrono::duration<double, std::milli>(took).count(),
                         request.caller.name.empty() ? "-" : request.caller.name, request.id),
             {.trace = request.trace});
}

std::string path_for_log(std::string_view target) {
  std::string path(target.substr(0, target.find('?')));
  if (holds_token(path)) return "***";
  for (char& c : path)
    if (c <= ' ' || c > '~') c = '?';
  return path;
}

}  // namespace tallymill::http
