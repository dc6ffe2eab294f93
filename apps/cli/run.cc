// run and submit: jobs from files and parameters.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "apps/cli/command.h"
#include "apps/cli/terminal.h"
#include "bus/messages.h"

namespace tallymill::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Piece {
  bus::JobRequest request;
  std::string folder;  // where its results go
};

// A kind that takes one file gets a job for each; else all files go into one.
Result<std::vector<Piece>> pieces_of(const JobArgs& args, bus::Client& client) {
  auto kinds = kinds_of(client);
  if (!kinds) return std::unexpected(std::move(kinds).error());
  const auto kind = std::ranges::find(*kinds, args.kind, &KindSpec::name);
  const KindSpec* spec = kind == kinds->end() ? nullptr : &*kind;
  auto params = params_of(args.params, args.params_json, spec);
  if (!params) return std::unexpected(std::move(params).error());

  bus::JobRequest request{.kind = args.kind, .priority = args.priority, .key = args.key};
  if (auto set = request.set_params(*params); !set) return std::unexpected(std::move(set).error());
  const auto in = [](double s) {
    return SystemClock().wall() +
           std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
  };
  if (args.deadline_s > 0) request.deadline = in(args.deadline_s);
  if (args.delay_s > 0) request.not_before = in(args.delay_s);

  if (!args.key.empty() && args.common.client.empty())
    return fail(Errc::bad_params,
                "a key is one client's: say which by --client, or the next call is another",
                "/key");
  const bool one_each = spec != nullptr && spec->inputs_max == 1 && args.files.size() > 1;
  if (one_each && !args.key.empty())
    return fail(Errc::bad_params, "--key names one job, and each of these files is one", "/key");
  std::vector<Piece> pieces;
  std::set<std::string> folders;
  if (!one_each) {
    for (const std::string& file : args.files) request.inputs.push_back({.path = file});
    pieces.push_back({std::move(request), args.out});
    return pieces;
  }
  for (const std::string& file : args.files) {
    Piece& piece = pieces.emplace_back(Piece{request, {}});
    piece.request.inputs.push_back({.path = file});
    const std::string stem = fs::path(file).stem().string();
    std::string name = stem;
    for (int n = 2; !folders.insert(name).second; ++n) name = fmt::format("{}-{}", stem, n);
    piece.folder = (fs::path(args.out) / name).string();
  }
  return pieces;
}

// What is known of the jobs of one `run`.
class Board {
 public:
  explicit Board(std::size_t jobs) : all_(jobs) {}
  void accepted(JobId job) { fraction_[job.raw()] = 0; }
  void happened(const bus::Event& event) {
    const auto found = fraction_.find(event.job);
    if (found != fraction_.end()) found->second = std::max(found->second, event.fraction);
  }
  void ended(JobId job) {
    fraction_.erase(job.raw());
    ++ended_;
  }
  void draw(ProgressLine& line, const std::string& kind) const {
    double done = static_cast<double>(ended_);
    for (const auto& [job, fraction] : fraction_) done += fraction;
    line.show(all_ == 1 ? kind : fmt::format("{}  {} of {} jobs", kind, ended_, all_),
              done / static_cast<double>(all_));
  }

 private:
  std::size_t all_;
  std::size_t ended_ = 0;
  std::map<std::int64_t, double> fraction_;  // of jobs under way
};

json to_json(const bus::JobResult& end, const std::vector<std::string>& paths) {
  json value{{"job", end.job.raw()}, {"state", end.state}, {"attempts", end.attempts}};
  if (end.whole > Duration(0)) value["whole_ns"] = end.whole.count();
  if (end.done()) {
    value["values"] = end.values_json();
    value["files"] = paths;
  } else {
    add_error(value, end.error);
  }
  return value;
}

// Of one that this command has no result of: refused, still under way, or done and not written.
json to_json(std::optional<JobId> job, std::string_view state, const Error& error) {
  json value{{"state", state}};
  if (job) value["job"] = job->raw();
  add_error(value, error);
  return value;
}

}  // namespace

