// A box's panels fit together. Goal: for any parameters the parts fill the shell of the box once,
// each outline can be cut, and kerf and play change exactly what they should. Method: 2,000 random
// boxes, held against the laws in whole ticks (partition by sample points plus the sum of areas)
// and against the drawn line measured along each edge; then the impossible ones.
#include "stages/compute/box.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <set>

#include "base/limits.h"
#include "tests/stages/compute/seed.h"

namespace tallymill::stages::compute {
namespace {

using Wide = __int128;  // volumes in cubic ticks are beyond 64 bits

struct Point3 {
  std::array<double, 3> at;
};

// Twice the area, positive when counterclockwise.
Wide area2(const Outline& outline) {
  Wide sum = 0;
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const Point& p = outline[i];
    const Point& q = outline[(i + 1) % outline.size()];
    sum += Wide{p.u} * q.v - Wide{q.u} * p.v;
  }
  return sum;
}

bool contains(const Outline& outline, double u, double v) {
  bool inside = false;
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const Point& p = outline[i];
    const Point& q = outline[(i + 1) % outline.size()];
    if (p.u != q.u || (static_cast<double>(p.v) > v) == (static_cast<double>(q.v) > v)) continue;
    if (u < static_cast<double>(p.u)) inside = !inside;
  }
  return inside;
}

bool holds(const Box& box, const Panel& panel, const Point3& p) {
  const auto axis = static_cast<std::size_t>(panel.normal_axis);
  const Ticks low = panel.far ? box.outer[axis] - box.thickness : 0;
  const double across = p.at[axis];
  if (across < static_cast<double>(low) || across > static_cast<double>(low + box.thickness))
    return false;
  return contains(panel.shape, p.at[static_cast<std::size_t>(panel.u_axis)],
                  p.at[static_cast<std::size_t>(panel.v_axis)]);
}

int owners(const Box& box, const Point3& p) {
  int count = 0;
  for (const Panel& panel : box.panels) count += holds(box, panel, p);
  return count;
}

// Closed, along the axes in turn, counterclockwise, and no two segments touch but neighbours at
// their corner.
void expect_cuttable(const Outline& outline) {
  const auto count = outline.size();
  ASSERT_GE(count, 4U);
  ASSERT_GT(area2(outline), 0);
  const auto segment = [&](std::size_t i) {
    const Point& p = outline[i];
    const Point& q = outline[(i + 1) % count];
    return Bounds{{std::min(p.u, q.u), std::min(p.v, q.v)},
                  {std::max(p.u, q.u), std::max(p.v, q.v)}};
  };
  for (std::size_t i = 0; i < count; ++i) {
    const Bounds a = segment(i);
    ASSERT_NE(a.min.u == a.max.u, a.min.v == a.max.v) << "segment " << i;
    const Bounds after = segment((i + 1) % count);
    ASSERT_NE(a.min.u == a.max.u, after.min.u == after.max.u) << "segment " << i;
    for (std::size_t j = i + 2; j < count; ++j) {
      if (i == 0 && j == count - 1) continue;
      const Bounds b = segment(j);
      const bool apart =
          a.max.u < b.min.u || b.max.u < a.min.u || a.max.v < b.min.v || b.max.v < a.min.v;
      ASSERT_TRUE(apart) << "segments " << i << " and " << j;
    }
  }
}

// Where the line that runs along a joint's edge, midway between the drawn tips of fingers and
// bottoms of slots, crosses an outline: the sides of fingers and slots as drawn.
std::vector<Ticks> crossings(const Box& box, const Panel& panel, const Outline& outline,
                             const Joint& joint, bool mate_far) {
  const int towards = 3 - joint.axis - panel.normal_axis;
  const Ticks size = box.outer[static_cast<std::size_t>(towards)];
  const Ticks inside = box.thickness / 2 - box.half_kerf;
  const Ticks line = mate_far ? size - inside : inside;
  const bool along_u = panel.u_axis == joint.axis;
  std::vector<Ticks> found;
  for (std::size_t i = 0; i < outline.size(); ++i) {
    const Point& p = outline[i];
    const Point& q = outline[(i + 1) % outline.size()];
    const Ticks p_off = along_u ? p.v : p.u;
    const Ticks q_off = along_u ? q.v : q.u;
    if ((p_off > line) != (q_off > line)) found.push_back(along_u ? p.u : p.v);
  }
  std::ranges::sort(found);
  return found;
}

