// tallymill-cli: the commands of a user, each in its own file; this one knows their flags.
#include <unistd.h>
#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <system_error>
#include <utility>

#include "apps/cli/command.h"
#include "apps/cli/reference.h"
#include "apps/cli/rules.h"

namespace tallymill::cli {
namespace {

void on_interrupt(int) {
  (void)!::write(2, "\n", 1);
  ::_exit(exit_interrupted);
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

// Empty: it is one.
std::string job_id(const std::string& word) {
  std::int64_t id = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
  if (error == std::errc() && end == word.data() + word.size() && id > 0) return {};
  return "'" + word + "' is not a job's number";
}

// Of durations from now: the ledger's clock ends in the year 2262.
std::string seconds(const std::string& word) {
  constexpr double most = 100 * 365.0 * 86400;
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error == std::errc() && end == word.data() + word.size() && value > 0 && value <= most)
    return {};
  return "'" + word + "' is no number of seconds above 0 and up to 100 years";
}

// "90", "90s", "5m", "2h", "1d" as seconds.
std::string span_of_time(std::string& word) {
  constexpr std::pair<char, double> units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
  std::string number = word;
  double unit_s = 1;
  for (const auto& [letter, length_s] : units) {
    if (number.size() < 2 || number.back() != letter) continue;
    unit_s = length_s;
    number.pop_back();
    break;
  }
  if (auto wrong = seconds(number); !wrong.empty())
    return "'" + word + "' is no time as 90, 5m, 2h or 1d";
  word = std::to_string(std::stod(number) * unit_s);
  return seconds(word);
}

// What nobody could read is not an answer that was given.
int flushed(int exit_code) {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  std::fprintf(stderr, "tallymill: the output cannot be written: %s\n",
               std::generic_category().message(errno).c_str());
  return exit_cannot_run;
}

// All flags of all commands, and which command was asked for.
class Commands {
 public:
  explicit Commands(CLI::App& app) : app_(app) {
    app_.require_subcommand(1);
    app_.set_help_all_flag("--help-all", "every command with its flags");
    jobs_group();
    pipeline_group();
    rules_group();
    upkeep_group();
  }
  int run() {
    // Not by the option's own `envname`: that one writes over what another command's flag said.
    if (common_.server.empty()) common_.server = variable("TALLYMILL_SERVER");
    if (common_.client.empty()) common_.client = variable("TALLYMILL_CLIENT");
    if (collector_.url.empty()) collector_.url = variable("TALLYMILL_COLLECTOR");
    common_.command = app_.get_subcommands().front()->get_name();
    return chosen_();
  }

 private:
  CLI::App* command(const std::string& name, const std::string& help, std::function<int()> does,
                    bool connects = true) {
    CLI::App* sub = app_.add_subcommand(name, help);
    add_common(*sub, connects);
    sub->callback([this, does = std::move(does)] { chosen_ = does; });
    return sub;
  }

  void add_common(CLI::App& sub, bool connects) {
    sub.add_flag("--json", common_.json, "the answer as JSON");
    if (!connects) return;
    sub.add_option("--server", common_.server,
                   "address of the front: tcp://, ipc://,\nhttp:// or https:// (default:\n"
                   "TALLYMILL_SERVER, else the socket in the\nrun folder, else "
                   "tcp://127.0.0.1:7750)");
    sub.add_option("--token-file", common_.token_file,
                   "file with the token for an http server\n(default: TALLYMILL_TOKEN holds it)");
    sub.add_option("--ca-file", common_.ca_file,
                   "PEM file with who vouches for an https\nserver (default: the system's)");
    sub.add_option("--client", common_.client,
                   "client name, for idempotency keys and\nfairness (default: TALLYMILL_CLIENT)");
    sub.add_option("--timeout", common_.timeout_s, "seconds to wait for an answer, or for\nthe job")
        ->check(seconds);
    sub.add_flag("--insecure", common_.insecure, "connect to another host, in the clear");
  }

