"""tallymill demo: real photographs through the whole pipeline, and whether the results are right.

1. A pipeline of its own comes up (pipeline.py); nothing of another one is touched.
2. Every photograph is engraved and thumbnailed, a laser setting resolved, boxes made with its kerf.
3. The results are checked by other means than those that made them (checks.py).
4. A contact sheet (sheet.py), one job's waterfall, the conservation line, where the files are.
"""

import argparse
import concurrent.futures
import csv
import fcntl
import os
import pathlib
import pkgutil
import shlex
import shutil
import signal
import sys
import tempfile

import checks
import pipeline
import screen
import sheet
from screen import say

EXIT_WRONG, EXIT_CANNOT_RUN, EXIT_INTERRUPTED = 1, 70, 130
PHOTOS_MAX = 24  # the sheet is one page, not an archive
MARK = ".tallymill-demo"
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
MATERIALS = ("plywood_birch", "leather", "bamboo", "cork", "mdf")
AT_ONCE = 3  # jobs under way: enough that the stages never wait for us


class Ran:
    """One job: what was asked for, what came back, and where its time went."""

    def __init__(self, kind, params, folder, photo=None):
        self.kind, self.params, self.folder, self.photo = kind, params, folder, photo
        self.timeline = {}

    def run(self, mill):
        end = mill.run(self.kind, self.params, self.folder, self.photo)
        self.job, self.state = end.get("job"), end["state"]
        self.values, self.error = end.get("values"), f"{end.get('code')}: {end.get('message')}"
        self.timeline = mill.timeline(self.job) if self.job else {}
        return self

    def done(self):
        return self.state == "done"

    def outcome(self):
        v = self.values
        if self.kind == "engrave":
            return f"{v['width_px']} x {v['height_px']} dots, {v['burnt_ratio']:.0%} burnt"
        if self.kind == "thumbs":
            return ", ".join(f"{f['width']} x {f['height']}" for f in v["files"])
        if self.kind == "box":
            return f"{len(v['panels'])} panels, {v['cut_length_mm'] / 1000:.1f} m of cuts"
        beam = v["laser"]
        return (f"{beam['feed_mm_per_min']:g} mm/min, S{beam['power_s']} x {beam['passes']}, "
                f"kerf {v['kerf_mm']}")


class Shot:
    """A photograph and its two jobs."""

    def __init__(self, path, known, out, number):
        self.path, self.title, self.known = path, screen.printable(path.name), known
        self.credit = f"{known['author']}, {known['licence']}" if known else "Licence not known here"
        self.what = known.get("what")
        folder = out / "results" / f"{number:02d}-{path.stem}"
        self.engraved = Ran("engrave", {"width_mm": 80, "dpi": 254,
                                        "material": MATERIALS[(number - 1) % len(MATERIALS)]}, folder, path)
        self.thumbs = Ran("thumbs", {"sizes": [120, 240, 640]}, folder, path)

    def jobs(self):
        return [self.engraved, self.thumbs]

    def whole(self):
        return all(ran.done() for ran in self.jobs())


def arguments():
    parser = argparse.ArgumentParser(
        prog="tallymill demo", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs photographs, boxes and a laser setting through a pipeline of its own,\n"
                    "checks the results, and makes one page of them. Ctrl-C ends it.",
        epilog="Exit: 0 all is right, 1 a result is wrong, 2 usage, 70 it cannot run.")
    parser.add_argument("--photos", metavar="DIR", type=pathlib.Path,
                        help="JPEG, PNG and WebP files (default: one sample photo)")
    parser.add_argument("--out", metavar="DIR", type=pathlib.Path,
                        help="folder for the results (default: a new one)")
    parser.add_argument("--once", action="store_true", help="end when all is shown")
    return parser.parse_args()


def is_picture(path):
    if not path.is_file() or path.name.startswith("."):
        return False
    with open(path, "rb") as file:
        return path.suffix.lower() in SUFFIXES or file.read(8).startswith(MAGIC)


def find_photos(folder):
    if not folder.is_dir():
        raise pipeline.CannotRun(f"{folder}: no such folder")
    try:
        paths = sorted(path.absolute() for path in folder.iterdir() if is_picture(path))
    except OSError as error:
        raise pipeline.CannotRun(f"{folder}: {error.strerror}") from error
    if not paths:
        raise pipeline.CannotRun(f"{folder}: no JPEG, PNG or WebP in it")
    if len(paths) > PHOTOS_MAX:
        say(f"  {len(paths)} pictures in {folder}; these are the first {PHOTOS_MAX} by name")
    return paths[:PHOTOS_MAX]


def credits_in(folder):
    """{file name: {author, licence, what}}, as packaging/photos.sh wrote them."""
    listed = folder / "photos.tsv"
    if not listed.is_file():
        return {}
    with open(listed, newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
                if row and not row[0].startswith("#")]
    return {row[1].rsplit("/", 1)[-1]: dict(zip(("author", "licence", "what"), row[2:])) for row in rows}


