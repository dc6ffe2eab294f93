// The Prometheus API over HTTP. Goal: the answers, errors and statuses are those that Prometheus
// gives. Method: a real server and raw requests, over series in memory.
#include "collector/api.h"

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/limits.h"
#include "collector/parameters.h"
#include "tests/collector/promql/memory_source.h"
#include "tests/http/raw_client.h"

namespace tallymill::collector {
namespace {

using http::RawClient;
using nlohmann::json;

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    for (int i = 0; i <= 10; ++i) {
      source_.add(Labels::of({{"__name__", "up"}, {"job", "a"}}), i * 1000, i);
      source_.add(Labels::of({{"__name__", "up"}, {"job", "b\n\""}}), i * 1000 + 500, -i);
    }
    http::Router router;
    api_.add_routes(router);
    server_ = std::make_unique<http::Server>(std::move(router), http::ServerOptions{});
    EXPECT_TRUE(server_->open());
    api_.start(*server_);
    server_->start();
  }
  ~ApiTest() override {
    server_->stop();
    api_.stop();
  }

  struct Said {
    int status = 0;
    json body;
  };
  Said get(const std::string& target) {
    RawClient client(server_->port());
    EXPECT_TRUE(client.connect());
    const auto reply = client.ask("GET " + target);
    return {reply.status, json::parse(reply.body, nullptr, false)};
  }
  http::WireReply raw(const std::string& target, const std::string& fields = "") {
    RawClient client(server_->port());
    EXPECT_TRUE(client.connect());
    return client.ask("GET " + target, fields);
  }
  Said post(const std::string& path, const std::string& form) {
    RawClient client(server_->port());
    EXPECT_TRUE(client.connect());
    const auto reply = client.ask("POST " + path,
                                  "Content-Type: application/x-www-form-urlencoded\r\n"
                                  "Content-Length: " +
                                      std::to_string(form.size()) + "\r\n",
                                  form);
    return {reply.status, json::parse(reply.body, nullptr, false)};
  }
  json data(const std::string& target) {
    const Said said = get(target);
    EXPECT_EQ(said.status, 200) << said.body;
    EXPECT_EQ(said.body["status"], "success");
    return said.body["data"];
  }

  MemorySource source_;
  ExemplarStore exemplars_;
  Api api_{source_, &exemplars_};
  std::unique_ptr<http::Server> server_;
};

TEST_F(ApiTest, AMomentsVectorScalarTextAndRange) {
  const json vector = data("/api/v1/query?query=up%7Bjob%3D%22a%22%7D&time=5.25");
  EXPECT_EQ(vector["resultType"], "vector");
  EXPECT_EQ(vector["result"],
            json::parse(R"([{"metric": {"__name__": "up", "job": "a"}, "value": [5.250, "5"]}])"));
  EXPECT_EQ(data("/api/v1/query?query=1%2B1&time=7"),
            json::parse(R"({"resultType": "scalar", "result": [7, "2"]})"));
  EXPECT_EQ(data("/api/v1/query?query=%22a%22&time=1970-01-01T00:00:07.5Z"),
            json::parse(R"({"resultType": "string", "result": [7.5, "a"]})"));
  const json matrix = data("/api/v1/query?query=up%7Bjob!%3D%22a%22%7D%5B2s%5D&time=3");
  EXPECT_EQ(matrix["resultType"], "matrix");
  EXPECT_EQ(matrix["result"][0]["metric"]["job"], "b\n\"");
  EXPECT_EQ(matrix["result"][0]["values"], json::parse(R"([[1.5, "-1"], [2.5, "-2"]])"));
  EXPECT_EQ(data("/api/v1/query?query=nothing")["result"], json::array());
}