  void add_job_flags(CLI::App& sub) {
    sub.add_option("kind", job_.kind, "kind of job, see `tallymill kinds`")->required();
    sub.add_option("files", job_.files, "input files; a kind that takes one gets\na job for each");
    sub.add_option("-p,--param", job_.params, "name=value, as --param width_mm=80")
        ->allow_extra_args(false);
    sub.add_option("--params", job_.params_json, "all parameters as a JSON object");
    sub.add_option("--priority", job_.priority, "0 (lowest) to 9")->check(CLI::Range(0, 9));
    sub.add_option(
        "--key", job_.key,
        "idempotency key: the same key of the same\nclient is the same job; needs --client");
    sub.add_option("--deadline", job_.deadline_s, "seconds from now after which it expires")
        ->check(seconds);
    sub.add_option("--delay", job_.delay_s, "seconds from now before which it does\nnot start")
        ->check(seconds);
  }

  void add_out(CLI::App& sub, std::string& out, bool& force) {
    sub.add_option("-o,--out", out, "folder for the results (default: here)");
    sub.add_flag("-f,--force", force, "write over files that are there");
  }

  CLI::App* id_command(const std::string& name, const std::string& help,
                       int (*does)(const IdArgs&)) {
    CLI::App* sub = command(name, help, [this, does] {
      ids_.common = common_;
      return does(ids_);
    });
    sub->add_option("job", ids_.jobs, "job ids")->required()->check(job_id);
    return sub;
  }

  void jobs_group() {
    CLI::App* run_job = command("run", "submit, wait with a progress bar, write results", [this] {
      job_.common = common_;
      return cli::run(job_);
    });
    add_job_flags(*run_job);
    add_out(*run_job, job_.out, job_.force);
    add_job_flags(*command("submit", "submit and print the job's id", [this] {
      job_.common = common_;
      return cli::submit(job_);
    }));
    id_command("status", "where jobs are, and how they ended", cli::status);
    id_command("wait", "wait for a job's end; exit 1 if it is not done", cli::wait);
    CLI::App* result = id_command("result", "write a finished job's files", cli::result);
    add_out(*result, ids_.out, ids_.force);
    CLI::App* jobs = command("jobs", "list jobs, a page of them", [this] {
      list_.common = common_;
      return cli::jobs(list_);
    });
    jobs->add_option("--state", list_.state, "live: waiting, in_flight or settling")
        ->check(CLI::IsMember({"live", "waiting", "in_flight", "settling", "done", "failed",
                               "cancelled", "expired"}));
    jobs->add_option("--kind", list_.kind, "only of this kind");
    jobs->add_option("--stage", list_.stage, "only of kinds that pass this stage");
    jobs->add_option("--of", list_.client, "only of the client of this name");
    jobs->add_option("--since", list_.since_s, "only submitted in the last so many\nseconds")
        ->check(seconds);
    jobs->add_option("-q,--query", list_.query,
                     "only the job of this id, or those whose\nclient, kind, key or error code "
                     "begins so");
    jobs->add_option("--sort", list_.sort, "newest first is the default; ended: last\nend first")
        ->check(CLI::IsMember({"newest", "oldest", "ended", "slowest"}));
    jobs->add_option("-n,--limit", list_.limit, "how many (default 20)")
        ->check(CLI::Range(1, 1'000'000));
    jobs->add_option("--cursor", list_.cursor, "where to go on: `cursor` of --json");
    id_command("cancel", "end jobs that wait, stop jobs that run", cli::cancel);
    id_command("retry", "run a dead letter once more, as a new job", cli::retry);
    id_command("explain", "where a job's time went, hop by hop", cli::explain);
  }

