"""Figures: how a benchmark in Python answers: the JSON lines of bench/figures.h."""

import json
import os
import statistics


def machine():
    """Where and on what; asked before anything is timed."""
    cpu = next((line.split(": ")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")),
               "unknown")
    load = os.getloadavg()[0]
    return {"cores": os.cpu_count(), "cpu": cpu, "kernel": os.uname().release, "load": round(load, 2),
            "commit": os.environ.get("TALLYMILL_COMMIT", "unknown"),
            **({"void": "busy machine"} if load > 1 else {})}


def quantile(values, q):
    values = sorted(values)
    at = q * (len(values) - 1)
    below = int(at)
    above = min(below + 1, len(values) - 1)
    return values[below] + (at - below) * (values[above] - values[below])


def line(bench, what, unit, values, on):
    """One line; `on`: what machine() said at the start."""
    print(json.dumps({"bench": bench, "what": what, "unit": unit, "n": len(values),
                      "median": round(statistics.median(values), 4), "p90": round(quantile(values, 0.9), 4),
                      "min": round(min(values), 4), "max": round(max(values), 4), **on}), flush=True)
