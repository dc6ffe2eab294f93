// The wire as files. Goal: what this build sends is byte for byte what tests/wire/golden says, and
// what it reads there means what stands beside it; so a change of the wire cannot happen unseen.
// Method: each sample is packed and compared with its file, each file is decoded and compared with
// its meaning.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "base/result.h"
#include "tests/wire/golden.h"
#include "tests/wire/meaning.h"

namespace tallymill::bus {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const std::string folder = std::string(TALLYMILL_SOURCE_DIR) + "/tests/wire";

std::map<std::string, json> golden_files() {
  std::map<std::string, json> files;
  for (const auto& entry : fs::directory_iterator(folder + "/golden")) {
    std::ifstream in(entry.path());
    files[entry.path().stem()] = json::parse(in);
  }
  return files;
}

TEST(Wire, EverySampleIsPackedByteForByteAsItsFileSays) {
  const auto files = golden_files();
  std::set<std::string> names;
  for (const Sample& sample : samples(folder + "/schemas")) {
    names.insert(sample.name);
    ASSERT_TRUE(files.contains(sample.name)) << sample.name << ": run write_golden";
    EXPECT_EQ(json(golden_of(sample)), files.at(sample.name)) << sample.name;
  }
  for (const auto& [name, file] : files) EXPECT_TRUE(names.contains(name)) << name << ".json";
}

TEST(Wire, EveryFileMeansWhatItSays) {
  for (const auto& [name, file] : golden_files()) {
    const auto envelope = Envelope::decode(frames_of(file));
    ASSERT_TRUE(envelope) << name << ": " << envelope.error().message;
    EXPECT_EQ(messages_json(*envelope), file["messages"]) << name;
  }
}

// Names of all fields, of the fields of inner structs too.
struct FieldNames {
  std::set<std::string> names;
  std::string prefix;
  template <class T>
  void operator()(const char* name, const T&, const std::type_identity_t<T>& = {}) {
    names.insert(prefix + name);
  }
};

TEST(Wire, EveryVerbAndEveryFieldIsInSomeFile) {
  std::map<std::string, std::set<std::string>> seen;  // verb -> keys
  for (const auto& [name, file] : golden_files()) {
    for (const auto& message : file["messages"]) {
      auto& keys = seen[message["header"]["t"].get<std::string>()];
      for (const auto& [key, value] : message["header"].items()) keys.insert(key);
    }
  }
  for (int i = 0; i <= static_cast<int>(Verb::done); ++i)
    EXPECT_TRUE(seen.contains(std::string(name_of(static_cast<Verb>(i)))))
        << name_of(static_cast<Verb>(i));
  // An Ask's fields are spread over its verbs.
  seen["status"].merge(std::set(seen["jobs"]));
  seen["status"].merge(std::set(seen["ends"]));
#define TM_FIELDS_SEEN(M)                                                                       \
  {                                                                                             \
    FieldNames fields;                                                                          \
    M message;                                                                                  \
    message.fields(fields);                                                                     \
    for (const auto& name : fields.names)                                                       \
      EXPECT_TRUE(seen[std::string(name_of(verb_of<M>()))].contains(                            \
                      name) || /* at its default in every sample: that is what it is for now */ \
                  name == "v")                                                                  \
          << #M << " " << name;                                                                 \
  }
  TM_MESSAGE_TABLE(TM_FIELDS_SEEN)
#undef TM_FIELDS_SEEN
}

json schema(const char* name) {
  std::ifstream in(folder + "/schemas/" + name + ".json");
  return json::parse(in);
}

TEST(Schemas, TheExamplesObeyTheLawsThatTheyShow) {
  const json snapshot = schema("snapshot");
  const json& jobs = snapshot["jobs"];
  std::int64_t places = 0;
  for (const char* end : {"done", "failed", "cancelled", "expired", "in_flight", "settling"})
    places += jobs[end].get<std::int64_t>();
  for (const auto& waiting : jobs["waiting"]) places += waiting.get<std::int64_t>();
  EXPECT_EQ(jobs["accepted"], places);
  for (const auto& lane : snapshot["lanes"]) {
    std::int64_t sum = lane["received"].get<std::int64_t>() + lane["in_flight"].get<std::int64_t>();
    for (const auto& lost : lane["lost"]) sum += lost.get<std::int64_t>();
    EXPECT_EQ(lane["sent"], sum);
  }
  const json timeline = schema("timeline");
  std::int64_t whole = 0;
  for (const auto& part : timeline["parts"]) whole += part.get<std::int64_t>();
  EXPECT_EQ(timeline["whole_ns"], whole);
}

}  // namespace
}  // namespace tallymill::bus
