// Box: the panels of a finger-jointed box, closed or open at the top.
//
//              z                  bottom, lid    lie across z   u = x, v = y
//              |  y               front, back    stand across y u = x, v = z
//              | /                left, right    stand across x u = y, v = z
//              |/____ x           front, left and bottom are the near ones: they hold the origin
//
// Every panel fills part of a slab one thickness deep at its face of the outer box. Where two slabs
// meet lies an edge, shared by finger_joint.h; where three meet, a corner cube. A panel of an
// earlier row above takes precedence over a later one: it owns both ends of their edge, and of the
// three at a corner the first owns the cube. So a corner cube always hangs on an end finger of its
// own panel, never by a point. With the lid gone the walls reach up to the rim.
//
//   invariant: without play and kerf each point of the shell (outer box less inner box) belongs to
//   exactly one panel
//   invariant: outlines are closed, counterclockwise, along the axes and do not touch themselves
//
// Threads: plain values, pure functions.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "stages/compute/finger_joint.h"
#include "stages/compute/geometry.h"

namespace tallymill::stages::compute {

struct BoxSpec {
  double x_mm = 0;  // inner or outer, as `outer` says
  double y_mm = 0;
  double z_mm = 0;
  bool outer = false;
  bool lid = true;
  double thickness_mm = 3;
  double finger_mm = 0;  // 0: two thicknesses, less where the shortest edge asks for it
  double play_mm = 0;    // clearance of each joint
  double kerf_mm = 0;    // the whole width that the cutter takes away
};

struct Panel {
  std::string_view id;
  int u_axis = 0;  // 0 x, 1 y, 2 z
  int v_axis = 0;
  int normal_axis = 0;
  bool far = false;  // at the outer box's far face along normal_axis
  Outline shape;     // the part as it shall be, play included, in outer box coordinates
  Outline cut;       // the line for the cutter's centre: shape, half a kerf outwards
};

// Panels by their index in Box::panels; along `axis`, from 0 to the outer size.
struct Joint {
  std::size_t a = 0;
  std::size_t b = 0;
  int axis = 0;
  std::vector<Interval> intervals;
};

struct Box {
  std::array<Ticks, 3> outer{};
  std::array<Ticks, 3> inner{};
  Ticks thickness = 0;
  Ticks finger = 0;
  Ticks half_play = 0;
  Ticks half_kerf = 0;
  std::vector<Panel> panels;
  std::vector<Joint> joints;
};

// bad_params, with a pointer to the member, for what is not finite, out of its limits, or cannot be
// built: walls thicker than half of the box, an edge too short for its fingers, a kerf or play over
// half a finger.
[[nodiscard]] Result<Box> make_box(const BoxSpec& spec);

}  // namespace tallymill::stages::compute
