// StatusApi: the part of Prometheus' HTTP API that tells of the collector itself: metadata,
// targets, rules, and status/...; and the snapshot that an operator asks for.
//
// Nothing here is secret: a flag that names a file with tokens says where it is, not what is in it.
//
// Threads: the server's; what takes long on the Api's workers.
// Source: the HTTP API of Prometheus 2.42.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "collector/api.h"
#include "collector/metadata.h"
#include "collector/rules.h"
#include "collector/store.h"

namespace tallymill::collector {

class Scraper;

struct StatusSources {
  Store& store;
  const MetadataStore& metadata;
  const Scraper* scraper = nullptr;   // nullptr: nobody is asked
  const RuleSource* rules = nullptr;  // nullptr: there are none
  std::map<std::string, std::string> flags = {};
  std::chrono::hours retention{};
};

class StatusApi {
 public:
  // REQUIRES: all of them outlive it.
  StatusApi(Api& api, StatusSources sources);
  // REQUIRES: before start().
  void add_routes(http::Router& router);

 private:
  using Handle = void (StatusApi::*)(const Parameters&, http::Answer);
  void row(http::Router& router, const std::string& path, Handle handle);
  void metadata(const Parameters& said, http::Answer answer);
  void targets(const Parameters& said, http::Answer answer);
  void scrape_pools(const Parameters& said, http::Answer answer);
  void rules(const Parameters& said, http::Answer answer);
  void alerts(const Parameters& said, http::Answer answer);
  void build_info(const Parameters& said, http::Answer answer);
  void tsdb(const Parameters& said, http::Answer answer);
  void flags(const Parameters& said, http::Answer answer);
  void config(const Parameters& said, http::Answer answer);
  void runtime_info(const Parameters& said, http::Answer answer);
  void snapshot(http::Answer answer);

  Api& api_;
  const StatusSources sources_;
  const std::int64_t started_ms_;
};

}  // namespace tallymill::collector