int submit(const JobArgs& args) {
  const Session client = open_session(args.common);
  if (!client) return client.exit_code;
  auto pieces = pieces_of(args, *client.client);
  if (!pieces) return tell(args.common, pieces.error());
  std::vector<bus::JobRequest> requests;
  for (Piece& piece : *pieces) requests.push_back(std::move(piece.request));
  int exit_code = exit_ok;
  json ids = json::array();
  json refused = json::array();
  const auto jobs = client->submit_batch(requests);
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i]) {
      exit_code = tell(args.common, jobs[i].error());
      json& one = refused.emplace_back(json::object());
      if (jobs.size() > 1) one["file"] = requests[i].inputs.front().path;
      add_error(one, jobs[i].error());
      continue;
    }
    ids.push_back(jobs[i]->raw());
    if (!args.common.json) print(fmt::format("{}\n", jobs[i]->raw()));
  }
  if (args.common.json) print_json({{"jobs", ids}, {"refused", refused}});
  return exit_code;
}

int run(const JobArgs& args) {
  // Before anything is sent: a folder that cannot be written to makes the work be for nothing.
  if (auto writable = check_folder(args.out); !writable) return tell(args.common, writable.error());
  const Session client = open_session(args.common);
  if (!client) return client.exit_code;
  auto pieces = pieces_of(args, *client.client);
  if (!pieces) return tell(args.common, pieces.error());

  Board board(pieces->size());
  ProgressLine line;
  client->on_event([&](const bus::Event& event, const bus::Item&) {
    board.happened(event);
    board.draw(line, args.kind);
  });
  std::vector<bus::JobRequest> requests;
  for (Piece& piece : *pieces) requests.push_back(std::move(piece.request));
  line.show(fmt::format("{}  sending", args.kind), -1);
  const auto ids = client->submit_batch(requests);
  for (const auto& id : ids)
    if (id) board.accepted(*id);
  board.draw(line, args.kind);

  int exit_code = exit_ok;
  json results = json::array();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    // Each file has its place in `jobs`, whatever became of it.
    const auto failed = [&](std::string_view state, const Error& error) {
      line.clear();
      exit_code = tell(args.common, error);
      const auto job = ids[i] ? std::optional(*ids[i]) : std::nullopt;
      results.push_back(to_json(job, state, error));
    };
    if (!ids[i]) {
      failed("refused", ids[i].error());
      continue;
    }
    auto end = client->wait(*ids[i], patience_of(args.common));
    if (!end) {
      failed("unknown", end.error());
      continue;
    }
    board.ended(*ids[i]);
    std::vector<std::string> paths;
    if (end->done()) {
      auto written = write_files(*client.client, *end, (*pieces)[i].folder, args.force);
      if (!written) {
        failed(end->state, written.error());
        fmt::print(stderr, "  the result is kept: tallymill result {} --out DIR\n", ids[i]->raw());
        continue;
      }
      paths = std::move(*written);
    }
    line.clear();
    if (args.common.json) {
      results.push_back(to_json(*end, paths));
    } else if (end->done()) {
      for (const std::string& path : paths) print(printable(path) + "\n");
      fmt::print(stderr, "job {}  {}{}\n", ids[i]->raw(), coloured("done", Colour::green, 2),
                 end->whole > Duration(0) ? "  in " + human(end->whole) : "");
    }
    if (!end->done()) {
      Error error = end->error;
      error.message = fmt::format("job {} {}: {}", ids[i]->raw(), end->state,
                                  error.message.empty() ? info(error.code).meaning : error.message);
      if (args.common.json)
        exit_code = exit_negative;
      else
        (void)tell(args.common, error), exit_code = exit_negative;
    }
    board.draw(line, args.kind);
  }
  line.clear();
  if (args.common.json) print_json({{"jobs", results}});
  return exit_code;
}

}  // namespace tallymill::cli