// The same from the intervals alone: a finger is as wide as its interval plus the kerf; b's are
// narrower by the play where they meet a.
std::vector<Ticks> expected_crossings(const Box& box, const Joint& joint, Owner me) {
  std::vector<Ticks> sides;
  const auto& intervals = joint.intervals;
  for (std::size_t i = 0; i < intervals.size(); ++i) {
    if (intervals[i].owner != me) continue;
    const auto recess = [&](bool has_neighbour, std::size_t neighbour) -> Ticks {
      if (me == Owner::a || !has_neighbour || intervals[neighbour].owner == Owner::other) return 0;
      return box.half_play;
    };
    sides.push_back(intervals[i].begin + recess(i > 0, i - 1) - box.half_kerf);
    sides.push_back(intervals[i].end - recess(i + 1 < intervals.size(), i + 1) + box.half_kerf);
  }
  return sides;
}

void expect_drawn_widths(const Box& box) {
  for (const Joint& joint : box.joints)
    for (const Owner me : {Owner::a, Owner::b}) {
      const Panel& panel = box.panels[me == Owner::a ? joint.a : joint.b];
      const Panel& mate = box.panels[me == Owner::a ? joint.b : joint.a];
      ASSERT_EQ(crossings(box, panel, panel.cut, joint, mate.far),
                expected_crossings(box, joint, me))
          << panel.id << " at " << mate.id;
    }
}

// The middle of every interval of every edge, of every corner and face, and random points, each
// belongs to one panel; points inside the box and outside of it to none.
void expect_shell_filled_once(const Box& box, std::mt19937& rng) {
  const double half = static_cast<double>(box.thickness) / 2;
  const auto size = [&](int axis) {
    return static_cast<double>(box.outer[static_cast<std::size_t>(axis)]);
  };
  for (const Joint& joint : box.joints) {
    Point3 p{};
    for (const std::size_t index : {joint.a, joint.b}) {
      const Panel& panel = box.panels[index];
      p.at[static_cast<std::size_t>(panel.normal_axis)] =
          panel.far ? size(panel.normal_axis) - half : half;
    }
    for (const Interval& interval : joint.intervals) {
      p.at[static_cast<std::size_t>(joint.axis)] =
          static_cast<double>(interval.begin + interval.end) / 2;
      ASSERT_EQ(owners(box, p), 1)
          << box.panels[joint.a].id << '-' << box.panels[joint.b].id << " at " << interval.begin;
      const std::size_t owner = interval.owner == Owner::a ? joint.a : joint.b;
      if (interval.owner != Owner::other) {
        ASSERT_TRUE(holds(box, box.panels[owner], p));
      }
    }
  }
  for (int corner = 0; corner < 8; ++corner) {
    Point3 p{};
    for (int axis = 0; axis < 3; ++axis)
      p.at[static_cast<std::size_t>(axis)] = corner & (1 << axis) ? size(axis) - half : half;
    ASSERT_EQ(owners(box, p), 1) << "corner " << corner;
  }
  const bool open = box.panels.size() == 5;
  for (int i = 0; i < 200; ++i) {
    Point3 p{};
    bool in_shell = false;
    for (int axis = 0; axis < 3; ++axis) {
      const double t = static_cast<double>(box.thickness);
      const double range = rng() % 3 ? size(axis) : t;  // thin slices near the walls too
      const double at = std::uniform_real_distribution<double>(0, range)(rng);
      p.at[static_cast<std::size_t>(axis)] = rng() % 2 ? at : size(axis) - at;
      const double place = p.at[static_cast<std::size_t>(axis)];
      in_shell = in_shell || place < t || (place > size(axis) - t && !(open && axis == 2));
    }
    ASSERT_EQ(owners(box, p), in_shell ? 1 : 0) << p.at[0] << ' ' << p.at[1] << ' ' << p.at[2];
  }
}

void expect_area_law(const Box& box) {
  Wide twice_volume = 0;
  for (const Panel& panel : box.panels) twice_volume += area2(panel.shape) * box.thickness;
  const auto volume = [](const std::array<Ticks, 3>& s) { return Wide{s[0]} * s[1] * s[2]; };
  ASSERT_TRUE(twice_volume == 2 * (volume(box.outer) - volume(box.inner)));
}

// Assembled, the parts reach exactly from 0 to the outer size.
void expect_outer_size(const Box& box, const BoxSpec& spec) {
  const double sides[] = {spec.x_mm, spec.y_mm, spec.z_mm};
  for (std::size_t axis = 0; axis < 3; ++axis) {
    const Ticks walls = (axis == 2 && !spec.lid ? 1 : 2) * box.thickness;
    const Ticks asked = to_ticks(sides[axis]);
    ASSERT_EQ(box.outer[axis], spec.outer ? asked : asked + walls);
    ASSERT_EQ(box.inner[axis], box.outer[axis] - walls);
    Ticks reach = 0;
    for (const Panel& panel : box.panels) {
      const Bounds bounds = bounds_of(panel.shape);
      ASSERT_GE(std::min(bounds.min.u, bounds.min.v), 0);
      if (static_cast<std::size_t>(panel.u_axis) == axis) reach = std::max(reach, bounds.max.u);
      if (static_cast<std::size_t>(panel.v_axis) == axis) reach = std::max(reach, bounds.max.v);
    }
    ASSERT_EQ(reach, box.outer[axis]);
  }
}

