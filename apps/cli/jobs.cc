// status, wait, result, cancel, retry, jobs: what became of jobs.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "bus/messages.h"

namespace tallymill::cli {
namespace {

using nlohmann::json;

// Calls `one` for each job; its answers are one JSON object, or a list of them. Each job has its
// place there, one that is refused or not known with its error.
template <class One>
int for_each_job(const IdArgs& args, One one) {
  const Session client = open_session(args.common);
  if (!client) return client.exit_code;
  int exit_code = exit_ok;
  json answers = json::array();
  for (const std::int64_t id : args.jobs) {
    int code = exit_ok;
    auto answer = one(*client.client, JobId(id), code);
    if (!answer) {
      exit_code = tell(args.common, answer.error());
      add_error(answers.emplace_back(json{{"job", id}}), answer.error());
      continue;
    }
    if (code != exit_ok) exit_code = code;
    answers.push_back(std::move(*answer));
  }
  if (args.common.json) print_json(args.jobs.size() == 1 ? answers.front() : answers);
  return exit_code;
}

std::string ago(std::int64_t unix_ns) {
  const Duration age(to_ns(SystemClock().wall()) - unix_ns);
  const auto seconds = age.count() / 1'000'000'000;
  if (seconds < 60) return fmt::format("{} s", std::max<std::int64_t>(0, seconds));
  return human(age);
}

void print_status(const json& s) {
  const auto line = [](std::string_view name, const std::string& value) {
    if (!value.empty()) print(fmt::format("{:<10} {}\n", name, value));
  };
  const std::string state = text_at(s, "state");
  line("job", fmt::format("{}", number_at(s, "job")));
  line("kind", printable(text_at(s, "kind")));
  line("state", coloured(state, colour_of_state(state)));
  if (s.contains("code"))
    line("error",
         fmt::format("{}: {}{}{}", text_at(s, "code"), printable_lines(text_at(s, "message")),
                     text_at(s, "field").empty() ? "" : "  at ", printable(text_at(s, "field"))));
  line("client", printable(text_at(s, "client")));
  line("priority", fmt::format("{}", number_at(s, "priority")));
  line("attempts", fmt::format("{}", number_at(s, "attempts")));
  const std::int64_t submitted = number_at(s, "submitted_unix_ns");
  line("submitted", fmt::format("{}  ({} ago)", human_time(submitted), ago(submitted)));
  if (const std::int64_t end = number_at(s, "end_unix_ns"); end != 0)
    line("ended", fmt::format("{}  (after {})", human_time(end), human(Duration(end - submitted))));
  if (const std::int64_t deadline = number_at(s, "deadline_unix_ns"); deadline != 0)
    line("deadline", human_time(deadline));
  if (const std::int64_t parent = number_at(s, "parent"); parent != 0)
    line("retries", fmt::format("job {}", parent));
}

}  // namespace

int status(const IdArgs& args) {
  bool first = true;
  return for_each_job(args, [&](bus::Client& client, JobId job, int&) -> Result<json> {
    auto answer = client.status(job);
    if (answer && !args.common.json) {
      if (!std::exchange(first, false)) print("\n");
      print_status(*answer);
    }
    return answer;
  });
}

int wait(const IdArgs& args) {
  ProgressLine line;
  return for_each_job(args, [&](bus::Client& client, JobId job, int& code) -> Result<json> {
    const std::string name = fmt::format("job {}", job.raw());
    line.show(name, 0);
    client.on_event([&](const bus::Event& event, const bus::Item&) {
      if (event.job == job.raw() && event.what == "progress") line.show(name, event.fraction);
    });
    const auto end = client.wait(job, patience_of(args.common));
    line.clear();
    if (!end) return std::unexpected(end.error());
    if (!end->done()) code = exit_negative;
    json answer{{"job", job.raw()}, {"state", end->state}};
    if (end->done()) answer["values"] = end->values_json();
    if (!end->done()) {
      answer["code"] = info(end->error.code).name;
      answer["message"] = end->error.message;
      answer["field"] = end->error.field;
    }
    if (!args.common.json)
      print(fmt::format("{}  {}{}\n", job.raw(), coloured(end->state, colour_of_state(end->state)),
                        end->done() ? ""
                                    : fmt::format("  {}: {}", info(end->error.code).name,
                                                  printable_lines(end->error.message))));
    return answer;
  });
}

int result(const IdArgs& args) {
  if (auto writable = check_folder(args.out); !writable) return tell(args.common, writable.error());
  return for_each_job(args, [&](bus::Client& client, JobId job, int& code) -> Result<json> {
    auto end = client.result(job);
    if (!end) {
      // The error of a job that did not get done is not the command's: told as `run` tells it.
      const auto status = client.status(job);
      const std::string state = status ? text_at(*status, "state") : "";
      if (state != "failed" && state != "cancelled" && state != "expired")
        return std::unexpected(std::move(end).error());
      Error why = std::move(end).error();
      why.message = fmt::format("job {} {}: {}", job.raw(), state, why.message);
      (void)tell(args.common, why);
      code = exit_negative;
      json answer{{"job", job.raw()}, {"state", state}};
      add_error(answer, why);
      return answer;
    }
    // Names repeat from job to job.
    const std::string folder =
        args.jobs.size() == 1 ? args.out : fmt::format("{}/{}", args.out, job.raw());
    auto paths = write_files(client, *end, folder, args.force);
    if (!paths) return std::unexpected(std::move(paths).error());
    if (!args.common.json)
      for (const std::string& path : *paths) print(printable(path) + "\n");
    return json{{"job", job.raw()}, {"values", end->values_json()}, {"files", *paths}};
  });
}

int cancel(const IdArgs& args) {
  return for_each_job(args, [&](bus::Client& client, JobId job, int&) -> Result<json> {
    auto answer = client.cancel(job);
    if (answer && !args.common.json) {
      const std::string state = text_at(*answer, "state");
      print(fmt::format("{}  {}\n", job.raw(), coloured(state, colour_of_state(state))));
    }
    return answer;
  });
}

int retry(const IdArgs& args) {
  return for_each_job(args, [&](bus::Client& client, JobId job, int&) -> Result<json> {
    auto made = client.retry(job);
    if (!made) return std::unexpected(std::move(made).error());
    if (!args.common.json) print(fmt::format("{}\n", made->raw()));
    return json{{"job", made->raw()}, {"parent", job.raw()}};
  });
}

namespace {

// Page by page, until there are as many as were asked for.
Result<json> list_of(bus::Client& client, const JobsArgs& args) {
  // States of the table that the ledger does not know apart.
  const bool live_one =
      args.state == "waiting" || args.state == "in_flight" || args.state == "settling";
  bus::Ask ask{.state = live_one ? "live" : std::string_view(args.state),
               .kind = args.kind,
               .stage = args.stage,
               .client = args.client,
               .text = args.query,
               .sort = args.sort};
  if (args.since_s > 0)
    ask.since_unix_ns = to_ns(SystemClock().wall()) - static_cast<std::int64_t>(args.since_s * 1e9);
  json all = json::array();
  json answer;
  std::string cursor = args.cursor;
  do {
    ask.cursor = cursor;
    ask.limit = args.limit - static_cast<int>(all.size());
    auto page = client.jobs(ask);
    if (!page) return page;
    answer = std::move(*page);
    const auto rows = answer.find("jobs");
    if (rows == answer.end() || !rows->is_array())
      return fail(Errc::bad_frame, "the front's answer has no jobs");
    for (json& row : *rows)
      if (!live_one || text_at(row, "state") == args.state) all.push_back(std::move(row));
    cursor = text_at(answer, "cursor");
  } while (!cursor.empty() && static_cast<int>(all.size()) < args.limit);
  answer["jobs"] = std::move(all);
  return answer;
}

bool filters(const JobsArgs& args) {
  return args.since_s > 0 || !args.cursor.empty() ||
         !(args.state + args.kind + args.stage + args.client + args.query).empty();
}

}  // namespace

int jobs(const JobsArgs& args) {
  const Session client = open_session(args.common);
  if (!client) return client.exit_code;
  const auto answer = list_of(*client.client, args);
  if (!answer) return tell(args.common, answer.error());
  if (args.common.json) return print_json(*answer), exit_ok;
  const auto list = answer->find("jobs");
  if (list->empty()) {
    fmt::print(stderr, "no jobs{}\n", filters(args) ? " match" : " yet");
    return exit_ok;
  }
  Table table({{"JOB", true},
               {"KIND"},
               {"STATE"},
               {"AGE", true},
               {"TOOK", true},
               {"TRIES", true},
               {"CLIENT"},
               {"ERROR"}});
  for (const json& job : *list) {
    const std::string state = text_at(job, "state");
    const std::int64_t begin = number_at(job, "submitted_unix_ns");
    const std::int64_t end = number_at(job, "end_unix_ns");
    std::string client_name = text_at(job, "client");
    if (client_name.starts_with("anonymous-")) client_name = "-";
    table.row({fmt::format("{}", number_at(job, "job")), printable(text_at(job, "kind")),
               coloured(state, colour_of_state(state)), ago(begin),
               end == 0 ? "" : human(Duration(end - begin)),
               fmt::format("{}", number_at(job, "attempts")), printable(client_name),
               printable(text_at(job, "code"))});
  }
  print(table.text());
  return exit_ok;
}

}  // namespace tallymill::cli
