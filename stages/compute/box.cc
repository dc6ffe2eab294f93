// How a box is made:
//   1. Check the numbers, turn them into ticks, settle outer and inner sizes and the finger.
//   2. Name the panels; each pair that meets gets a Joint with its intervals.
//   3. Per panel: the four edges' steps, walked round once, are its shape.
//   4. Move each segment outwards by half a kerf: the cut.
#include "stages/compute/box.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/limits.h"

namespace tallymill::stages::compute {

namespace {

constexpr const char* axis_names[] = {"x", "y", "z"};

struct Face {
  std::string_view id;
  int u_axis;
  int v_axis;
  int normal_axis;
  bool far;
};

// By precedence; the lid is second so that an open box leaves it out without a change of order.
constexpr Face faces[] = {{"bottom", 0, 1, 2, false}, {"lid", 0, 1, 2, true},
                          {"front", 0, 2, 1, false},  {"back", 0, 2, 1, true},
                          {"left", 1, 2, 0, false},   {"right", 1, 2, 0, true}};

// Smaller takes precedence: across z, then y, then x.
constexpr int rank(int normal_axis) { return 2 - normal_axis; }

std::unexpected<Error> wrong(std::string_view field, std::string message) {
  return fail(Errc::bad_params, std::move(message), "/" + std::string(field));
}

Status check_range(std::string_view field, double value, double min, double max) {
  if (std::isfinite(value) && value >= min && value <= max) return {};
  return wrong(field, fmt::format("{} must be from {} to {}, not {}", field, min, max, value));
}

Status check_numbers(const BoxSpec& spec) {
  const Status checks[] = {
      check_range("x_mm", spec.x_mm, limits::min_box_side_mm, limits::max_box_side_mm),
      check_range("y_mm", spec.y_mm, limits::min_box_side_mm, limits::max_box_side_mm),
      check_range("z_mm", spec.z_mm, limits::min_box_side_mm, limits::max_box_side_mm),
      check_range("thickness_mm", spec.thickness_mm, limits::min_sheet_mm, limits::max_sheet_mm),
      check_range("finger_mm", spec.finger_mm, 0, limits::max_box_side_mm),
      check_range("play_mm", spec.play_mm, 0, limits::max_joint_gap_mm),
      check_range("kerf_mm", spec.kerf_mm, 0, limits::max_joint_gap_mm)};
  for (const Status& check : checks)
    if (!check) return check;
  if (spec.finger_mm != 0 && spec.finger_mm < limits::min_finger_mm)
    return wrong("finger_mm",
                 fmt::format("a finger must be at least {} mm wide (0: chosen for you)",
                             limits::min_finger_mm));
  return {};
}

class BoxMaker {
 public:
  explicit BoxMaker(const BoxSpec& spec) : spec_(spec) {}

  Result<Box> make() {
    if (auto ok = set_sizes(); !ok) return std::unexpected(std::move(ok).error());
    if (auto ok = set_finger(); !ok) return std::unexpected(std::move(ok).error());
    for (const Face& face : faces)
      if (spec_.lid || face.id != "lid")
        box_.panels.push_back(
            {face.id, face.u_axis, face.v_axis, face.normal_axis, face.far, {}, {}});
    make_joints();
    for (std::size_t i = 0; i < box_.panels.size(); ++i) {
      box_.panels[i].shape = shape_of(i);
      box_.panels[i].cut = offset(box_.panels[i].shape, box_.half_kerf);
    }
    return std::move(box_);
  }

 private:
  // What the panels across `axis` take of the outer size.
  [[nodiscard]] Ticks walls(int axis) const {
    return (axis == 2 && !spec_.lid ? 1 : 2) * box_.thickness;
  }

  Status set_sizes() {
    box_.thickness = to_ticks(spec_.thickness_mm);
    box_.half_play = to_ticks(spec_.play_mm / 2);
    box_.half_kerf = to_ticks(spec_.kerf_mm / 2);
    const double sides[] = {spec_.x_mm, spec_.y_mm, spec_.z_mm};
    for (int axis = 0; axis < 3; ++axis) {
      const auto i = static_cast<std::size_t>(axis);
      const Ticks side = to_ticks(sides[i]);
      box_.outer[i] = spec_.outer ? side : side + walls(axis);
      box_.inner[i] = box_.outer[i] - walls(axis);
      if (box_.inner[i] <= 0)
        return wrong("thickness_mm", fmt::format("walls of {} mm fill a box of {} mm along {}",
                                                 spec_.thickness_mm, sides[i], axis_names[i]));
    }
    return {};
  }

  // Between the caps, every edge along an axis is as long as the box is wide inside.
  Status set_finger() {
    const auto shortest = std::ranges::min_element(box_.inner) - box_.inner.begin();
    const char* const name = axis_names[shortest];
    const Ticks free = box_.inner[static_cast<std::size_t>(shortest)];
    const Ticks widest = widest_finger(free);
    if (widest < to_ticks(limits::min_finger_mm))
      return wrong(fmt::format("{}_mm", name),
                   fmt::format("an inside of {} mm along {} is too short for three fingers",
                               to_mm(free), name));
    box_.finger = spec_.finger_mm == 0
                      ? std::clamp(2 * box_.thickness, to_ticks(limits::min_finger_mm), widest)
                      : to_ticks(spec_.finger_mm);
    if (box_.finger > widest)
      return wrong("finger_mm",
                   fmt::format("an inside of {} mm along {} takes fingers of at most {} mm",
                               to_mm(free), name, to_mm(widest)));
    // Above half a finger, parts become splinters or drawn slots close.
    if (4 * box_.half_play > box_.finger)
      return wrong("play_mm", fmt::format("the play must be at most half a finger of {} mm",
                                          to_mm(box_.finger)));
    if (4 * box_.half_kerf > box_.finger)
      return wrong("kerf_mm", fmt::format("the kerf must be at most half a finger of {} mm",
                                          to_mm(box_.finger)));
    return {};
  }

