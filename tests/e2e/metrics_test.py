"""What `tallymill snapshot` exports: documented, well formed, and never less than it was.

usage: metrics_test.py PROGRAMS
"""

import collections
import json
import pathlib
import re
import sys
import tempfile
import unittest

from http_client import Http
from mill import Client, Mill, run_job, until

PROGRAMS = sys.argv.pop(1)
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "metrics.md"
KEPT = 20
NUMBER = r"[-+]?(?:\d[\d.e+-]*|Inf|NaN)"


def documented(section="Metrics"):
    """{name: (type, labels)} of a section's table: the front's is under the title."""
    rows = re.findall(r"^\| `(tallymill_\w+)` \| (\w+) \|([^|]*)\|([^|]+)\|$",
                      re.split(rf"^#+ {section}$", DOCS.read_text(), flags=re.MULTILINE)[1]
                      .split("\n## ")[0], re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows}


def exposition(text):
    """{family: (type, help, [(sample's name, labels, value)])}; fails on a line that is none."""
    families, name = {}, None
    for line in text.splitlines():
        if found := re.fullmatch(r"# HELP (\w+) (.+)", line):
            name = found[1]
            assert name not in families, f"{name} comes twice"
            families[name] = [None, found[2], []]
        elif found := re.fullmatch(r"# TYPE (\w+) (counter|gauge|histogram)", line):
            assert found[1] == name, line
            families[name][0] = found[2]
        else:
            found = re.fullmatch(rf"(\w+?)(_bucket|_sum|_count)?(?:{{(.*)}})? ({NUMBER})", line)
            assert found, line
            sample = found[1] + (found[2] or "")
            assert name in (found[1], sample) and families[name][0], line
            labels = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', found[3] or ""))
            families[name][2].append((sample, labels, float(found[4])))
    return families