  void pipeline_group() {
    command("workers", "the processes that work, and on how much",
            [this] { return cli::workers(common_); });
    command("topology", "kinds, routes, workers and lanes",
            [this] { return cli::topology(common_); });
    command("kinds", "the kinds of jobs, and their parameters", [this] {
      return cli::kinds(common_, kind_);
    })->add_option("kind", kind_, "only this one");
    CLI::App* snapshot = command("snapshot", "every accepted job accounted for, now", [this] {
      snapshot_.common = common_;
      return cli::snapshot(snapshot_);
    });
    snapshot->add_flag("--prometheus", snapshot_.prometheus, "all metrics of the front as text")
        ->excludes(snapshot->get_option("--json"));
    logs_command();
    trends_command();
    alerts_group();
    collector_group();
    command("ping", "whether the front answers, and how fast",
            [this] { return cli::ping(common_); });
  }

  void trends_command() {
    CLI::App* trends = command(
        "trends", "when series of a collector changed their level",
        [this] {
          trends_.common = common_;
          trends_.collector = collector_;
          return cli::trends(trends_);
        },
        false);
    trends->add_option("query", trends_.query, "PromQL, as 'rate(jobs_total[5m])'")->required();
    add_collector(*trends);
    trends->add_option("--last", trends_.last_s, "how many seconds back (default 86400)")
        ->check(seconds);
    trends
        ->add_option("--window", trends_.window_s,
                     "seconds that a new level must last to be\none (default: a 48th of --last)")
        ->check(seconds);
  }

  // One of a collector, below a group.
  CLI::App* below(CLI::App& group, const std::string& name, const std::string& help,
                  std::function<int()> does) {
    CLI::App* sub = group.add_subcommand(name, help);
    add_common(*sub, false);
    add_collector(*sub);
    sub->callback([this, does = std::move(does)] { chosen_ = does; });
    return sub;
  }

  void alerts_group() {
    CLI::App* group = app_.add_subcommand("alerts", "what fires, why, and what is silenced");
    group->require_subcommand(1);
    const auto with = [this](int (*does)(const AlertsArgs&)) {
      return [this, does] {
        alerts_.common = common_;
        alerts_.collector = collector_;
        return does(alerts_);
      };
    };
    constexpr const char* matchers =
        "only of these labels, as stage=\"image\",\nor with !=, =~, !~; a word alone is the\n"
        "alert's name";
    CLI::App* ls = below(*group, "ls", "alerts that are pending or fire", with(cli::alerts_ls));
    ls->add_option("matchers", alerts_.matchers, matchers);
    ls->add_option("--state", alerts_.state, "only those in this state")
        ->check(CLI::IsMember({"pending", "firing", "silenced", "inhibited"}));
    CLI::App* explain = below(*group, "explain",
                              "why a rule fires: its expression, the samples\naround the "
                              "moment, what changed, who was told",
                              with(cli::alerts_explain));
    explain->add_option("name", alerts_.name, "the rule's name, as HighWait")->required();
    explain->add_option("matchers", alerts_.matchers, "only alerts of these labels");
    explain
        ->add_option(
            "--last", alerts_.last_s,
            "also alerts that are over, up to so many\nseconds back, or as 2h, 7d (default "
            "1d)")
        ->transform(CLI::Validator(span_of_time, ""));
    silence_group(*group);
  }

  void silence_group(CLI::App& alerts) {
    CLI::App* group = alerts.add_subcommand("silence", "what nobody is told of for a while");
    group->require_subcommand(1);
    const auto with = [this](int (*does)(const SilenceArgs&)) {
      return [this, does] {
        silence_.common = common_;
        silence_.collector = collector_;
        return does(silence_);
      };
    };
    CLI::App* add = below(*group, "add", "makes a silence; prints its id", with(cli::silence_add));
    add->add_option("matchers", silence_.matchers,
                    "labels of the alerts, as stage=\"image\",\nor with !=, =~, !~; a word alone "
                    "is the\nalert's name")
        ->required();
    add->add_option("--for", silence_.for_s, "how many seconds, or as 30m, 2h, 1d\n(default 1h)")
        ->transform(CLI::Validator(span_of_time, ""));
    add->add_option("--until", silence_.until, "instead, up to 2026-11-28T18:00:00Z")
        ->excludes("--for");
    add->add_option("--from", silence_.from, "not before this time (default: now)");
    add->add_option("--comment", silence_.comment, "why, for the others");
    add->add_option("--by", silence_.by, "who says so (default: USER)");
    CLI::App* ls =
        below(*group, "ls", "silences that are active or to come", with(cli::silence_ls));
    ls->add_option("matchers", silence_.matchers, "only with these matchers");
    ls->add_flag("--all", silence_.all, "those of the last five days that are\nover, too");
    below(*group, "expire", "end silences now", with(cli::silence_expire))
        ->add_option("id", silence_.ids, "its id, or the begin of it")
        ->required();
  }

