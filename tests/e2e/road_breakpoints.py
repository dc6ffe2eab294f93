"""Runs inside gdb: one breakpoint a step of the road, and when each was hit first.

usage: ROAD='[["FILE", "FUNCTION"], ...]' ROAD_LOG=FILE gdb --batch -x road_breakpoints.py --args PROGRAM ...

Writes a JSON line a step that this program has (`set`, with the source file of the place), the
program's pid, and a line a first hit with the monotonic clock, which all processes of a host share.
"""

import json
import os
import time

import gdb  # pylint: disable=import-error  # gdb brings it

LOG = open(os.environ["ROAD_LOG"], "a", encoding="utf-8", buffering=1)


def say(**what):
    LOG.write(json.dumps(what) + "\n")


class Step(gdb.Breakpoint):
    def __init__(self, index, file, function):
        super().__init__(f"-source {file} -function {function}")
        self.index = index
        say(set=index)

    def stop(self):
        say(hit=self.index, at=time.monotonic_ns())
        self.enabled = False
        return False


for setting in ("pagination off", "confirm off", "disable-randomization off", "startup-with-shell off",
                "debuginfod enabled off", "breakpoint pending off", "print inferior-events off",
                "print thread-events off"):
    gdb.execute("set " + setting)
gdb.execute("handle all nostop noprint pass", to_string=True)
for step, (source, name) in enumerate(json.loads(os.environ["ROAD"])):
    try:
        Step(step, source, name)
    except gdb.error:
        pass  # another program's step; that no step is left out is the test's to see
gdb.events.exited.connect(lambda event: say(exit=getattr(event, "exit_code", None)))
gdb.execute("run")