TEST_F(ApiTest, ARangesMatrixInTheOrderOfItsLabels) {
  const json matrix = data("/api/v1/query_range?query=-up&start=1&end=3&step=1s");
  EXPECT_EQ(matrix["resultType"], "matrix");
  ASSERT_EQ(matrix["result"].size(), 2U);
  EXPECT_EQ(matrix["result"][0]["metric"], json::parse(R"({"job": "a"})"));
  EXPECT_EQ(matrix["result"][0]["values"], json::parse(R"([[1, "-1"], [2, "-2"], [3, "-3"]])"));
  EXPECT_EQ(data("/api/v1/query_range?query=2&start=1&end=2&step=1")["result"],
            json::parse(R"([{"metric": {}, "values": [[1, "2"], [2, "2"]]}])"));
}

TEST_F(ApiTest, AFormIsAskedAsAQueryIs) {
  const Said said = post("/api/v1/query", "query=up%0A%2B+1&time=5");
  EXPECT_EQ(said.status, 200) << said.body;
  EXPECT_EQ(said.body["data"]["result"].size(), 2U);
  EXPECT_EQ(post("/api/v1/series", "match[]=up").body["data"].size(), 2U);
  EXPECT_EQ(post("/api/v1/query", "query=%zz").status, 400);
}

TEST_F(ApiTest, OnlyWhatIsPostedIsAForm) {
  http::Request request;
  request.query.emplace_back("query", "1");
  request.body = "query=up";
  request.method = http::Method::post;
  EXPECT_EQ(Parameters::of(request)->get("query"), "up");
  for (const auto method : {http::Method::get, http::Method::head}) {
    request.method = method;
    for (const char* body : {"query=up", "query=%zz", ""}) {
      request.body = body;
      const auto said = Parameters::of(request);
      ASSERT_TRUE(said.has_value());
      EXPECT_EQ(said->all("query"), std::vector<std::string_view>{"1"});
    }
  }
  // It does not come that far: the door refuses it, whatever it is called.
  RawClient client(server_->port());
  ASSERT_TRUE(client.connect());
  EXPECT_EQ(client
                .ask("GET /api/v1/query?query=1",
                     "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n",
                     "query=up")
                .status,
            400);
}

TEST_F(ApiTest, ErrorsHaveTheTypesAndStatusesOfPrometheus) {
  struct {
    const char* target;
    int status;
    const char* type;
    const char* says;
  } const rows[] = {
      {"/api/v1/query?query=", 400, "bad_data", "no expression found"},
      {"/api/v1/query?query=up%20%2B", 400, "bad_data", "1:5: parse error"},
      {"/api/v1/query?query=up&time=soon", 400, "bad_data", "invalid parameter \"time\""},
      {"/api/v1/query?query=up&timeout=-", 400, "bad_data", "invalid parameter \"timeout\""},
      {"/api/v1/query?query=up%20%2B%20on()%20up&time=5", 422, "execution", "many-to-many"},
      {"/api/v1/query?query=up&timeout=0&time=5", 503, "timeout", "timed out"},
      {"/api/v1/query_range?query=up", 400, "bad_data", "invalid parameter \"start\""},
      {"/api/v1/query_range?query=up&start=2&end=1&step=1", 400, "bad_data", "before start time"},
      {"/api/v1/query_range?query=up&start=1&end=2&step=0", 400, "bad_data", "zero or negative"},
      {"/api/v1/query_range?query=up&start=1&end=2", 400, "bad_data", "step"},
      {"/api/v1/query_range?query=up%5B1m%5D&start=1&end=2&step=1", 400, "bad_data",
       "range vector"},
      {"/api/v1/series", 400, "bad_data", "no match[]"},
      {"/api/v1/series?match[]=1", 400, "bad_data", "match[]"},
      {"/api/v1/series?match[]=%7Bjob%3D~%22.*%22%7D", 400, "bad_data", "at least one non-empty"},
      {"/api/v1/labels?start=x", 400, "bad_data", "Invalid time value for 'start'"},
      {"/api/v1/label/1bad/values", 400, "bad_data", "invalid label name: \"1bad\""},
      {"/api/v1/query_exemplars", 400, "bad_data", "no expression found"},
      {"/api/v1/query_exemplars?query=up&start=5&end=4", 400, "bad_data", "must not be before"},
      {"/api/v1/query?query=up&format=xml", 400, "bad_data", "not supported value"},
      {"/api/v1/format_query?query=)", 400, "bad_data", "parse error"},
  };
  for (const auto& row : rows) {
    const Said said = get(row.target);
    EXPECT_EQ(said.status, row.status) << row.target << said.body;
    EXPECT_EQ(said.body["status"], "error");
    EXPECT_EQ(said.body["errorType"], row.type) << row.target;
    EXPECT_NE(said.body["error"].get<std::string>().find(row.says), std::string::npos)
        << row.target << said.body;
  }
}