class Metrics(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-"))

    def start(self):
        mill = Mill(PROGRAMS, folder=self.folder)
        text = mill.config.read_text()
        mill.config.write_text(text.replace("front:\n", f"front:\n  retention_jobs: {KEPT}\n"))
        mill.start()
        client = Client(mill.endpoint, "metrics")
        until(lambda: client.hello(0.5), 30, "the front answers")
        mill.ready(client)
        return mill, client

    def snapshot(self, mill, *flags):
        return mill.command("snapshot", "--server", mill.endpoint, *flags).stdout

    def test_the_export_is_what_the_page_lists(self):
        mill, client = self.start()
        self.addCleanup(mill.__exit__, None, None, None)
        run_job(client, "synthetic", {"route": "compute,image"})
        refused = client.submit("no-such-kind")
        self.assertTrue(client.wait_for(lambda: refused in client.refused, 10))
        families = exposition(self.snapshot(mill, "--prometheus"))
        self.assertEqual({name: kind for name, (kind, _) in documented().items()},
                         {name: family[0] for name, family in families.items()})
        for name, (kind, help_text, samples) in families.items():
            with self.subTest(name):
                self.assertTrue(samples and help_text.endswith("."))
                self.assertEqual(kind == "counter", name.endswith("_total"))
                self.assertFalse(re.search(r"_(ms|us|ns|minutes|percent|kb|mb)(_|$)", name))
                wanted = documented()[name][1]
                for sample, labels, value in samples:
                    self.assertEqual(set(labels) - {"le"}, wanted, sample)
                    self.assertTrue(all(labels.values()), labels)
                    self.assertGreaterEqual(value, 0)
                    self.assertFalse(any(re.search(r"\d{5}", v) for k, v in labels.items()
                                         if k != "le"), f"{labels}: that has no bound")
                if kind == "histogram":
                    self.buckets_rise(samples)

    def test_over_http_comes_the_same_and_what_the_server_counts(self):
        mill, _ = self.start()
        self.addCleanup(mill.__exit__, None, None, None)
        http = Http(mill.http_port)  # which asks once
        families = exposition(http.ask("GET", "/metrics").body.decode())
        self.assertEqual({name: kind for name, (kind, _) in documented("HTTP").items()},
                         {name: family[0] for name, family in families.items()
                          if name.startswith(("tallymill_http_", "tallymill_gateway_", "tallymill_wire_"))})
        self.assertIn("tallymill_jobs_accepted_total", families)
        for name, (_, labels) in documented("HTTP").items():
            for sample, found, _ in families[name][2]:
                self.assertEqual(set(found) - {"le"}, labels, sample)

    def test_openmetrics_comes_to_who_prefers_it_and_text_to_all_others(self):
        mill, client = self.start()
        self.addCleanup(mill.__exit__, None, None, None)
        run_job(client, "synthetic")
        http = Http(mill.http_port)

        def asked(accept):
            answer = http.ask("GET", "/metrics", headers={"Accept": accept} if accept else {})
            self.assertEqual(answer.status, 200)
            self.assertEqual(sorted(answer.headers.get_all("Vary")), ["Accept", "Accept-Encoding"])
            return answer.headers["Content-Type"], answer.body.decode()
        prometheus = ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
                      "application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;"
                      "escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1")
        for accept in ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text",
                       prometheus):
            kind, open_text = asked(accept)
            self.assertEqual(kind, "application/openmetrics-text; version=1.0.0; charset=utf-8", accept)
        for accept in (None, "*/*", "text/plain", "text/html", "nonsense", "application/openmetrics-text;q=0",
                       "application/openmetrics-text; version=2.0.0, */*",
                       "application/openmetrics-text; q=0.1, text/plain"):
            kind, text = asked(accept)
            self.assertEqual(kind, "text/plain; version=0.0.4; charset=utf-8", accept)
        self.assertNotIn("# EOF", text)
        self.assertEqual(open_text.count("# EOF"), 1)
        self.assertRegex(open_text, r'response_seconds_bucket\{.*\} 1 # \{job_id="\d+"\} [\d.]+ \d+\.\d{3}\n')
        self.assertTrue(open_text.endswith("\n# EOF\n"))
        # The same families, those of counters without the end of their samples' name.
        plain = exposition(text)
        families = dict(re.findall(r"^# TYPE (\w+) (\w+)$", open_text, re.MULTILINE))
        self.assertEqual(families, {name.removesuffix("_total"): kind for name, (kind, _, _) in plain.items()})
        units = dict(re.findall(r"^# UNIT (\w+) (\w+)$", open_text, re.MULTILINE))
        self.assertEqual(units["tallymill_job_response_seconds"], "seconds")
        self.assertTrue(all(name.endswith("_" + unit) for name, unit in units.items()))
        series = [line.rsplit(" ", 1)[0] for line in open_text.splitlines() if not line.startswith("#")]
        self.assertEqual(len(series), len(set(series)))
        self.assertIn("tallymill_jobs_accepted_total", series)

    def buckets_rise(self, samples):
        series = collections.defaultdict(list)
        for sample, labels, value in samples:
            key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
            series[key].append((sample, labels.get("le"), value))
        for one in series.values():
            buckets = [(float(le), value) for _, le, value in one if le is not None]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual([value for _, value in buckets], sorted(v for _, v in buckets))
            count = next(value for sample, _, value in one if sample.endswith("_count"))
            self.assertEqual(buckets[-1], (float("inf"), count))

    def test_totals_outlive_a_restart_and_the_jobs_they_count(self):
        mill, client = self.start()
        jobs = 5 * KEPT
        requests = [client.submit("synthetic", {"outcome": "fail"} if n % 5 == 0 else {})
                    for n in range(jobs)]
        self.assertTrue(client.wait_for(lambda: len(client.ends) == jobs, 30))
        first = client.accepted[requests[0]]["id"]

        def forgotten():
            try:
                return client.ask("status", id=first) is None
            except LookupError as e:
                return e.args[0]["code"] == "E_NOT_FOUND"
        until(forgotten, 30, "the first job's time in the ledger is over")
        before = json.loads(self.snapshot(mill, "--json"))["jobs"]
        self.assertEqual((before["accepted"], before["done"], before["failed"]),
                         (jobs, jobs * 4 // 5, jobs // 5))
        self.assertEqual(mill.stop(), 0)
        mill.log.close()
        mill, client = self.start()
        self.addCleanup(mill.__exit__, None, None, None)
        after = json.loads(self.snapshot(mill, "--json"))
        self.assertEqual(after["jobs"], before)
        self.assertTrue(after["balanced"])
        totals = {(sample, labels.get("end")): value for _, _, samples in
                  exposition(self.snapshot(mill, "--prometheus")).values()
                  for sample, labels, value in samples}
        self.assertEqual(totals["tallymill_jobs_accepted_total", None], jobs)
        self.assertEqual(totals["tallymill_jobs_ended_total", "done"], before["done"])
        run_job(client, "synthetic")
        again = json.loads(self.snapshot(mill, "--json"))["jobs"]
        self.assertEqual((again["accepted"], again["done"]), (jobs + 1, before["done"] + 1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
