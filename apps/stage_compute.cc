// tallymill-stage-compute: boxes, laser settings, and the first hop of engravings.
#include "apps/stage_main.h"
#include "stages/compute/box_kind.h"
#include "stages/compute/engrave_kind.h"
#include "stages/compute/laser.h"

int main(int argc, char** argv) {
  namespace compute = tallymill::stages::compute;
  return tallymill::apps::stage_main(argc, argv, "compute",
                                     {{compute::box_kind(), compute::box_handler()},
                                      {compute::laser_kind(), compute::laser_handler()},
                                      {.spec = compute::engrave_kind(),
                                       .handler = compute::engrave_compute_handler(),
                                       .ignores_inputs = true}});
}