BoxSpec random_spec(std::mt19937& rng) {
  const auto uniform = [&](double a, double b) {
    return std::uniform_real_distribution<double>(a, b)(rng);
  };
  BoxSpec spec;
  spec.thickness_mm = uniform(0.5, 12);
  spec.outer = rng() % 2;
  spec.lid = rng() % 2;
  for (double* side : {&spec.x_mm, &spec.y_mm, &spec.z_mm})
    *side = uniform(3.5, 250) + 2 * spec.thickness_mm;
  const double shortest =
      std::min({spec.x_mm, spec.y_mm, spec.z_mm}) - (spec.outer ? 2 * spec.thickness_mm : 0);
  spec.finger_mm = rng() % 4 ? uniform(std::max(1.0, shortest / 25), shortest / 3) : 0;
  const double finger =
      spec.finger_mm > 0 ? spec.finger_mm : std::clamp(2 * spec.thickness_mm, 1.0, shortest / 3);
  spec.play_mm = rng() % 2 ? uniform(0, std::min(2.0, finger / 2.1)) : 0;
  spec.kerf_mm = rng() % 4 ? uniform(0, std::min(2.0, finger / 2.1)) : 0;
  return spec;
}

TEST(Box, TwoThousandRandomBoxesObeyTheLaws) {
  std::mt19937 rng(test_seed());
  for (int round = 0; round < 2'000; ++round) {
    const BoxSpec spec = random_spec(rng);
    SCOPED_TRACE(testing::Message()
                 << "round " << round << ": " << spec.x_mm << " x " << spec.y_mm << " x "
                 << spec.z_mm << (spec.outer ? " outer" : " inner") << (spec.lid ? "" : " open")
                 << " t " << spec.thickness_mm << " finger " << spec.finger_mm << " play "
                 << spec.play_mm << " kerf " << spec.kerf_mm);
    BoxSpec plain = spec;
    plain.play_mm = plain.kerf_mm = 0;
    const auto nominal = make_box(plain);
    const auto box = make_box(spec);
    ASSERT_TRUE(nominal) << nominal.error().message;
    ASSERT_TRUE(box) << box.error().message;
    expect_outer_size(*nominal, spec);
    expect_area_law(*nominal);
    expect_shell_filled_once(*nominal, rng);
    for (const Panel& panel : nominal->panels) ASSERT_EQ(panel.shape, panel.cut);
    for (const Panel& panel : box->panels) {
      expect_cuttable(panel.shape);
      expect_cuttable(panel.cut);
    }
    expect_drawn_widths(*box);
    if (HasFatalFailure()) return;
  }
}

TEST(Box, ADrawnFingerIsAKerfWiderAndASlotAKerfNarrowerPlusThePlay) {
  const auto box = make_box({.x_mm = 90,
                             .y_mm = 90,
                             .z_mm = 90,
                             .thickness_mm = 3,
                             .finger_mm = 6,
                             .play_mm = 0.1,
                             .kerf_mm = 0.2});
  ASSERT_TRUE(box);
  const Joint& joint = box->joints.front();  // bottom and front, along x: 96 mm
  const auto widths = [&](std::size_t index, std::size_t mate) {
    const Panel& panel = box->panels[index];
    const auto sides = crossings(*box, panel, panel.cut, joint, box->panels[mate].far);
    std::vector<double> out;
    for (std::size_t i = 1; i < sides.size(); ++i) out.push_back(to_mm(sides[i] - sides[i - 1]));
    return out;
  };
  const auto a = widths(joint.a, joint.b);  // finger, slot, ..., finger
  ASSERT_EQ(a.size(), 15U);
  EXPECT_EQ(a[2], 6.2);
  EXPECT_EQ(a[3], 5.8);
  const auto b = widths(joint.b, joint.a);
  ASSERT_EQ(b.size(), 13U);
  EXPECT_EQ(b[0], 6.1);  // 6 - 0.1 play + 0.2 kerf
  EXPECT_EQ(b[1], 5.9);  // 6 + 0.1 play - 0.2 kerf
}

