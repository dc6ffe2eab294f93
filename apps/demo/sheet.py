"""The contact sheet: what went in beside what came out, as one HTML file that needs no other."""

import base64
import html
import json
import pkgutil
import re

import screen

# Where a job's time went, in the order of its road: (class, what it is, names of its parts).
STRETCHES = [
    ("accept", "accepted, on disk, waiting for a place", ("intake", "commit", "queue", "backoff")),
    ("compute", "compute", ("service:compute",)),
    ("image", "image", ("service:image",)),
    ("way", "on the way, results to disk", ("wire", "wait", "handover")),
    ("settle", "settled, on disk", ("settle",)),
]


def text(value):
    return html.escape(screen.printable(value))


def data_uri(path, media):
    return f"data:{media};base64,{base64.b64encode(path.read_bytes()).decode()}"


def stretches(timeline):
    """[(class, what, ns)] of all of the job's time."""
    parts = dict(timeline.get("parts", {}))
    rows = []
    for name, what, members in STRETCHES:
        mine = [p for p in parts if p in members or p.split(":")[0] in members]
        rows.append((name, what, sum(parts.pop(p) for p in mine)))
    return rows


def bar(timeline):
    rows = [row for row in stretches(timeline) if row[2]]
    whole = sum(ns for _, _, ns in rows) or 1
    cells = "".join(f'<span class="{name}" style="flex:{ns / whole:.5f}"></span>' for name, _, ns in rows)
    said = ", ".join(f"{what.split(',')[0]} {screen.human_time(ns)}" for _, what, ns in rows)
    said = re.sub(r"(\d) ", r"\1&nbsp;", text(said))  # a number and its unit stay together
    return f'<div class="bar" aria-hidden="true">{cells}</div><p class="soft">{said}</p>'


def said_params(params):
    return ", ".join(f"{name} {json.dumps(value) if not isinstance(value, str) else value}"
                     for name, value in params.items())


def job(ran):
    took = screen.human_time(ran.timeline.get("whole_ns"))
    made = f"{text(ran.outcome())}. " if ran.kind != "engrave" else ""  # that stands at its picture
    return (f'<div><p><b>job {ran.job}</b> {text(ran.kind)}, {took}</p>{bar(ran.timeline)}'
            f'<p class="soft">{made}{text(said_params(ran.params))}</p></div>')


def photo(shot):
    engraved, thumbs = shot.engraved, shot.thumbs
    shown = thumbs.folder / thumbs.values["files"][-1]["name"]
    png = data_uri(engraved.folder / "engraving.png", "image/png")
    size = " × ".join(str(side) for side in shot.upright) + " pixels"
    if thumbs.values["orientation"] != 1:
        size += f" once turned upright (EXIF orientation {thumbs.values['orientation']})"
    name, what = text(shot.title), text(shot.what or shot.title)
    values = engraved.values
    made = (f"{values['width_mm']:.0f} × {values['height_mm']:.0f} mm, {values['width_px']} × "
            f"{values['height_px']} dots, {values['burnt_ratio']:.0%} burnt")
    return f"""<article class="card">
<div class="head"><h3>{name}</h3><span class="soft">{size}. {text(shot.credit)}</span></div>
<div class="pictures">
<figure><img src="{data_uri(shown, "image/jpeg")}" alt="{what}">
<figcaption>{what}</figcaption></figure>
<figure><div class="wood"><img src="{png}" alt="The engraving of it, in dots"></div>
<figcaption>{made}</figcaption></figure>
<figure class="closer"><div class="dots" role="img" aria-label="Some of its dots, enlarged"
style="background-image:url({png});background-size:{2 * values["width_px"]}px auto"></div>
<figcaption>Its dots from closer; G-code {screen.human_size(values["gcode_bytes"])}</figcaption></figure>
</div><div class="jobs two">{job(engraved)}{job(thumbs)}</div></article>"""


def box(ran):
    # The drawing itself, inline; its names would be double on this page.
    svg = (ran.folder / "box.svg").read_text()
    svg = re.sub(r"^<\?xml[^>]*>\s*|\sid=\"[^\"]*\"", "", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r'\1 role="img" aria-label="Panels of '
                 r'the box"', svg, count=1)
    return f'<article class="card">{svg}<div class="jobs">{job(ran)}</div></article>'


def laser(ran):
    rows = "".join(f"<dt>{text(name.replace('_', ' '))}</dt><dd>{text(value)}</dd>"
                   for name, value in {**ran.values["laser"], "kerf_mm": ran.values["kerf_mm"]}.items())
    return f'<article class="card">{job(ran)}<dl>{rows}</dl></article>'


def page(demo):
    """`demo` has shots, boxes, laser, law (a line), balanced, checked and wrong (sentences), out."""
    legend = "".join(f'<li><span class="key {name}"></span>{what}</li>' for name, what, _ in STRETCHES)
    verdict = ('<p class="bad"><b>NOT BALANCED</b></p>' if not demo.balanced else
               '<p class="good"><b>Balanced:</b> every accepted job is accounted for.</p>')
    checks = "".join(f"<li>{text(line)}</li>" for line in demo.checked)
    wrong = "".join(f'<li class="bad">{text(line)}</li>' for line in demo.wrong)
    refused = "".join(f"<li>{text(line)}</li>" for line in demo.refused)
    shots = [s for s in demo.shots if s.whole()]
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Tallymill: contact sheet</title>
<style>{pkgutil.get_data("sheet", "sheet.css").decode()}</style></head>
<body><header><h1>Tallymill contact sheet</h1>
<p class="soft">{screen.many(len(shots), "picture")} engraved and thumbnailed, {screen.many(len(demo.boxes), "box")}
and one laser setting, through front, compute and image. Each photograph stands here as its thumbnail of
640 pixels, beside its engraving. The files themselves are in <code>{text(demo.out)}</code>.</p>
<div class="law"><p>{text(demo.law)}</p>{verdict}
<ul class="legend">{legend}</ul></div></header>
<main><h2>Photographs</h2>{"".join(map(photo, shots))}
{f'<h2>Refused</h2><ul class="checks">{refused}</ul>' if refused else ''}
<h2>Boxes</h2><div class="boxes">{"".join(map(box, demo.boxes))}</div>
<h2>Laser setting</h2>{laser(demo.laser) if demo.laser else ""}
<h2>Checked</h2><ul class="checks">{checks}{wrong}</ul></main></body></html>
"""
