// Silences. Goal: what was acknowledged is there after a restart; a change that would rewrite what
// was makes a new one; what is over is kept for five days, and no more than may be. Method: the
// real file of an outbox; a clock that the test moves.
#include "alerting/silences.h"

#include <gtest/gtest.h>

#include "alerting/limits.h"
#include "store/sqlite.h"
#include "tests/alerting/sink_fixture.h"

namespace tallymill::alerting {
namespace {

using collector::Labels;
using collector::Matcher;

class MovedClock final : public Clock {
 public:
  [[nodiscard]] Instant now() const override { return instant_from_ns(ms * 1'000'000); }
  [[nodiscard]] WallTime wall() const override { return wall_from_ns(ms * 1'000'000); }
  std::int64_t ms = 1'000'000'000;
};

class SilencesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    outbox_ = open_outbox(folder_.path());
    open();
  }
  void open() {
    silences_.reset();
    auto opened = Silences::open(folder_.path() / "alerts.db", registry_, clock_);
    ASSERT_TRUE(opened) << opened.error().message;
    silences_ = std::move(*opened);
  }
  [[nodiscard]] Silence silence(const std::string& stage, std::int64_t for_ms = hour_ms) const {
    return {.matchers = {Matcher::of(Matcher::Kind::equal, "stage", stage).value()},
            .starts_ms = clock_.ms,
            .ends_ms = clock_.ms + for_ms,
            .created_by = "me",
            .comment = "disks"};
  }
  std::string set(Silence one) {
    auto id = silences_->set(std::move(one));
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    return id.value_or("");
  }
  // At once: one after the other each would wait for the disk.
  void store_copies_of(const std::string& id, std::size_t count) const {
    auto file = store::Sqlite::open(folder_.path() / "alerts.db", store::Sqlite::Mode::write);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->exec(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " +
        std::to_string(count) +
        ") INSERT INTO silences SELECT 'copy-' || i, starts_ms, ends_ms, updated_ms, created_by, "
        "comment, matchers FROM n, silences WHERE id = '" +
        id + "'"));
  }
  [[nodiscard]] std::string state_of(const std::string& id) const {
    const auto found = silences_->find(id);
    return found ? std::string(name_of(found->state(clock_.ms))) : "none";
  }
  [[nodiscard]] bool is_silent(const std::string& stage) const {
    return silences_->silences(Labels::of({{"alertname", "Wait"}, {"stage", stage}}));
  }
  [[nodiscard]] double kept(const std::string& state) {
    silences_->tell();
    return registry_
        .gauge("tallymill_alerting_silences",
               "Silences that are kept, by what they are now; 2,000 at most together.",
               {{"state", state}})
        .value();
  }

  TempFolder folder_;
  MovedClock clock_;
  metrics::Registry registry_;
  std::unique_ptr<Outbox> outbox_;
  std::unique_ptr<Silences> silences_;
};

TEST_F(SilencesTest, SilencesFromItsStartToItsEndAlsoAfterARestart) {
  Silence later = silence("image");
  later.starts_ms += 1000;
  const std::string id = set(later);
  EXPECT_EQ(id.size(), 36U);
  EXPECT_EQ(state_of(id), "pending");
  EXPECT_FALSE(is_silent("image"));
  clock_.ms += 1000;
  EXPECT_TRUE(is_silent("image"));
  EXPECT_FALSE(is_silent("box"));
  open();
  EXPECT_TRUE(is_silent("image"));
  const auto found = silences_->find(id);
  EXPECT_EQ(found->comment, "disks");
  EXPECT_EQ(found->created_by, "me");
  EXPECT_EQ(found->matchers[0].text(), "stage=\"image\"");
  clock_.ms += hour_ms - 1001;
  EXPECT_TRUE(is_silent("image"));
  clock_.ms += 1;
  EXPECT_FALSE(is_silent("image"));
  EXPECT_EQ(state_of(id), "expired");
}

TEST_F(SilencesTest, TellsWhichSilenceAnAlert) {
  const std::string one = set(silence("image"));
  Silence other{.matchers = {Matcher::of(Matcher::Kind::matches, "alertname", "W.*").value()},
                .starts_ms = clock_.ms,
                .ends_ms = clock_.ms + 10};
  const std::string two = set(other);
  const auto ids = silences_->silencing(Labels::of({{"alertname", "Wait"}, {"stage", "image"}}));
  EXPECT_EQ(ids, (std::vector<std::string>{std::min(one, two), std::max(one, two)}));
  clock_.ms += 10;
  EXPECT_EQ(silences_->silencing(Labels::of({{"alertname", "Wait"}, {"stage", "image"}})),
            std::vector{one});
}