TEST(Box, AnOpenBoxHasNoLidAndItsWallsEndInAPlainRim) {
  const auto box = make_box({.x_mm = 60, .y_mm = 50, .z_mm = 40, .lid = false});
  ASSERT_TRUE(box);
  EXPECT_EQ(box->panels.size(), 5U);
  EXPECT_EQ(box->joints.size(), 8U);
  EXPECT_EQ(box->outer[2], to_ticks(43));
  for (const Panel& panel : box->panels) {
    if (panel.id == "bottom") continue;
    int rim_points = 0;
    for (const Point& p : panel.shape) rim_points += p.v == box->outer[2];
    EXPECT_EQ(rim_points, 2) << panel.id;
  }
}

TEST(Box, WithoutAWishTheFingerIsTwoThicknessesOrWhatTheShortestEdgeTakes) {
  const auto roomy = make_box({.x_mm = 100, .y_mm = 100, .z_mm = 100, .thickness_mm = 4});
  ASSERT_TRUE(roomy);
  EXPECT_EQ(roomy->finger, to_ticks(8));
  const auto flat = make_box({.x_mm = 100, .y_mm = 100, .z_mm = 9, .thickness_mm = 4});
  ASSERT_TRUE(flat);
  EXPECT_EQ(flat->finger, to_ticks(3));
  const auto veneer = make_box({.x_mm = 100, .y_mm = 100, .z_mm = 9, .thickness_mm = 0.2});
  ASSERT_TRUE(veneer);
  EXPECT_EQ(veneer->finger, to_ticks(limits::min_finger_mm));
}

TEST(Box, WhatCannotBeBuiltIsRefusedWithTheParameter) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double inf = std::numeric_limits<double>::infinity();
  const auto refused = [](auto change) -> std::string {
    BoxSpec spec{.x_mm = 100, .y_mm = 80, .z_mm = 60};
    change(spec);
    const auto box = make_box(spec);
    if (box) return "accepted";
    EXPECT_EQ(box.error().code, Errc::bad_params);
    EXPECT_FALSE(box.error().message.empty());
    return box.error().field;
  };
  EXPECT_EQ(refused([&](auto& s) { s.x_mm = nan; }), "/x_mm");
  EXPECT_EQ(refused([&](auto& s) { s.y_mm = inf; }), "/y_mm");
  EXPECT_EQ(refused([](auto& s) { s.z_mm = 0; }), "/z_mm");
  EXPECT_EQ(refused([](auto& s) { s.z_mm = -60; }), "/z_mm");
  EXPECT_EQ(refused([](auto& s) { s.x_mm = limits::max_box_side_mm + 0.1; }), "/x_mm");
  EXPECT_EQ(refused([](auto& s) { s.x_mm = limits::max_box_side_mm; }), "accepted");
  EXPECT_EQ(refused([&](auto& s) { s.thickness_mm = nan; }), "/thickness_mm");
  EXPECT_EQ(refused([](auto& s) { s.thickness_mm = 0; }), "/thickness_mm");
  EXPECT_EQ(refused([](auto& s) { s.thickness_mm = limits::max_sheet_mm + 1; }), "/thickness_mm");
  EXPECT_EQ(refused([](auto& s) { s.outer = true, s.thickness_mm = 30; }), "/thickness_mm");
  EXPECT_EQ(refused([](auto& s) { s.outer = true, s.thickness_mm = 28.6; }), "/z_mm");
  EXPECT_EQ(refused([](auto& s) { s.z_mm = 2.9; }), "/z_mm");
  EXPECT_EQ(refused([](auto& s) { s.z_mm = 3; }), "accepted");
  EXPECT_EQ(refused([](auto& s) { s.finger_mm = 20.01; }), "/finger_mm");
  EXPECT_EQ(refused([](auto& s) { s.finger_mm = 20; }), "accepted");
  EXPECT_EQ(refused([](auto& s) { s.finger_mm = 0.9; }), "/finger_mm");
  EXPECT_EQ(refused([](auto& s) { s.finger_mm = -1; }), "/finger_mm");
  EXPECT_EQ(refused([&](auto& s) { s.finger_mm = nan; }), "/finger_mm");
  EXPECT_EQ(refused([](auto& s) { s.play_mm = -0.1; }), "/play_mm");
  EXPECT_EQ(refused([](auto& s) { s.finger_mm = 2, s.play_mm = 1.1; }), "/play_mm");
  EXPECT_EQ(refused([](auto& s) { s.kerf_mm = 2.1; }), "/kerf_mm");
  EXPECT_EQ(refused([](auto& s) { s.finger_mm = 2, s.kerf_mm = 1.1; }), "/kerf_mm");
  EXPECT_EQ(refused([](auto& s) { s.finger_mm = 2, s.kerf_mm = 1, s.play_mm = 1; }), "accepted");
}

}  // namespace
}  // namespace tallymill::stages::compute