  [[nodiscard]] std::optional<std::size_t> panel_at(int normal_axis, bool far) const {
    const auto found = std::ranges::find_if(
        box_.panels, [&](const Panel& p) { return p.normal_axis == normal_axis && p.far == far; });
    if (found == box_.panels.end()) return std::nullopt;
    return static_cast<std::size_t>(found - box_.panels.begin());
  }

  void make_joints() {
    for (std::size_t a = 0; a < box_.panels.size(); ++a)
      for (std::size_t b = a + 1; b < box_.panels.size(); ++b) {
        const int across_a = box_.panels[a].normal_axis;
        const int across_b = box_.panels[b].normal_axis;
        if (across_a == across_b) continue;  // they face each other
        const int axis = 3 - across_a - across_b;
        // The corner's first panel: a, which comes before b, or the third one.
        const Owner corner = rank(axis) < rank(across_a) ? Owner::other : Owner::a;
        const auto cap = [&](bool far) {
          return panel_at(axis, far) ? Cap{box_.thickness, corner} : Cap{};
        };
        box_.joints.push_back({a, b, axis,
                               finger_intervals(box_.outer[static_cast<std::size_t>(axis)],
                                                cap(false), cap(true), box_.finger)});
      }
  }

  // The border of panel `me` along its side at the near or far end of `towards`.
  [[nodiscard]] std::vector<Step> side_steps(std::size_t me, int towards, bool far) const {
    const auto mate = panel_at(towards, far);
    if (!mate) return {{0, 0}};
    const auto joint = std::ranges::find_if(box_.joints, [&](const Joint& j) {
      return j.a == std::min(me, *mate) && j.b == std::max(me, *mate);
    });
    TM_CHECK(joint != box_.joints.end());
    return edge_steps(joint->intervals, joint->a == me ? Owner::a : Owner::b, box_.thickness,
                      box_.half_play);
  }

  // The same border walked from the other end.
  static std::vector<Step> reversed(const std::vector<Step>& steps, Ticks length) {
    std::vector<Step> back;
    for (std::size_t i = steps.size(); i-- > 0;)
      back.push_back({i + 1 < steps.size() ? length - steps[i + 1].at : 0, steps[i].depth});
    return back;
  }

  // Counterclockwise: along the near v, up the far u, back along the far v, down the near u. Two
  // sides meet where the lines at the depths of their touching ends cross.
  [[nodiscard]] Outline shape_of(std::size_t me) const {
    const Panel& panel = box_.panels[me];
    const Ticks width = box_.outer[static_cast<std::size_t>(panel.u_axis)];
    const Ticks height = box_.outer[static_cast<std::size_t>(panel.v_axis)];
    const std::vector<Step> sides[4] = {side_steps(me, panel.v_axis, false),
                                        side_steps(me, panel.u_axis, true),
                                        reversed(side_steps(me, panel.v_axis, true), width),
                                        reversed(side_steps(me, panel.u_axis, false), height)};
    Outline outline;
    for (int side = 0; side < 4; ++side) {
      const auto add = [&](Ticks along, Ticks depth) {
        switch (side) {
          case 0:
            return outline.push_back({along, depth});
          case 1:
            return outline.push_back({width - depth, along});
          case 2:
            return outline.push_back({width - along, height - depth});
          default:
            return outline.push_back({depth, height - along});
        }
      };
      const auto& steps = sides[side];
      add(sides[(side + 3) % 4].back().depth, steps.front().depth);
      for (std::size_t i = 1; i < steps.size(); ++i) {
        add(steps[i].at, steps[i - 1].depth);
        add(steps[i].at, steps[i].depth);
      }
    }
    return without_straight_points(outline);
  }

  // Drops points that repeat their neighbour, then those that lie between theirs.
  static Outline without_straight_points(const Outline& outline) {
    Outline distinct;
    for (std::size_t i = 0; i < outline.size(); ++i)
      if (outline[i] != outline[(i + 1) % outline.size()]) distinct.push_back(outline[i]);
    Outline corners;
    const auto count = distinct.size();
    for (std::size_t i = 0; i < count; ++i) {
      const Point& before = distinct[(i + count - 1) % count];
      const Point& here = distinct[i];
      const Point& after = distinct[(i + 1) % count];
      const bool straight =
          (before.u == here.u && here.u == after.u) || (before.v == here.v && here.v == after.v);
      if (!straight) corners.push_back(here);
    }
    return corners;
  }

  // Each segment moved to its right, which is outside.
  static Outline offset(const Outline& outline, Ticks distance) {
    const auto count = outline.size();
    const auto sign = [](Ticks t) { return t > 0 ? Ticks{1} : t < 0 ? Ticks{-1} : Ticks{0}; };
    Outline moved;
    moved.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const Point& before = outline[(i + count - 1) % count];
      const Point& here = outline[i];
      const Point& after = outline[(i + 1) % count];
      const Ticks du = sign(here.v - before.v) + sign(after.v - here.v);
      const Ticks dv = -sign(here.u - before.u) - sign(after.u - here.u);
      moved.push_back({here.u + distance * du, here.v + distance * dv});
    }
    return moved;
  }

  const BoxSpec& spec_;
  Box box_;
};

}  // namespace

Result<Box> make_box(const BoxSpec& spec) {
  if (auto ok = check_numbers(spec); !ok) return std::unexpected(std::move(ok).error());
  return BoxMaker(spec).make();
}

}  // namespace tallymill::stages::compute
