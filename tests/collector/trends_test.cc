// Goal: a step is found where it is, within two windows, and 24 hours of noise have none, for each
// noise that a measure may have. Method: days of minutes made from seeds, each with a step planted
// and without.
#include "collector/trends.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <numbers>
#include <random>

namespace tallymill::collector {
namespace {

constexpr std::size_t day = 24 * 60;
constexpr std::size_t window = 30;
constexpr std::uint64_t first_seed = 20260117;
constexpr int days = 50;

using Random = std::mt19937_64;
struct Noise {
  const char* name;
  double step;  // as large as it takes to be seen in it
  std::function<std::vector<double>(Random&)> of_a_day;
};

std::vector<double> each_minute(const std::function<double(std::size_t)>& value) {
  std::vector<double> values(day);
  for (std::size_t i = 0; i < day; ++i) values[i] = value(i);
  return values;
}
double hours(std::size_t minute) {
  return std::sin(2 * std::numbers::pi * static_cast<double>(minute) / day);
}

std::vector<Noise> noises() {
  return {
      {"gaussian", 40,
       [](Random& random) {
         std::normal_distribution<double> noise(100, 10);
         return each_minute([&](std::size_t) { return noise(random); });
       }},
      {"log-normal", 80,
       [](Random& random) {
         std::lognormal_distribution<double> noise(4, 0.4);
         return each_minute([&](std::size_t) { return noise(random); });
       }},
      {"Student's t, 2 degrees", 80,
       [](Random& random) {
         std::student_t_distribution<double> noise(2);
         return each_minute([&](std::size_t) { return 100 + 10 * noise(random); });
       }},
      {"the hours of the day", 50,
       [](Random& random) {
         std::normal_distribution<double> noise(0, 10);
         return each_minute([&](std::size_t i) { return 200 + 100 * hours(i) + noise(random); });
       }},
      {"autocorrelated, 0.9", 200,
       [](Random& random) {
         std::normal_distribution<double> noise(0, 10);
         double x = 0;
         return each_minute([&](std::size_t) { return 200 + (x = 0.9 * x + noise(random)); });
       }},
      {"random walk", 500,
       [](Random& random) {
         std::normal_distribution<double> noise(0, 10);
         double x = 0;
         return each_minute([&](std::size_t) { return 2000 + (x += noise(random)); });
       }},
      {"spikes of five minutes", 50,
       [](Random& random) {
         std::normal_distribution<double> noise(100, 10);
         std::uniform_int_distribution<int> often(0, 99);
         int left = 0;
         return each_minute([&](std::size_t) {
           if (often(random) == 0) left = 5;
           return noise(random) + (left-- > 0 ? 500 : 0);
         });
       }},
      {"counts", 6,
       [](Random& random) {
         std::poisson_distribution<int> noise(3);
         return each_minute([&](std::size_t) { return noise(random); });
       }},
      {"a constant", 1, [](Random&) { return each_minute([](std::size_t) { return 5; }); }},
  };
}

TEST(Trends, InDaysOfNoiseThereIsNoStep) {
  for (const Noise& noise : noises()) {
    int found = 0;
    for (int run = 0; run < days; ++run) {
      Random random(first_seed + static_cast<std::uint64_t>(run));
      const auto steps = steps_in(noise.of_a_day(random), window);
      ASSERT_TRUE(steps) << steps.error().message;
      found += static_cast<int>(steps->size());
    }
    EXPECT_EQ(found, 0) << noise.name << ", seeds from " << first_seed;
  }
}

// About four deviations of the noise where one value says nothing of the next, more where it does;
// the day ends two windows later.
TEST(Trends, APlantedStepIsFoundWithinTwoWindowsAndWhereItIs) {
  for (const Noise& noise : noises()) {
    const std::size_t at = day - 2 * window;
    int found = 0;
    int near = 0;
    int others = 0;
    for (int run = 0; run < days; ++run) {
      Random random(first_seed + static_cast<std::uint64_t>(run));
      auto values = noise.of_a_day(random);
      for (std::size_t i = at; i < day; ++i) values[i] += noise.step;
      const auto steps = steps_in(values, window);
      ASSERT_TRUE(steps);
      const std::size_t off =
          steps->empty() ? day : std::max(steps->back().at, at) - std::min(steps->back().at, at);
      found += off < window ? 1 : 0;
      near += off <= 5 ? 1 : 0;
      others += static_cast<int>(steps->size()) - (off < window ? 1 : 0);
    }
    EXPECT_EQ(found, days) << noise.name << ", seeds from " << first_seed;
    EXPECT_GE(near, days * 8 / 10) << noise.name;
    EXPECT_EQ(others, 0) << noise.name;
  }
}

TEST(Trends, UpAndDownAgainAreTwoStepsWithTheirLevels) {
  Random random(first_seed);
  std::normal_distribution<double> noise(0, 1);
  const auto values =
      each_minute([&](std::size_t i) { return (i >= 500 && i < 900 ? 150 : 100) + noise(random); });
  const auto steps = steps_in(values, window);
  ASSERT_TRUE(steps);
  ASSERT_EQ(steps->size(), 2U);
  EXPECT_EQ((*steps)[0].at, 500U);
  EXPECT_EQ((*steps)[1].at, 900U);
  EXPECT_NEAR((*steps)[0].before, 100, 1);
  EXPECT_NEAR((*steps)[0].after, 150, 1);
  EXPECT_GE((*steps)[0].strength, step_strength);
}

TEST(Trends, WhatIsNoNumberIsPassedOverAndPlacesStayRight) {
  auto values = each_minute([](std::size_t i) { return i < 1000 ? 1.0 : 2.0; });
  for (std::size_t i = 0; i < day; i += 7) values[i] = std::nan("");
  const auto steps = steps_in(values, window);
  ASSERT_TRUE(steps);
  ASSERT_EQ(steps->size(), 1U);
  EXPECT_NEAR(static_cast<double>((*steps)[0].at), 1000, 1);
}

TEST(Trends, TooShortAWindowOrARangeIsRefused) {
  const std::vector<double> values(trend_windows * window, 1);
  EXPECT_TRUE(steps_in(values, window));
  EXPECT_FALSE(steps_in(std::span(values).first(values.size() - 1), window));
  EXPECT_FALSE(steps_in(values, 4));
  EXPECT_TRUE(steps_in(values, 5));
  EXPECT_FALSE(steps_in({}, window));
}

}  // namespace
}  // namespace tallymill::collector