  void add_collector(CLI::App& sub) {
    sub.add_option("--collector", collector_.url,
                   "its URL (default: TALLYMILL_COLLECTOR,\nelse http:// and collector.http)");
    sub.add_option("--token-file", common_.token_file,
                   "file with the token for it\n(default: TALLYMILL_TOKEN holds it)");
    sub.add_option("--ca-file", common_.ca_file,
                   "PEM file with who vouches for an https\nserver (default: the system's)");
  }

  void logs_command() {
    CLI::App* logs = command(
        "logs", "what the processes of `up` said, also of one job",
        [this] {
          logs_.common = common_;
          return cli::logs(logs_);
        },
        false);
    logs->add_option("--job", logs_.job, "only about this job")->check(job_id);
    logs->add_option("--trace", logs_.trace, "only of this W3C trace id");
    logs->add_option("--process", logs_.process,
                     "only of this process, as compute-1, or\nof all of a program, as compute");
    logs->add_option("--level", logs_.level, "only of this level and above")
        ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}));
    logs->add_option("--since", logs_.since_s,
                     "only of the last so many seconds, or as\n5m, 2h, 1d")
        ->transform(CLI::Validator(span_of_time, ""));
    logs->add_flag("-f,--follow", logs_.follow, "go on with what comes");
    logs->add_option("--format", logs_.format, "default: console; json is as --json")
        ->check(CLI::IsMember({"console", "logfmt", "json"}));
    logs->add_option("--data", logs_.folder, "the data folder (default: the\nconfigured one)");
  }

  void backtest_command(CLI::App& group) {
    CLI::App* backtest =
        group.add_subcommand("backtest", "how often rules would have fired, over stored\nsamples");
    add_common(*backtest, false);
    add_collector(*backtest);
    backtest->add_option("rules", backtest_.rules, "rule files, as the collector takes them")
        ->required();
    CLI::Option* last = backtest->add_option("--last", backtest_.last_s,
                                             "of the last so many seconds, or as 2h,\n30d");
    last->transform(CLI::Validator(span_of_time, ""));
    backtest
        ->add_option("--from", backtest_.from,
                     "the begin: seconds since 1970, or\n2026-11-28T13:00:00Z")
        ->excludes(last);
    backtest->add_option("--to", backtest_.to, "the end, likewise (default: now)")->excludes(last);
    backtest->add_option("--interval", backtest_.interval,
                         "of groups that say none, as 15s (default:\nthe collector's, else 1m)");
    backtest->add_option("--sinks", backtest_.sinks,
                         "a file of sinks: how many messages each\nwould have had");
    CLI::Option* dump = backtest->add_option(
        "--dump", backtest_.dump,
        "a file of samples instead of a collector:\nOpenMetrics with timestamps");
    backtest
        ->add_option("--store", backtest_.store,
                     "a folder of samples, likewise: a copy made\nby `collector snapshot`")
        ->excludes(dump);
    backtest->callback([this] {
      chosen_ = [this] {
        backtest_.common = common_;
        backtest_.collector = collector_;
        return cli::backtest(backtest_);
      };
    });
  }

  // The launcher takes `collector` alone for the program; this is what is below it.
  void collector_group() {
    CLI::App* group = app_.add_subcommand("collector", "a program, see above; its snapshots");
    group->require_subcommand(1);
    CLI::App* snapshot =
        group->add_subcommand("snapshot",
                              "a copy of all samples of a running collector, in its\n"
                              "data folder; prints where it is there");
    add_common(*snapshot, false);
    add_collector(*snapshot);
    snapshot->callback(
        [this] { chosen_ = [this] { return cli::collector_snapshot({common_, collector_}); }; });
  }

  void rules_group() {
    CLI::App* group =
        app_.add_subcommand("rules", "rules of alerting, with or without a collector");
    group->require_subcommand(1);
    CLI::App* check = rules_command(*group, "check", "whether files of rules are right",
                                    rules_check_, cli::rules_check);
    check->add_option("files", rules_check_.files, "rule files, or *.tm.yml")->required();
    check
        ->add_option(
            "--lint", rules_check_.lint,
            "what to warn of: rules that are twice in\na file (all, duplicate-rules; default: all)")
        ->check(CLI::IsMember({"all", "duplicate-rules", "none"}));
    check->add_flag("--lint-fatal", rules_check_.lint_fatal, "exit 1 when there is a warning");
    check->add_flag("--expand", rules_check_.expand, "also what `threshold:` and `slo:` became");
    CLI::App* test = rules_command(*group, "test", "unit tests of rules, as promtool has them",
                                   rules_test_, cli::rules_test);
    test->add_option("files", rules_test_.files, "test files")->required();
    test->add_flag("--coverage", rules_test_.coverage, "also which alerting rules never fired");
    test->add_option("--coverage-min", rules_test_.coverage_min,
                     "exit 1 when less percent of the\nalerting rules fired in any test")
        ->check(CLI::Range(0.0, 100.0));
    CLI::App* convert =
        rules_command(*group, "convert", "writes files as plain rules of Prometheus",
                      rules_convert_, cli::rules_convert);
    convert->add_option("files", rules_convert_.files, "rule files, or *.tm.yml")->required();
    convert->add_option("-o,--out", rules_convert_.out, "file for them (default: stdout)");
    convert->add_flag("-f,--force", rules_convert_.force, "write over a file that is there");
    rules_command(*group, "shipped", "the rules that come with it, as one *.tm.yml", rules_shipped_,
                  cli::rules_shipped);
    backtest_command(*group);
  }

  template <class Args>
  CLI::App* rules_command(CLI::App& group, const std::string& name, const std::string& help,
                          Args& args, int (*does)(const Args&)) {
    CLI::App* sub = group.add_subcommand(name, help);
    add_common(*sub, false);
    sub->callback([this, &args, does] {
      chosen_ = [this, &args, does] {
        args.common = common_;
        return does(args);
      };
    });
    return sub;
  }

  void upkeep_group() {
    command("doctor", "what is missing, and the command that mends it",
            [this] { return cli::doctor(common_); });
    CLI::App* ledger = app_.add_subcommand("ledger", "the front's ledger");
    ledger->require_subcommand(1);
    CLI::App* check_ledger =
        ledger->add_subcommand("check", "every law, offline; exit 7 when one is broken");
    add_common(*check_ledger, false);
    check_ledger->add_option("folder", folder_, "the data folder (default: the\nconfigured one)");
    check_ledger->add_flag("--blobs", read_blobs_, "read every blob and compare it with its\nname");
    check_ledger->callback([this] {
      chosen_ = [this] { return cli::ledger_check(common_, data_folder(folder_), read_blobs_); };
    });
    CLI::App* new_token = command(
        "token", "a new token for HTTP, and its line of the file",
        [this] {
          token_.common = common_;
          return cli::token(token_);
        },
        false);
    new_token->add_option("name", token_.name, "who holds it, for logs")->required();
    new_token->add_option("--role", token_.role, "what it may do (default: submit)")
        ->check(CLI::IsMember({"read", "submit", "operate"}));
    new_token->add_option("--file", token_.file,
                          "add the line to this file instead of\nprinting it to stderr");
    config_group();
    CLI::App* script = command(
        "completion", "a script that completes commands in a shell",
        [this] { return cli::completion(common_, shell_, reference(app_)); }, false);
    script->add_option("shell", shell_, "which shell it is for")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
    CLI::App* manual = command(
        "man", "the man page of a command, for `man -l -`",
        [this] {
          man_.common = common_;
          return cli::man(man_, reference(app_));
        },
        false);
    manual->add_option("command", man_.words, "its words; none: tallymill itself");
    manual->add_option("-o,--out", man_.out, "write the page of every command into\nthis folder");
  }

  void config_group() {
    CLI::App* config = app_.add_subcommand("config", "settings: from files, variables and flags");
    config->require_subcommand(1);
    CLI::App* check_config =
        config->add_subcommand("check", "whether a file is right, or what is wrong");
    add_common(*check_config, false);
    check_config->add_option("file", file_, "default: TALLYMILL_CONFIG");
    check_config->callback(
        [this] { chosen_ = [this] { return cli::config_check(common_, file_); }; });
    CLI::App* show =
        config->add_subcommand("show", "every setting; takes FILE and --KEY VALUE as `up`");
    add_common(*show, false);
    show->add_flag("--origin", show_.origin,
                   "also where each comes from: default, line\nof the file, variable or flag");
    // Its operands and the flags of settings: base/config.h reads them.
    show->allow_extras();
    show->callback([this, show] {
      show_.settings = show->remaining();
      chosen_ = [this] {
        show_.common = common_;
        return cli::config_show(show_);
      };
    });
  }

  CLI::App& app_;
  std::function<int()> chosen_;
  Common common_;
  JobArgs job_;
  IdArgs ids_;
  JobsArgs list_;
  SnapshotArgs snapshot_;
  LogsArgs logs_;
  TrendsArgs trends_;
  BacktestArgs backtest_;
  AlertsArgs alerts_;
  SilenceArgs silence_;
  CollectorAt collector_;
  TokenArgs token_;
  ConfigShowArgs show_;
  ManArgs man_;
  RulesCheckArgs rules_check_;
  RulesTestArgs rules_test_;
  RulesConvertArgs rules_convert_;
  RulesShippedArgs rules_shipped_;
  std::string shell_;
  std::string kind_;
  std::string folder_;
  std::string file_;
  bool read_blobs_ = false;
};