TEST_F(ApiTest, ARangeHasAsManyPointsAsItMayAndNotOneMore) {
  const auto range = [&](std::uint64_t points) {
    return get("/api/v1/query_range?query=1&step=1&start=0&end=" + std::to_string(points)).status;
  };
  EXPECT_EQ(range(limits::query_points), 200);
  EXPECT_EQ(range(limits::query_points + 1), 400);
  EXPECT_EQ(get("/api/v1/query_range?query=1&step=1&start=-9e15&end=9e15").status, 400);
}

TEST_F(ApiTest, ExemplarsAreThoseOfTheSeriesThatAnExpressionNames) {
  const std::array labels{Label{"job_id", "7"}};
  exemplars_.add(SeriesId(1), {.labels = labels, .value = 0.5, .t_ms = 2'500}, 0);
  const json all = data("/api/v1/query_exemplars?query=sum(rate(up%5B5m%5D))");
  EXPECT_EQ(all, json::parse(R"([{"seriesLabels": {"__name__": "up", "job": "b\n\""},
    "exemplars": [{"labels": {"job_id": "7"}, "value": "0.5", "timestamp": 2.5}]}])"));
  EXPECT_EQ(data("/api/v1/query_exemplars?query=up&start=2.501"), json::array());
  EXPECT_EQ(raw("/api/v1/query_exemplars?query=1").status, 204);
}

TEST_F(ApiTest, AnAnswerIsATableForWhoWantsOne) {
  const auto table = raw("/api/v1/query?query=up%7Bjob%3D%22a%22%7D&time=5&format=csv");
  EXPECT_EQ(table.status, 200);
  EXPECT_EQ(table.header("Content-Type"), "text/csv; charset=utf-8; header=present");
  EXPECT_EQ(table.body, "__name__,job,timestamp,value\r\nup,a,1970-01-01T00:00:05.000Z,5\r\n");
  const std::string range = "/api/v1/query_range?query=sum(up)&start=1&end=2&step=1";
  EXPECT_EQ(raw(range, "Accept: text/csv\r\n").body.substr(0, 17), "timestamp,value\r\n");
  EXPECT_EQ(raw(range, "Accept: */*\r\n").body.substr(0, 10), "{\"status\":");
  EXPECT_EQ(raw(range + "&format=json", "Accept: text/csv\r\n").body.substr(0, 2), "{\"");
}

TEST_F(ApiTest, AQueryOfSeveralLinesIsAskedByGet) {
  EXPECT_EQ(get("/api/v1/query?query=sum(%0A%09up%0D%0A)&time=5").status, 200);
}

