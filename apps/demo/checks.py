"""Whether the results are right, by other means than those that made them.

Each check takes what was asked for and what came back, and yields a sentence for each thing wrong.
Pictures are decoded and dithered again by tallymill-demo-check; the rest is read here.
"""

import json
import math
import re
import struct
import subprocess
import xml.etree.ElementTree

SVG = "{http://www.w3.org/2000/svg}"


def about(a, b, tolerance=0.011):
    return abs(a - b) <= tolerance


def sizes_of(programs, paths):
    """[{"size": [w, h] or None, "why": ...}] of pictures, each decoded to its last row."""
    answer = subprocess.run([programs / "tallymill-demo-check", "sizes", *paths],
                            capture_output=True, text=True)
    return json.loads(answer.stdout)


def engraving(programs, photo, upright, params, values, folder):
    """Size and bits by the PNG's header; dots and G-code by the check program."""
    data = (folder / "engraving.png").read_bytes()
    if data[:8] != b"\x89PNG\r\n\x1a\n" or data[12:16] != b"IHDR":
        yield "engraving.png is no PNG"
        return
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    dots = params["width_mm"] / 25.4 * params["dpi"]
    if (width, height) != (round(dots), round(dots * upright[1] / upright[0])):
        yield (f"engraving.png has {width} x {height} dots, but {params['width_mm']} mm at "
               f"{params['dpi']} dpi are {dots:.0f}")
    if bits != 1 or colour not in (0, 3):
        yield f"engraving.png has {bits} bits a dot and colour type {colour}"
    check = subprocess.run([programs / "tallymill-demo-check", "engraving", photo, folder,
                            json.dumps(params)], capture_output=True, text=True)
    if check.returncode not in (0, 1):
        yield f"the check program could not run: {check.stderr.strip()}"
        return
    report = json.loads(check.stdout)
    yield from report.get("wrong", [])
    if "burnt_dots" in report and report["burnt_dots"] != values["burnt_dots"]:
        yield f"burnt_dots says {values['burnt_dots']}, the dots are {report['burnt_dots']}"


def fitted(size, longest):
    """The shape that fits a square of `longest`, never larger than it was."""
    scale = min(1, longest / max(size))
    return [max(1, math.floor(side * scale + 0.5)) for side in size]


def thumbs(programs, upright, params, values, folder):
    paths = [folder / file["name"] for file in values["files"]]
    if len(paths) != len(params["sizes"]):
        yield f"{len(params['sizes'])} sizes were asked for, {len(paths)} pictures came"
    for path, longest, got in zip(paths, params["sizes"], sizes_of(programs, paths)):
        wanted = fitted(upright, longest)
        if got["size"] != wanted:
            yield f"{path.name} is {got['size'] or got['why']}, not {wanted}"


def corners(path):
    """The points of a path that is one closed run of lines; None for any other."""
    if not re.fullmatch(r"M[^MZ]+Z", path):
        return None
    points = []
    for command, words in re.findall(r"([MHVL])([-\d. ,]+)", path):
        numbers = [float(n) for n in re.findall(r"-?\d+\.?\d*", words)]
        x, y = points[-1] if points else (0, 0)
        if command == "H":
            points.append((numbers[0], y))
        elif command == "V":
            points.append((x, numbers[0]))
        else:
            points.append((numbers[0], numbers[1]))
    return points


def extent(points):
    xs, ys = zip(*points)
    return min(xs), min(ys), max(xs), max(ys)


def box(params, values, folder):
    svg = xml.etree.ElementTree.fromstring((folder / "box.svg").read_bytes())
    panels = {path.get("id"): corners(path.get("d", "")) for path in svg.iter(SVG + "path")}
    wanted = {"bottom", "front", "back", "left", "right"} | ({"lid"} if params["lid"] else set())
    if set(panels) != wanted:
        yield f"box.svg has the panels {sorted(map(str, panels))}"
        return
    sheet = [float(svg.get(side).removesuffix("mm")) for side in ("width", "height")]
    if not all(map(about, sheet, values["sheet_mm"])):
        yield f"box.svg is {sheet} mm, the sheet is {values['sheet_mm']} mm"
    said = {panel["id"]: panel for panel in values["panels"]}
    places = {}
    for name, points in panels.items():
        if points is None or len(points) < 4:
            yield f"the path of panel {name} is not closed"
            continue
        # The beam goes back to the first point by one straight cut along an axis.
        if not (about(points[0][0], points[-1][0], 1e-6) or about(points[0][1], points[-1][1], 1e-6)):
            yield f"panel {name} is closed by a slanting cut"
        left, top, right, bottom = places[name] = extent(points)
        size = right - left - params["kerf_mm"], bottom - top - params["kerf_mm"]
        if not (about(size[0], said[name]["width_mm"]) and about(size[1], said[name]["height_mm"])):
            yield f"panel {name} is cut to {size[0]:.2f} x {size[1]:.2f} mm"
        if left < 0 or top < 0 or right > sheet[0] or bottom > sheet[1]:
            yield f"panel {name} lies outside of the sheet"
    for a in places:
        for b in places:
            (l, t, r, u), (l2, t2, r2, u2) = places[a], places[b]
            if a < b and l < r2 and l2 < r and t < u2 and t2 < u:
                yield f"the panels {a} and {b} overlap"


def laser(params, values, folder):
    settings = json.loads((folder / "settings.json").read_text())
    if settings != values:
        yield "settings.json does not say what the values say"
    for name in ("material", "thickness_mm", "operation"):
        if values.get(name, params[name]) != params[name]:
            yield f"{name} is {values[name]}, {params[name]} was asked for"
    beam = values["laser"]
    if not (0 < beam["power_s"] <= 1000 and beam["feed_mm_per_min"] > 0 and beam["passes"] >= 1):
        yield f"these are no settings: {beam}"


def conservation(snapshot, ran):
    """The law itself, added up here, and against what this demo knows that it sent."""
    jobs = snapshot.get("jobs")
    if not jobs:
        yield "the front gave no snapshot"
        return
    waiting = sum(jobs["waiting"].values())
    terms = [jobs[name] for name in ("done", "failed", "cancelled", "expired", "in_flight", "settling")]
    if jobs["accepted"] != sum(terms) + waiting:
        yield f"accepted {jobs['accepted']} is not {sum(terms) + waiting}"
    if not snapshot["balanced"]:
        yield "the front itself says that it is not balanced"
    for state in ("done", "failed"):
        if jobs[state] != ran[state]:
            yield f"{ran[state]} jobs ended {state}, the front counts {jobs[state]}"
    if jobs["accepted"] != ran["done"] + ran["failed"]:
        yield f"{ran['done'] + ran['failed']} jobs were sent, the front accepted {jobs['accepted']}"
