"""Rules against Prometheus itself, by chance: the same series, the same rules, the same alerts at the same moments.

Goal: what is pending, what fires, with which labels and annotations, and which series that leaves, is what Debian's
Prometheus says at every evaluation. Method: series and rules from states_made.py, by a seed that is printed. Ours
judges them (evaluate_rules), and what it says is written down as what `promtool test rules` shall expect at every
moment: it passes or names what differs. What makes a rule fail stops promtool, so that rules that fail by the clock
(limit, equal labels, an error of the expression) are given to a real Prometheus for as long as their minute lasts, and
ours judges them at the moments of its evaluations. Another one is killed while alerts are pending, and what it makes
of them when it is back is held against what ours restores.

usage: states_differential.py EVALUATE_RULES [ROUNDS [SEED]]
"""

import collections
import concurrent.futures
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "e2e"))
from mill import until  # noqa: E402
from prometheus import Prometheus  # noqa: E402
from states_made import SHAPES, STEP_MS, is_stale, series  # noqa: E402

STEPS = 160
LIVE_MOMENTS = 30
# Before its second evaluation Prometheus stores no ALERTS, for it does not know yet what to restore.
QUIET_SECONDS = 5
MANY = 6  # rounds in which every shape fires


class Ours:
    """evaluate_rules over these groups and series."""

    def __init__(self, program, folder, groups, rows, *more):
        rules, samples = folder / "rules.json", folder / "series"
        rules.write_text(json.dumps({"groups": groups}))
        with open(samples, "w") as file:
            for labels, values in rows:
                file.write(json.dumps(labels) + "\n")
                for n, value in enumerate(values):
                    if value is not None:
                        file.write(f"{n * STEP_MS} {'stale' if is_stale(value) else repr(value)}\n")
                file.write("\n")
        self.process = subprocess.Popen([program, str(rules), str(samples), *more], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def at(self, t_ms, group=""):
        self.process.stdin.write(f"{t_ms} {group}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def all(self, moments):
        answers = [self.at(t) for t in moments]
        self.stop()
        return answers

    def stop(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


# ---- promtool ----

def selector(labels):
    return "{" + ", ".join(f"{name}={json.dumps(value)}" for name, value in labels.items()) + "}"


def notation(values):
    return " ".join("_" if v is None else "stale" if is_stale(v) else repr(v).replace("inf", "Inf").replace("nan", "NaN")
                    for v in values)


def test_file(rows, answers, groups, interval):
    """What promtool shall find true."""
    names = sorted({rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule})
    alerts, expressions = [], []
    for answer in answers:
        when = f"{answer['t']}ms"
        firing = collections.defaultdict(list)
        for name, labels, annotations in answer["firing"]:
            labels = {k: v for k, v in labels.items() if k != "alertname"}
            firing[name].append({"exp_labels": labels, "exp_annotations": annotations})
        alerts += [{"eval_time": when, "alertname": name, "exp_alerts": firing[name]} for name in names]
        expressions.append({
            "expr": '{__name__=~"ALERTS|ALERTS_FOR_STATE|r_.+"}', "eval_time": when,
            "exp_samples": [{"labels": selector(labels), "value": float(v)} for labels, v in answer["series"]]})
    return {"rule_files": ["rules.json"], "evaluation_interval": interval, "tests": [{
        "interval": f"{STEP_MS}ms",
        "input_series": [{"series": labels["__name__"] + selector({k: v for k, v in labels.items() if k != "__name__"}),
                          "values": notation(values)} for labels, values in rows],
        "alert_rule_test": alerts, "promql_expr_test": expressions}]}


class Round:
    def __init__(self, program, seed):
        self.chance = random.Random(seed)
        self.program = program

    def groups(self):
        return [{"name": shape, "rules": made(self.chance)} for shape, made in SHAPES.items()]

    def run(self, counts):
        """What promtool has to say against ours; None if nothing."""
        rows = series(self.chance, STEPS)
        every = self.chance.choice([15_000, 30_000, 60_000, 45_000])
        moments = range(0, STEPS * STEP_MS, every)
        groups = self.groups()
        with tempfile.TemporaryDirectory(prefix="tallymill-states-") as folder:
            folder = pathlib.Path(folder)
            answers = Ours(self.program, folder, groups, rows).all(moments)
            failed = {rule[0] for answer in answers for rule in answer["rules"] if rule[2] == "err"}
            if failed:
                return f"rules that should not fail here: {sorted(failed)}"
            count(answers, groups, counts)
            (folder / "test.yml").write_text(json.dumps(test_file(rows, answers, groups, f"{every}ms")))
            done = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True)
            return None if done.returncode == 0 else done.stdout + done.stderr


def count(answers, groups, counts):
    shapes = {rule["alert"]: group["name"] for group in groups for rule in group["rules"] if "alert" in rule}
    counts["rules"] += sum(len(group["rules"]) for group in groups)
    counts["moments"] += len(answers)
    for answer in answers:
        for labels, _ in answer["series"]:
            kind = labels["__name__"] if "alertname" in labels else "recorded"
            counts[labels.get("alertstate", kind)] += 1
        for name, _, _ in answer["firing"]:
            counts["fired: " + shapes[name]] += 1


# ---- a real Prometheus, and rules that fail by the clock ----

def by_clock(every, of):
    """A vector that is there while the second, modulo `every`, is one of `of`."""
    return " or ".join(f"(vector(time() % {every}) >= {n} < {n + 1})" for n in of)


def rows_by_clock(count, every):
    """`count` rows, the n-th of which is there when the second, modulo `every`, is n or more."""
    return " or ".join(f'label_replace(vector(time() % {every}) >= {n}, "n", "{n}", "", "")' for n in range(count))


def failing_groups():
    many = 'label_replace(vector(1), "n", "1", "", "") or label_replace(vector(1), "n", "2", "", "")'
    # Two rows for one now and then: an error of the expression.
    broken = f"({by_clock(9, [0, 1, 2, 3, 4, 5])}) + on () group_left () (vector(0) or (({many}) and on () " \
             f"({by_clock(7, [3, 4])})))"
    rules = {
        "limit": [{"alert": "Limit", "expr": rows_by_clock(6, 11)}, {"record": "r_limit", "expr": rows_by_clock(6, 11)}],
        "limit_for": [{"alert": "LimitFor", "expr": rows_by_clock(6, 11), "for": "2s", "keep_firing_for": "3s"}],
        "same": [{"alert": "Same", "expr": rows_by_clock(4, 7), "for": "1s",
                  "labels": {"n": "one"}}, {"record": "r_same", "expr": rows_by_clock(4, 7), "labels": {"n": "one"}}],
        "broken": [{"alert": "Broken", "expr": broken, "for": "1s"}, {"record": "r_broken", "expr": broken},
                   {"alert": "Kept", "expr": broken, "keep_firing_for": "2s"},
                   {"record": "r_after", "expr": "vector(time())"}],
        "twice": [{"record": "r_twice", "expr": by_clock(5, [0, 1])}, {"record": "r_twice", "expr": by_clock(5, [1, 2, 3])}],
        "steady": [{"alert": "Steady", "expr": by_clock(6, [1, 2, 3, 4]), "for": "2s"}],
    }
    return [{"name": name, "interval": "1s", **({"limit": 3} if name.startswith("limit") else {}), "rules": one}
            for name, one in rules.items()]


def table(rows):
    return sorted((json.dumps(labels, sort_keys=True), float(v)) for labels, v in rows)


def moments_of(groups, theirs):
    """When each group was evaluated: its clock has a sample at these times."""
    all_times = {}
    for group in groups:
        _, body = theirs.asked("/api/v1/query", {"query": f'r_clock_{group["name"]}[10m]'})
        rows = body["data"]["result"]
        all_times[group["name"]] = [round(float(t) * 1000) for t, _ in rows[0]["values"]] if rows else []
    return all_times


def live(program, counts):
    """What a real Prometheus and ours say of the same rules; a list of what differs."""
    groups = failing_groups()
    begin = time.time()
    for group in groups:
        for rule in group["rules"]:
            rule["expr"] = f"({rule['expr']}) and on () (vector(time()) > {begin + QUIET_SECONDS:.0f})"
        group["rules"].insert(0, {"record": "r_clock_" + group["name"], "expr": "time()"})
    wrong = []
    with tempfile.TemporaryDirectory(prefix="tallymill-states-") as folder:
        folder = pathlib.Path(folder)
        (folder / "rules.json").write_text(json.dumps({"groups": groups}))
        theirs = Prometheus(folder, f"rule_files: [{folder}/rules.json]\n")
        try:
            until(lambda: min(map(len, moments_of(groups, theirs).values())) >= LIVE_MOMENTS, 3 * LIVE_MOMENTS,
                  "each group was evaluated so often")
            times = moments_of(groups, theirs)
            ours = Ours(program, folder, groups, [])
            errors = collections.Counter()
            for t, name in sorted((t, name) for name, all_of_it in times.items() for t in all_of_it):
                answer = ours.at(t, name)
                errors.update(rule[1] for rule in answer["rules"] if rule[2] == "err")
                # Of the group that was just evaluated: those of the others are of other moments.
                names = "|".join(rule.get("record", rule.get("alert")) for group in groups if group["name"] == name
                                 for rule in group["rules"])
                his = theirs.ask(t, 0, 0, f'{{__name__=~"{names}"}} or {{alertname=~"{names}"}}')["result"]
                mine = [(labels, v) for labels, v in answer["series"]
                        if labels["__name__"] in names.split("|") or labels.get("alertname") in names.split("|")]
                his = [(labels, points[0][1]) for labels, points in his]
                counts["live moments"] += 1
                counts["live series"] += len(mine)
                if table(mine) != table(his):
                    wrong.append(f"{name} at {t}:\n  ours   {table(mine)}\n  theirs {table(his)}")
            ours.stop()
            counts.update({f"failures of {rule}": n for rule, n in errors.items()})
            for rule in ("Limit", "LimitFor", "r_limit", "Same", "r_same", "Broken", "r_broken", "Kept", "r_twice"):
                if not errors[rule]:
                    wrong.append(f"{rule} never failed: nothing was shown")
        finally:
            theirs.stop()
    return wrong


# ---- a restart ----

GRACE_S = 5
# After about ten seconds: far from its end, less than the grace period before it, too short to be restored, over.
HOLDS = {"Long": 60, "Soon": 13, "Short": 4, "Over": 8}


def for_state(theirs):
    """{alert: [(t_ms, since when)]}"""
    _, body = theirs.asked("/api/v1/query", {"query": "ALERTS_FOR_STATE[5m]"})
    return {one["metric"]["alertname"]: [(round(float(t) * 1000), float(v)) for t, v in one["values"]]
            for one in body["data"]["result"]}


def killed_and_back(folder):
    """What it stored before it was killed and afterwards, and what it said at each moment; None: seconds would be
    rounded now this way and now that."""
    config = f"rule_files: [{folder}/rules.json]\n"
    # The lookback, for a killed process leaves no stale markers.
    flags = [f"--rules.alert.for-grace-period={GRACE_S}s", "--query.lookback-delta=900ms"]
    theirs = Prometheus(folder, config, flags)
    try:
        until(lambda: for_state(theirs), 30, "alerts are pending")
        if not 50 < for_state(theirs)["Long"][0][0] % 1000 < 800:
            return None
        until(lambda: len(for_state(theirs)["Long"]) > 10, 60, "they are for ten seconds")
        before = for_state(theirs)
    finally:
        theirs.process.kill()
        theirs.process.wait()
    theirs = Prometheus(folder, config, flags)
    try:
        last = before["Long"][-1][0]
        until(lambda: sum(t > last for t, _ in for_state(theirs)["Long"]) >= 8, 60, "they are restored")
        after = {name: [one for one in values if one[0] > last] for name, values in for_state(theirs).items()}
        said = {t: theirs.ask(t, 0, 0, '{alertname!=""}')["result"] for t, _ in after["Long"]}
    finally:
        theirs.stop()
    return before, said


def restart(program, counts):
    groups = [{"name": "g", "interval": "1s",
               "rules": [{"alert": name, "expr": "vector(1)", "for": f"{hold}s"} for name, hold in HOLDS.items()]}]
    while True:
        with tempfile.TemporaryDirectory(prefix="tallymill-states-") as folder:
            folder = pathlib.Path(folder)
            (folder / "rules.json").write_text(json.dumps({"groups": groups}))
            seen = killed_and_back(folder)
            if not seen:
                continue
            before, said = seen
            ours = Ours(program, folder, groups, [], str(GRACE_S * 1000))
            # It restores right after its second evaluation and stores nothing before the third; what it does not
            # restore began with the first.
            moments = sorted(said)
            second = moments[0] - 1000
            for name, values in before.items():
                down, active = values[-1]
                now = second - 1000 if name == "Short" else second + 1
                ours.process.stdin.write(f"restore {name} {int(active * 1000)} {now - down} {now}\n")
            wrong = []
            for t in moments:
                mine = ours.at(t)["series"]
                his = [(labels, points[0][1]) for labels, points in said[t]]
                counts["moments after a restart"] += 1
                if table(mine) != table(his):
                    wrong.append(f"after a restart, at {t}:\n  ours   {table(mine)}\n  theirs {table(his)}")
            ours.stop()
            return wrong


def by_chance(program, rounds, seed, counts):
    wrong = []
    for n in range(rounds):
        said = Round(program, seed + n).run(counts)
        if said:
            wrong.append(f"seed {seed + n}: {said}")
    if rounds >= MANY:
        wrong += [f"{shape} never fired: nothing was shown" for shape in SHAPES if not counts["fired: " + shape]]
    return wrong


def main():
    if not shutil.which("prometheus") or not shutil.which("promtool"):
        print("SKIPPED: prometheus comes with ./dev setup test")
        return 0
    program = sys.argv[1]
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 6
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 31)
    print(f"seed {seed}, {rounds} rounds of {len(SHAPES)} shapes", flush=True)
    parts = [lambda counts: by_chance(program, rounds, seed, counts), lambda counts: live(program, counts),
             lambda counts: restart(program, counts)]
    all_counts = [collections.Counter() for _ in parts]
    # Two of them mostly wait for a Prometheus' clock.
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        wrong = [one for found in pool.map(lambda part, counts: part(counts), parts, all_counts) for one in found]
    counts = sum(all_counts, collections.Counter())
    for one in wrong[:20]:
        print(one)
    print(", ".join(f"{name} {n}" for name, n in sorted(counts.items())))
    print(f"{len(wrong)} different")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