def prepare_out(wanted):
    """The folder, empty but for our mark; held until we end."""
    try:
        if wanted is None:
            wanted = pathlib.Path(tempfile.mkdtemp(prefix="tallymill-demo-"))
        wanted = wanted.absolute()
        wanted.mkdir(parents=True, exist_ok=True)
        if any(wanted.iterdir()) and not (wanted / MARK).exists():
            raise pipeline.CannotRun(f"{wanted} holds other files; name an empty folder")
        mark = open(wanted / MARK, "w")
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise pipeline.CannotRun(f"another demo runs in {wanted}") from None
        for name in ("results", "data"):
            shutil.rmtree(wanted / name, ignore_errors=True)
        return wanted, mark
    except OSError as error:
        raise pipeline.CannotRun(f"cannot write to {error.filename or wanted}: {error.strerror}") from error


class Demo:
    def __init__(self, programs, out, shots):
        self.programs, self.out, self.shots = programs, out, shots
        self.checked, self.wrong, self.refused = [], [], []
        self.boxes, self.laser = [], None
        self.law, self.balanced = "", False

    def run(self, mill):
        """All jobs, each to its end."""
        results = self.out / "results"
        self.laser = Ran("laser", {"material": "plywood_birch", "thickness_mm": 3, "operation": "cut"},
                         results / "laser").run(mill)
        kerf = self.laser.values["kerf_mm"] if self.laser.done() else 0.15
        self.boxes = [
            Ran("box", {"x_mm": 120, "y_mm": 80, "z_mm": 60, "lid": True, "kerf_mm": kerf},
                results / "box-closed"),
            Ran("box", {"x_mm": 160, "y_mm": 90, "z_mm": 40, "lid": False, "play_mm": 0.1,
                        "kerf_mm": kerf}, results / "box-open")]
        jobs = [job for shot in self.shots for job in shot.jobs()] + self.boxes
        self.report(self.laser)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            left = len(jobs)
            for ran in pool.map(lambda job: job.run(mill), jobs):
                self.report(ran)
                left -= 1
                screen.progress(f"{len(jobs) - left} of {len(jobs)} jobs")
        screen.clear()

    def all_jobs(self):
        return [job for shot in self.shots for job in shot.jobs()] + self.boxes + [self.laser]

    def report(self, ran):
        name = screen.shortened(ran.photo.name if ran.photo else ran.folder.name, 21)
        if ran.done():
            took = screen.human_time(ran.timeline.get("whole_ns"))
            say(f"  {ran.job:>3}  {ran.kind:<8} {name:<22}{ran.outcome():<32}{took:>8}")
        else:
            say(f"  {ran.job or '-':>3}  {ran.kind:<8} {name:<22}" +
                screen.coloured(ran.state, "red") +
                f" {screen.printable(ran.error)}"[:39 - len(ran.state)])

    def check(self, what, ran, found):
        try:
            problems = list(found)
        except (OSError, ValueError, KeyError) as error:
            problems = [f"cannot be checked: {error!r}"]
        self.wrong += [f"job {ran.job} {ran.kind} {ran.folder.name}: {problem}"
                       for problem in problems]
        self.counts[what] = self.counts.get(what, 0) + (not problems)

    def check_all(self):
        self.counts = {}
        sizes = checks.sizes_of(self.programs, [shot.path for shot in self.shots])
        for shot, seen in zip(self.shots, sizes):
            shot.upright = seen["size"]
            for ran in shot.jobs():
                screen.progress(f"checking {ran.kind} of {shot.title}")
                if not ran.done() and (shot.upright or shot.known):
                    self.wrong.append(f"{ran.kind} of {shot.title} {ran.state}: {ran.error}")
                elif not ran.done():
                    self.refused.append(f"{ran.kind} of {shot.title}: {ran.error}")
                elif not shot.upright:
                    self.wrong.append(f"{ran.kind} of {shot.title} is done, yet it does not decode: "
                                      f"{seen['why']}")
                elif ran.kind == "engrave":
                    self.check("engraved", ran, checks.engraving(
                        self.programs, shot.path, shot.upright, ran.params, ran.values, ran.folder))
                else:
                    self.check("thumbs", ran, checks.thumbs(
                        self.programs, shot.upright, ran.params, ran.values, ran.folder))
        for ran in self.boxes + [self.laser]:
            if not ran.done():
                self.wrong.append(f"{ran.kind} {ran.state}: {ran.error}")
            else:
                check = checks.box if ran.kind == "box" else checks.laser
                self.check(ran.kind, ran, check(ran.params, ran.values, ran.folder))
        if not any(shot.whole() for shot in self.shots):
            self.wrong.append("not one picture was engraved and thumbnailed")
        screen.clear()

    def check_law(self, mill):
        snapshot = mill.ask("snapshot")
        ran = {"done": 0, "failed": 0}
        for job in self.all_jobs():
            if job.job:
                ran[job.state] = ran.get(job.state, 0) + 1
        problems = list(checks.conservation(snapshot, ran))
        self.wrong += [f"conservation: {problem}" for problem in problems]
        self.balanced = not problems
        lines = mill.command("snapshot").stdout.splitlines()
        self.law = lines[0] if lines else "no snapshot"

    def summary(self):
        def ok(what, called):
            return screen.many(self.counts.get(what, 0), called)
        self.checked = [
            f"{ok('engraved', 'engraving')}: size, 1 bit, dots as a plain loop makes them, G-code burns them",
            f"{ok('thumbs', 'photo')}: each thumbnail decodes, upright, to its size",
            f"{ok('box', 'box')}: closed paths, sizes of panels with kerf, none overlap",
            f"{ok('laser', 'laser setting')}: file and values agree, within what the machine takes"]

    def write_sheet(self):
        path = self.out / "contact-sheet.html"
        path.write_text(sheet.page(self), encoding="utf-8")
        return path


