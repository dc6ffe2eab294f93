// The seeded hash. Goal: a text has one hash in a process, texts of any length have different ones,
// and who knows the text and not the point cannot choose where it falls. Method: texts that differ
// in one byte, in their length, in zeros at the end; buckets of texts that only count up.
#include "collector/seeded_hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace tallymill::collector {
namespace {

TEST(SeededHash, TextsThatDifferHaveDifferentHashes) {
  const SeededHash hash;
  std::set<std::size_t> seen;
  std::size_t texts = 0;
  for (std::size_t size = 0; size <= 40; ++size) {
    const std::string zeros(size, '\0');
    seen.insert(hash(zeros));
    ++texts;
    for (std::size_t at = 0; at < size; ++at)
      for (const char to : {'\1', '\x80', '\xff'}) {
        std::string text = zeros;
        text[at] = to;
        seen.insert(hash(text));
        EXPECT_EQ(hash(text), SeededHash()(text));
        ++texts;
      }
  }
  EXPECT_EQ(seen.size(), texts);
}

TEST(SeededHash, TextsThatCountUpFallIntoAllBuckets) {
  std::vector<int> buckets(1009);
  for (int i = 0; i < 100'900; ++i)
    ++buckets[SeededHash()("\x08__name__\x01m\x01i\x05" + std::to_string(i)) % buckets.size()];
  for (const int count : buckets) {
    EXPECT_GT(count, 30);
    EXPECT_LT(count, 200);
  }
}

}  // namespace
}  // namespace tallymill::collector
