"""PromQL against Prometheus itself, by chance: the same series, the same expressions, the same answers.

Goal: what our engine gives is what Debian's Prometheus gives, to 1e-9 of it, or both refuse. Method: series and
expressions from promql_made.py, by a seed that is printed; pushed into a real Prometheus by remote write, and read by
ours from a file. It prints how often each function, aggregation, operator and modifier was asked and had something
to say.

usage: promql_differential.py PROMQL_ASK [EXPRESSIONS [SEED]]
"""

import collections
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from prometheus import Prometheus, is_stale, write_request  # noqa: F401  (the last for others)
from promql_made import STEPS, STEP_MS, WORDS, Maker, series

# What a run of so many has to have reached: each word this often, and answers that are not empty.
LONG, OFTEN, FULL = 5000, 30, 0.6


class Ours:
    """promql_ask, or one with a bug planted, over the series in a file."""

    def __init__(self, program, file):
        self.process = subprocess.Popen([program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, start, end, step, query):
        self.process.stdin.write(f"{start} {end} {step} {query}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def write_series(rows, path):
    with open(path, "w") as file:
        for labels, samples in rows:
            file.write(json.dumps(labels) + "\n")
            for t, value in samples:
                file.write(f"{t} {'stale' if is_stale(value) else repr(value)}\n")
            file.write("\n")


def table(answer):
    """{labels: [(ms, number)]}"""
    return {json.dumps(labels, sort_keys=True): [(t, float(v)) for t, v in points] for labels, points in answer["result"]}


def close(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b), 1e-3)


def differ(ours, theirs):
    """Why they differ; None if they do not."""
    if "error" in ours or "error" in theirs:
        if "error" in ours and "error" in theirs:
            return None
        return f"ours: {ours.get('error', 'an answer')}; theirs: {theirs.get('error', 'an answer')}"
    if isinstance(ours["result"], str):
        return None if ours["result"] == theirs["result"] else "another text"
    mine, his = table(ours), table({"result": [[labels, [[round(float(t) * 1000), v] for t, v in points]]
                                               for labels, points in theirs["result"]]})
    if mine.keys() != his.keys():
        return f"only ours: {sorted(mine.keys() - his.keys())[:3]}; only theirs: {sorted(his.keys() - mine.keys())[:3]}"
    for labels, points in mine.items():
        if [t for t, _ in points] != [t for t, _ in his[labels]]:
            return f"{labels}: other times: {len(points)} and {len(his[labels])}"
        for (t, a), (_, b) in zip(points, his[labels]):
            if not close(a, b):
                return f"{labels} at {t}: ours {a!r}, theirs {b!r}"
    return None


class Run:
    """Both, with the same series; expressions one after another."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.begin = (int(time.time()) // 3600 - 2) * 3_600_000
        self.rows = series(self.chance, self.begin)
        self.seen = collections.Counter()  # words that were asked and had something to say
        self.asked, self.full = 0, 0
        self.temporary = tempfile.TemporaryDirectory(prefix="tallymill-promql-")
        self.file = pathlib.Path(self.temporary.name) / "series"
        write_series(self.rows, self.file)
        self.theirs = Prometheus()
        self.theirs.push(self.rows)

    def next(self):
        """The next expression, when it is asked of, and what Prometheus says."""
        chance = self.chance
        raw = chance.random() < 0.05  # a range vector, which only a moment has
        step = 0 if raw else chance.choice([0, 30_000, 60_000, 47_000])
        maker = Maker(chance, self.begin, self.seen, moment=step == 0)
        query = maker.matrix(1, raw=True) if raw else maker.vector(chance.randrange(1, 5))
        start = self.begin + chance.randrange(0, STEPS * STEP_MS)
        # Now and then it ends behind its last step.
        end = start + (step * chance.randrange(1, 30) + chance.choice([0, 0, 13_000]) if step else 0)
        his = self.theirs.ask(start, end, step, query)
        self.asked += 1
        if his.get("result"):
            self.full += 1
            self.seen.update(maker.asked)
        return (start, end, step, query), his

    def stop(self):
        self.theirs.stop()
        self.temporary.cleanup()


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 300
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 31)
    print(f"seed {seed}, {count} expressions", flush=True)
    run = Run(seed)
    ours = Ours(program, run.file)
    wrong = []
    try:
        for _ in range(count):
            asked, his = run.next()
            why = differ(ours.ask(*asked), his)
            if why:
                wrong.append((asked, why))
    finally:
        ours.stop()
        run.stop()
    for (start, end, step, query), why in wrong[:40]:
        print(f"{query}\n    from {start} to {end} by {step}: {why}")
    print("asked with something to say: " + ", ".join(f"{word} {n}" for word, n in sorted(run.seen.items())))
    rare = sorted(word for word in WORDS if run.seen[word] < OFTEN) if count >= LONG else []
    if rare:
        print(f"asked with something to say fewer than {OFTEN} times: {', '.join(rare)}")
    print(f"{count - len(wrong)} equal, {len(wrong)} different; {run.full} of {count} had something to say")
    return 1 if wrong or rare or run.full < FULL * count else 0


if __name__ == "__main__":
    sys.exit(main())