def explain_one(demo, mill):
    """The job whose way is longest: an engraving goes over both stages."""
    engraved = [shot.engraved for shot in demo.shots if shot.engraved.done()]
    if engraved:
        longest = max(engraved, key=lambda ran: ran.timeline.get("whole_ns") or 0)
        say()
        mill.show("explain", longest.job)


def show(demo, mill):
    demo.check_all()
    demo.check_law(mill)
    demo.summary()
    explain_one(demo, mill)
    path = demo.write_sheet()
    say("\nchecked")
    for line in demo.checked:
        say(f"  {line}")
    for line in demo.refused:
        say(f"  refused, as it should be: {screen.printable(line)}")
    for line in demo.wrong:
        say(f"  {screen.coloured('WRONG', 'red')} {screen.printable(line)}")
    left, _, right = demo.law.partition(" = ")
    say(f"\n{left}\n  = {right}")
    say(screen.coloured("balanced: every accepted job is accounted for", "green") if demo.balanced
        else screen.coloured("NOT BALANCED", "red"))
    say(f"\nsheet   {screen.printable(path)}\nfiles   {screen.printable(demo.out / 'results')}")


def play(mill, demo):
    """Stays up until Ctrl-C, with commands to copy."""
    photo = shlex.quote(str(demo.shots[0].path))
    say(f"""
The pipeline stays up. In another terminal:

  export PATH={shlex.quote(str(mill.programs))}:$PATH TALLYMILL_SERVER={mill.server}
  tallymill run engrave {photo} \\
    -p width_mm=60 -p material=slate -p invert=true -o mine
  tallymill run box -p x_mm=90 -p y_mm=60 -p z_mm=45 -o mine
  tallymill jobs
  tallymill explain {demo.shots[0].engraved.job}
  tallymill snapshot
  kill -9 {mill.workers[-1]['pid']}     # a worker: it comes back, and no job is lost

Ctrl-C here ends it.""")
    try:
        mill.up.wait()
    except KeyboardInterrupt:
        say("\nending: what is under way is finished")
        return 0
    screen.warn(f"the pipeline ended by itself:\n{mill.last_log()}")
    return EXIT_WRONG


def sample(out):
    """The one photo that comes with the program."""
    folder = out / "photos"
    folder.mkdir(exist_ok=True)
    (folder / "sample.jpg").write_bytes(pkgutil.get_data("sheet", "sample.jpg"))
    (folder / "photos.tsv").write_text("-\tsample.jpg\tClemens Engelhardt\tCC0-1.0\tA plant gone to seed\n")
    return folder


def run():
    asked = arguments()
    programs = pathlib.Path(sys.argv[0]).resolve().parent
    if asked.photos:
        find_photos(asked.photos)  # before anything is made
    out, held = prepare_out(asked.out)
    with held:
        photos = asked.photos or sample(out)
        known = credits_in(photos)
        shots = [Shot(path, known.get(path.name, {}), out, number)
                 for number, path in enumerate(find_photos(photos), 1)]
        if not asked.photos:
            say("no photographs were given (--photos DIR): this is the one sample that comes along")
        screen.progress("starting the pipeline")
        with pipeline.Pipeline(programs, out) as mill:
            say(f"{screen.many(len(shots), 'picture')} from {screen.printable(photos)}; front, compute and "
                "image are up\n")
            say("  job  kind     picture               result" + " " * 30 + "time")
            demo = Demo(programs, out, shots)
            demo.run(mill)
            show(demo, mill)
            if demo.wrong:
                screen.warn(f"{screen.many(len(demo.wrong), 'result')} "
                            f"{'is' if len(demo.wrong) == 1 else 'are'} not right")
            if asked.once:
                return EXIT_WRONG if demo.wrong else 0
            return play(mill, demo) or (EXIT_WRONG if demo.wrong else 0)


def main():
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a terminal that does not speak UTF-8
    try:
        return run()
    except pipeline.CannotRun as error:
        screen.warn(str(error))
        return EXIT_CANNOT_RUN
    except BrokenPipeError:  # whoever read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CANNOT_RUN
    except OSError as error:
        screen.warn(f"{error.filename or ''}: {error.strerror}")
        return EXIT_CANNOT_RUN
    except KeyboardInterrupt:
        screen.clear()
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