TEST_F(SilencesTest, ExpiredIsOverAtOnceAndOnce) {
  const std::string id = set(silence("image"));
  clock_.ms += 5;
  ASSERT_TRUE(silences_->expire(id));
  EXPECT_FALSE(is_silent("image"));
  open();
  EXPECT_EQ(state_of(id), "expired");
  EXPECT_EQ(silences_->expire(id).error().code, Errc::wrong_state);
  EXPECT_EQ(silences_->expire("nonsense").error().code, Errc::not_found);
  Silence later = silence("box");
  later.starts_ms += 1000;
  const std::string pending = set(later);
  ASSERT_TRUE(silences_->expire(pending));
  EXPECT_EQ(state_of(pending), "expired");
}

TEST_F(SilencesTest, OneThatWouldBeOverAlreadyIsRefused) {
  Silence past = silence("image");
  past.starts_ms -= 2 * hour_ms;
  past.ends_ms = clock_.ms;
  const auto refused = silences_->set(past);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::bad_params);
  EXPECT_EQ(refused.error().field, "/endsAt");
}

TEST_F(SilencesTest, StartThatIsPastIsNow) {
  Silence past = silence("image");
  past.starts_ms -= hour_ms;
  EXPECT_EQ(silences_->find(set(past))->starts_ms, clock_.ms);
}

TEST_F(SilencesTest, LongerOrShorterIsTheSameOneAndOtherMatchersAreANewOne) {
  const std::string id = set(silence("image"));
  Silence changed = *silences_->find(id);
  clock_.ms += 1000;
  changed.ends_ms += hour_ms;
  changed.comment = "more disks";
  EXPECT_EQ(set(changed), id);
  EXPECT_EQ(silences_->find(id)->comment, "more disks");
  EXPECT_EQ(silences_->all()->size(), 1U);

  changed.matchers = silence("box").matchers;
  const std::string other = set(changed);
  EXPECT_NE(other, id);
  EXPECT_EQ(state_of(id), "expired");
  EXPECT_EQ(silences_->find(id)->ends_ms, clock_.ms);
  EXPECT_EQ(silences_->find(id)->matchers[0].value(), "image");
  EXPECT_TRUE(is_silent("box"));
  EXPECT_FALSE(is_silent("image"));

  // What is over stays so: it becomes a new one.
  Silence again = *silences_->find(id);
  again.ends_ms = clock_.ms + hour_ms;
  EXPECT_NE(set(again), id);
  EXPECT_EQ(state_of(id), "expired");

  Silence unknown = silence("image");
  unknown.id = "nonsense";
  EXPECT_EQ(silences_->set(unknown).error().code, Errc::not_found);
}

TEST_F(SilencesTest, OneThatIsOverIsKeptFiveDays) {
  const std::string id = set(silence("image"));
  const auto kept_ms = std::chrono::milliseconds(limits::silence_kept).count();
  clock_.ms += hour_ms + kept_ms - 1;
  set(silence("box", 1));
  EXPECT_EQ(state_of(id), "expired");
  clock_.ms += 1;
  set(silence("box", 1));
  EXPECT_EQ(state_of(id), "none");
  open();
  EXPECT_EQ(state_of(id), "none");
  EXPECT_EQ(silences_->all()->size(), 2U);
}

TEST_F(SilencesTest, SoManyAreKeptThoseThatAreOverGoFirstAndOneMoreIsRefused) {
  const std::string oldest = set(silence("old", 1));
  clock_.ms += 1;
  const std::string old = set(silence("old", 1));
  clock_.ms += 1;
  const std::string last = set(silence("last"));
  store_copies_of(last, limits::silences - 3);
  open();
  EXPECT_EQ(silences_->all()->size(), limits::silences);
  EXPECT_EQ(kept("active"), limits::silences - 2);
  EXPECT_EQ(kept("expired"), 2);
  set(silence("one"));
  EXPECT_EQ(state_of(oldest), "none");
  EXPECT_EQ(state_of(old), "expired");
  set(silence("two"));
  EXPECT_EQ(state_of(old), "none");
  const auto refused = silences_->set(silence("three"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::busy);
  // One that is there may still be made longer; and where one ends, there is room.
  Silence longer = *silences_->find(last);
  longer.ends_ms += 1;
  EXPECT_EQ(set(longer), last);
  ASSERT_TRUE(silences_->expire(last));
  set(silence("three"));
  EXPECT_EQ(silences_->all()->size(), limits::silences);
}

}  // namespace
}  // namespace tallymill::alerting
