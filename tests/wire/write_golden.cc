// Writes the golden vectors: write_golden SCHEMAS_FOLDER OUT_FOLDER. To be run by hand after a
// deliberate change of the wire, whose diff then shows what changed; the test compares only.
#include <cstdio>
#include <fstream>

#include "tests/wire/golden.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: write_golden SCHEMAS_FOLDER OUT_FOLDER\n");
    return 2;
  }
  for (const auto& sample : tallymill::bus::samples(argv[1])) {
    std::ofstream out(std::string(argv[2]) + "/" + sample.name + ".json");
    out << tallymill::bus::golden_of(sample).dump(1) << '\n';
    if (!out.flush()) {
      std::fprintf(stderr, "cannot write %s\n", sample.name.c_str());
      return 1;
    }
  }
  return 0;
}
