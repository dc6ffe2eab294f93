#include "alerting/prober_postgres.h"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <string_view>

#include "base/thread.h"

namespace tallymill::alerting {
namespace {

using Connection = unique_handle<PGconn, PQfinish>;
using Answer = unique_handle<PGresult, PQclear>;
using Options = unique_handle<PQconninfoOption, PQconninfoFree>;

// The first line of what libpq says, which never has the password in it.
std::unexpected<Error> away(const PGconn* connection) {
  const std::string_view said = PQerrorMessage(connection);
  std::string line(said.substr(0, std::min<std::size_t>(said.find('\n'), 300)));
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 32 || c == 127; };
  std::ranges::replace_if(line, is_control, ' ');
  return fail(Errc::away, line.empty() ? "it closed the connection" : std::move(line));
}

Status connect(PGconn* connection, const ProberWait& wait) {
  if (PQstatus(connection) == CONNECTION_BAD) return away(connection);
  for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK;
       next = PQconnectPoll(connection)) {
    if (next == PGRES_POLLING_FAILED) return away(connection);
    const short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (auto ready = wait.ready(PQsocket(connection), events); !ready) return ready;
  }
  return {};
}

Status ask(PGconn* connection, const ProberWait& wait) {
  if (PQsetnonblocking(connection, 1) != 0 || PQsendQuery(connection, "SELECT 1") != 1)
    return away(connection);
  for (int left = PQflush(connection); left != 0; left = PQflush(connection)) {
    if (left < 0) return away(connection);
    if (auto ready = wait.ready(PQsocket(connection), POLLOUT); !ready) return ready;
  }
  while (PQisBusy(connection) != 0) {
    if (auto ready = wait.ready(PQsocket(connection), POLLIN); !ready) return ready;
    if (PQconsumeInput(connection) != 1) return away(connection);
  }
  const Answer answer(PQgetResult(connection));
  if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK) return away(connection);
  return {};
}

}  // namespace

Result<std::string> postgres_target(const Secret& dsn) {
  char* why = nullptr;  // it quotes the text
  std::string text(dsn.reveal());
  const Options options(PQconninfoParse(text.c_str(), &why));
  Secret::wipe(text);
  PQfreemem(why);
  if (options == nullptr) return fail(Errc::bad_params, "expected a DSN of PostgreSQL");
  std::string host = "local";
  std::string port = "5432";
  std::string database;
  for (const PQconninfoOption* at = options.get(); at->keyword != nullptr; ++at) {
    const std::string_view key = at->keyword;
    if (at->val == nullptr) continue;
    if (key == "host" || (key == "hostaddr" && host == "local")) host = at->val;
    if (key == "port") port = at->val;
    if (key == "dbname") database = at->val;
  }
  return fmt::format("{}:{}/{}", host, port, database);
}

Status select_one(const Secret& dsn, const ProberWait& wait) {
  std::string text(dsn.reveal());
  const Connection connection(PQconnectStart(text.c_str()));
  Secret::wipe(text);
  if (connection == nullptr) return fail(Errc::memory, "no memory for a connection");
  if (auto connected = connect(connection.get(), wait); !connected) return connected;
  return ask(connection.get(), wait);
}

}  // namespace tallymill::alerting
