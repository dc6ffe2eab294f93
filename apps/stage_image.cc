// tallymill-stage-image: thumbnails, and the second hop of engravings. Alone links OpenCV.
#include "apps/stage_main.h"
#include "stages/compute/engrave_kind.h"
#include "stages/image/engrave.h"
#include "stages/image/thumbs.h"

int main(int argc, char** argv) {
  namespace image = tallymill::stages::image;
  return tallymill::apps::stage_main(
      argc, argv, "image",
      {{image::thumbs_kind(), image::thumbs_handler()},
       {tallymill::stages::compute::engrave_kind(), image::engrave_image_handler()}});
}