int run_main(int argc, char** argv) {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGPIPE, SIG_DFL);
  CLI::App app(
      "Tallymill runs image and compute jobs and shows where their time went.\n"
      "\n"
      "Programs: `tallymill up` starts the pipeline, `tallymill demo` shows it at work,\n"
      "`tallymill front`, `collector` and `stage compute|image` start one process,\n"
      "`tallymill version` says which version this is.\n",
      "tallymill");
  Commands commands(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& e) {
    return flushed(app.exit(e));
  } catch (const CLI::CallForAllHelp& e) {
    return flushed(app.exit(e));
  } catch (const CLI::ParseError& e) {
    const auto is_first = [&](const CLI::App* sub) { return sub->check_name(argv[1]); };
    const bool no_such_command =
        argc > 1 && argv[1][0] != '-' && std::as_const(app).get_subcommands(is_first).empty();
    const std::string what =
        no_such_command ? "no command '" + std::string(argv[1]) + "'" : e.what();
    std::fprintf(stderr,
                 "tallymill: %s\n  `tallymill --help` lists the commands, `tallymill "
                 "COMMAND --help` its flags\n",
                 what.c_str());
    return exit_usage;
  }
  return flushed(commands.run());
}

}  // namespace
}  // namespace tallymill::cli

int main(int argc, char** argv) { return tallymill::cli::run_main(argc, argv); }