TEST_F(ApiTest, WhatNobodyNamesIsNotFederated) {
  const auto none = raw("/federate");
  EXPECT_EQ(none.status, 200);
  EXPECT_EQ(none.body, "");
  EXPECT_EQ(raw("/federate?match[]=up%7B").status, 400);
  EXPECT_EQ(none.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(ApiTest, SeriesAndLabelsAreListed) {
  EXPECT_EQ(data("/api/v1/labels"), json::parse(R"(["__name__", "job"])"));
  EXPECT_EQ(data("/api/v1/label/job/values"), json::parse(R"(["a", "b\n\""])"));
  EXPECT_EQ(data("/api/v1/label/job/values?match[]=up%7Bjob%3D%22a%22%7D"),
            json::parse(R"(["a"])"));
  EXPECT_EQ(data("/api/v1/label/none/values"), json::array());
  EXPECT_EQ(data("/api/v1/series?match[]=up%7Bjob%3D%22a%22%7D&match[]=up%7Bjob%3D~%22a.*%22%7D"),
            json::parse(R"([{"__name__": "up", "job": "a"}])"));
  EXPECT_EQ(data("/api/v1/format_query?query=sum(up)by(job)"), "sum by (job) (up)");
}

TEST_F(ApiTest, ListsHaveWhatIsThereBetweenStartAndEnd) {
  source_.add(Labels::of({{"__name__", "gone"}, {"only", "x"}}), -50'000, 1);
  EXPECT_EQ(data("/api/v1/series?match[]=up&start=10.1"),
            json::parse(R"([{"__name__": "up", "job": "b\n\""}])"));
  EXPECT_EQ(data("/api/v1/series?match[]=up&start=10.6"), json::array());
  EXPECT_EQ(data("/api/v1/label/job/values?end=0.4"), json::parse(R"(["a"])"));
  EXPECT_EQ(data("/api/v1/label/__name__/values?start=0"), json::parse(R"(["up"])"));
  EXPECT_EQ(data("/api/v1/labels?start=0"), json::parse(R"(["__name__", "job"])"));
  EXPECT_EQ(data("/api/v1/labels?end=-1"), json::parse(R"(["__name__", "only"])"));
  EXPECT_EQ(data("/api/v1/labels"), json::parse(R"(["__name__", "job", "only"])"));
}

TEST_F(ApiTest, ARangeVectorOfThinnedSamplesIsWarnedOf) {
  source_.step_ms = 15'000;
  EXPECT_EQ(get("/api/v1/query?query=up%5B29s%5D&time=9").body["warnings"].size(), 1U);
  EXPECT_FALSE(get("/api/v1/query?query=up%5B30s%5D&time=9").body.contains("warnings"));
}

TEST_F(ApiTest, AListThatWouldBeTooLargeIsAnError) {
  const std::string value(1 << 20, 'x');
  const std::int64_t now_ms = to_ns(SystemClock().wall()) / 1'000'000;  // which is federated
  for (int i = 0; i < 65; ++i)
    source_.add(Labels::of({{"__name__", "long"}, {"value", value + std::to_string(i)}}), now_ms,
                1);
  for (const char* target : {"/api/v1/series?match[]=long", "/api/v1/label/value/values"}) {
    const Said said = get(target);
    EXPECT_EQ(said.status, 422) << target;
    EXPECT_EQ(said.body["errorType"], "execution");
  }
  EXPECT_EQ(raw("/federate?match[]=long").status, 500);
}

// Answers that the system does not take, of clients that do not read.
TEST_F(ApiTest, AnswersThatAreNotReadAreBounded) {
  const std::string value(1 << 20, 'x');
  for (int i = 0; i < 60; ++i)
    source_.add(Labels::of({{"__name__", "long"}, {"value", value + std::to_string(i)}}), 0, 1);
  std::vector<RawClient> idle;
  const auto unread = [this] { return api_.unread_bytes(); };
  for (int i = 0; i < 4; ++i) {
    RawClient& client = idle.emplace_back(server_->port(), 4096);
    ASSERT_TRUE(client.connect());
    client.send(client.request("GET /api/v1/series?match[]=long"));
    EXPECT_EQ(client.reply_head().status, 200);
    EXPECT_GT(unread(), std::size_t(i + 1) * 60'000'000);
  }
  const Said more = get("/api/v1/series?match[]=long");
  EXPECT_EQ(more.status, 503);
  EXPECT_EQ(more.body["errorType"], "unavailable");
  EXPECT_EQ(get("/api/v1/query?query=up&time=5").status, 200) << "a small one has room";
  idle.clear();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (unread() > 0 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(unread(), 0U);
}

}  // namespace
}  // namespace tallymill::collector
