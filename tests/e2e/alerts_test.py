"""`tallymill alerts` and Alertmanager's API of a collector: what fires, why, and what nobody is told of.

Goal: a silence holds back a real webhook and lets it go; what is listed and explained is what was planted; amtool of
Debian's Alertmanager works against it; what is wrong is refused with its field. Method: a real collector with rules
that are judged each second, and a webhook of this test.

usage: alerts_test.py PROGRAMS
"""

import datetime
import http.server
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

import http_client
from collector_process import CollectorProcess
from mill import until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
RULES = """
groups:
  - name: mill
    interval: 1s
    rules:
      - alert: HighWait
        expr: max by (stage) (wait_seconds) > 0.2
        labels: {severity: page}
        annotations: {summary: "{{ $labels.stage }} waits {{ $value }} s"}
      - {alert: Slow, expr: 'wait_seconds > 0.1', for: 1h}
      - {alert: Down, expr: 'down > 0'}
      - {alert: Total, expr: 'sum(many) > 0'}
      - {alert: Each, expr: 'each > 0'}
      - {alert: Odd, expr: 'odd > 0', annotations: {summary: "one\\n  state       over {{ $labels.a }}"}}
"""
SINKS = """
sinks:
  - {{name: ops, kind: webhook, url: 'http://127.0.0.1:{port}/hook'}}
inhibit_rules:
  - {{source_matchers: ['alertname="Down"'], target_matchers: ['alertname="HighWait"'], equal: [stage]}}
"""


class Feed(http_client.Socket):
    def say(self, value):
        data = json.dumps(value).encode()
        assert len(data) < 126
        self.send(bytes((0x81, 0x80 | len(data))) + bytes(4) + data)  # masked with zeros


class Webhook:
    """What came, as (status, stage)."""

    def __init__(self):
        told = self.told = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                told.extend((one["status"], one["labels"]["alertname"], one["labels"].get("stage"))
                            for one in body["alerts"])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def at(seconds_from_now):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds_from_now)
    return moment.isoformat().replace("+00:00", "Z")


class Alerts(unittest.TestCase):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.hook = Webhook()
        self.addCleanup(self.hook.close)
        (folder / "rules.yml").write_text(RULES)
        (folder / "sinks.yml").write_text(SINKS.format(port=self.hook.port))
        self.collector = self.enterContext(CollectorProcess(
            PROGRAMS, folder / "c", flags=["--rules", folder / "rules.yml", "--sinks", folder / "sinks.yml"]))

    def push(self, name, value, **labels):
        text = ",".join(f'{key}="{word}"' for key, word in labels.items())
        self.collector.import_text(f"{name}{{{text}}} {value}\n")

    def alerts(self, **query):
        return self.collector.json("/api/v2/alerts?" + urllib.parse.urlencode(query, doseq=True))

    def firing(self, **query):
        return sorted((one["labels"]["alertname"], one["labels"].get("stage"), one["status"]["state"])
                      for one in self.alerts(**query))

    def wait_for_an_evaluation(self):
        """Of a moment that is yet to come."""
        since = datetime.datetime.now(datetime.timezone.utc).isoformat()
        until(lambda: self.collector.json("/api/v1/rules")["data"]["groups"][0]["lastEvaluation"] > since, 20,
              "the rules are judged")

    def command(self, *words, code=0):
        done = subprocess.run([PROGRAMS / "tallymill", "alerts", *words], capture_output=True, text=True, timeout=60,
                              env={"PATH": "/usr/bin:/bin", "TALLYMILL_COLLECTOR": self.collector.url, "TZ": "UTC",
                                   "USER": "tester"})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout if code == 0 else done.stderr

    def post(self, body, headers=None):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer = self.collector.ask("/api/v2/silences", raw,
                                            {"Content-Type": "application/json", **(headers or {})})
        return status, json.loads(answer)

    def silence(self, **fields):
        return {"matchers": [{"name": "stage", "value": "image", "isRegex": False}], "startsAt": at(0),
                "endsAt": at(3600), "createdBy": "me", "comment": "disks"} | fields

    def test_a_silenced_alert_is_told_when_its_silence_ends(self):
        identity = self.command("silence", "add", "HighWait", "stage=~image|box", "--for", "2h", "--comment",
                                "new disks").strip()
        self.push("wait_seconds", 0.5, stage="image")
        self.push("wait_seconds", 0.5, stage="loud")
        until(lambda: ("firing", "HighWait", "loud") in self.hook.told, 20, "the loud one is told")
        until(lambda: ("HighWait", "image", "suppressed") in self.firing(), 20, "the other fires, silenced")
        [one] = self.alerts(filter='stage="image"')
        self.assertEqual(one["status"]["silencedBy"], [identity])
        self.assertEqual(self.firing(filter="alertname=HighWait", silenced="false"), [("HighWait", "loud", "active")])
        self.assertEqual(self.firing(filter="alertname=HighWait", active="false"),
                         [("HighWait", "image", "suppressed")])
        self.assertEqual(self.collector.metric('tallymill_alerting_silences{state="active"}'), 1)
        self.assertNotIn(("firing", "HighWait", "image"), self.hook.told)
        # It is as silent after a restart.
        self.collector.end()
        self.collector.start()
        until(lambda: ("HighWait", "image", "suppressed") in self.firing(), 20, "it is still silenced")
        self.assertNotIn(("firing", "HighWait", "image"), self.hook.told)
        self.command("silence", "expire", identity[:8])
        until(lambda: ("firing", "HighWait", "image") in self.hook.told, 20, "it is told")
        self.assertEqual(self.collector.json(f"/api/v2/silence/{identity}")["status"]["state"], "expired")

    def test_what_is_over_before_its_silence_is_not_told_and_what_was_told_ends(self):
        self.push("wait_seconds", 0.5, stage="image")
        until(lambda: ("firing", "HighWait", "image") in self.hook.told, 20, "it is told")
        self.command("silence", "add", "stage=~.+")
        self.push("wait_seconds", 0.5, stage="box")
        until(lambda: ("HighWait", "box", "suppressed") in self.firing(), 20, "the second one fires")
        self.push("wait_seconds", 0, stage="box")
        self.push("wait_seconds", 0, stage="image")
        until(lambda: ("resolved", "HighWait", "image") in self.hook.told, 20, "the end of the first one is told")
        until(lambda: self.collector.metric("tallymill_alert_sink_muted_total") == 1, 20, "the second one is muted")
        self.assertEqual([one for one in self.hook.told if one[2] == "box"], [])
        told = self.collector.json("/api/v1/alerts/explain?name=HighWait&filter=stage%3Dbox")["data"]
        [alert] = told["rules"][0]["alerts"]
        self.assertEqual(alert["state"], "inactive")
        self.assertEqual([(one["sink"], one["state"], one["outcome"], one["why"]) for one in alert["delivered"]],
                         [("ops", "firing", "muted", "silenced"), ("ops", "resolved", "muted", "silenced")])

    def test_an_inhibited_alert_names_who_inhibits_it(self):
        self.push("down", 1, stage="image")
        until(lambda: ("Down", "image", "active") in self.firing(), 20, "the one that inhibits fires")
        self.push("wait_seconds", 0.5, stage="image")
        until(lambda: ("HighWait", "image", "suppressed") in self.firing(), 20, "the other fires")
        [down] = self.alerts(filter="alertname=Down")
        [wait] = self.alerts(filter="alertname=HighWait")
        self.assertEqual(wait["status"]["inhibitedBy"], [down["fingerprint"]])
        self.assertEqual(self.firing(inhibited="false"), [("Down", "image", "active")])
        self.assertIn("inhibited", self.command("ls", "--state", "inhibited"))

    def test_explain_tells_the_crossing_the_samples_the_changes_and_who_was_told(self):
        self.push("wait_seconds", 0.12, stage="image", host="a")
        self.push("wait_seconds", 0.07, stage="box", host="a")
        self.wait_for_an_evaluation()
        self.push("wait_seconds", 0.31, stage="image", host="a")
        until(lambda: ("firing", "HighWait", "image") in self.hook.told, 20, "it is told")
        until(lambda: self.collector.query('ALERTS{alertname="HighWait"}'), 20, "its state is stored")
        data = self.collector.json("/api/v1/alerts/explain?name=HighWait")["data"]
        [rule] = data["rules"]
        self.assertEqual((rule["query"], rule["interval"], rule["health"]),
                         ("max by (stage) (wait_seconds) > 0.2", 1, "ok"))
        [alert] = rule["alerts"]
        self.assertEqual(alert["labels"], {"alertname": "HighWait", "severity": "page", "stage": "image"})
        self.assertEqual(alert["annotations"]["summary"], "image waits 0.31 s")
        self.assertEqual((alert["state"], alert["value"]), ("firing", "3.1e-01"))
        self.assertEqual([one["state"] for one in alert["changes"]], ["firing"])
        values = [float(value) for _, value in alert["values"]["values"]]
        self.assertEqual(alert["values"]["query"], "max by (stage) (wait_seconds)")
        self.assertEqual(values, sorted(values))
        self.assertEqual((values[0], values[-1]), (0.12, 0.31))
        [selector] = alert["samples"]
        [series] = selector["series"]
        self.assertEqual(series["metric"], {"__name__": "wait_seconds", "host": "a", "stage": "image"})
        self.assertEqual([value for _, value in series["values"]], ["0.12", "0.31"])
        self.assertEqual([(one["sink"], one["state"], one["outcome"]) for one in alert["delivered"]],
                         [("ops", "firing", "taken")])
        text = self.command("explain", "HighWait")
        for said in ("max by (stage) (wait_seconds) > 0.2", 'wait_seconds{host="a", stage="image"}', "0.12",
                     "<- active from here", "ops", "taken", "image waits 0.31 s"):
            self.assertIn(said, text)
        self.assertEqual(json.loads(self.command("explain", "HighWait", "--json"))["name"], "HighWait")
        # When it is over, what was is still told.
        self.push("wait_seconds", 0, stage="image", host="a")
        until(lambda: ("resolved", "HighWait", "image") in self.hook.told, 20, "its end is told")
        [alert] = self.collector.json("/api/v1/alerts/explain?name=HighWait")["data"]["rules"][0]["alerts"]
        self.assertEqual([one["state"] for one in alert["changes"]], ["firing", "inactive"])
        self.assertEqual(alert["state"], "inactive")
        self.assertEqual([one["state"] for one in alert["delivered"]], ["firing", "resolved"])
        self.assertIn("over", self.command("explain", "HighWait", "stage=image"))
        self.assertIn("no alert of it is active", self.command("explain", "HighWait", "stage=other"))
        self.assertIn("no alert of it is active", self.command("explain", "Down"))

    def explained(self, name):
        [rule] = self.collector.json(f"/api/v1/alerts/explain?name={name}")["data"]["rules"]
        return rule

    def test_explain_is_bounded_and_says_what_it_leaves_out(self):
        def push(lines):
            self.collector.import_text("\n".join(lines) + "\n")

        now = int(time.time() * 1000)
        push(f'many{{n="{n:02}"}} 1 {now}' for n in range(20))
        push(f'each{{n="{n:02}"}} 1 {now}' for n in range(20))
        # States of a minute each: pending, firing, pending ... of a hundred minutes; the last goes on.
        push(f'ALERTS{{alertname="Total",alertstate="{("pending", "firing")[i % 2]}"}} 1 {now - (200 - i) * 60_000}'
             for i in range(100))
        until(lambda: len(self.firing()) == 21, 20, "all fire")
        until(lambda: len(self.collector.query('ALERTS{alertname=~"Each|Total",alertstate="firing"}')) == 21, 20,
              "their states are stored")
        each, total = self.explained("Each"), self.explained("Total")["alerts"][0]
        self.assertEqual((len(each["alerts"]), each["leftOut"]), (20, 0))
        self.assertEqual((len(total["samples"][0]["series"]), total["seriesLeftOut"]), (20, 0))
        self.assertEqual((len(total["changes"]), total["changesLeftOut"]), (100, 0))
        push([f'ALERTS{{alertname="Total",alertstate="firing"}} 1 {now - 201 * 60_000}',
              f'many{{n="20"}} 1 {now}', f'each{{n="20"}} 1 {now}'])
        until(lambda: len(self.firing(filter="alertname=Each")) == 21, 20, "one more fires")
        each, total = self.explained("Each"), self.explained("Total")["alerts"][0]
        self.assertEqual((len(each["alerts"]), each["leftOut"]), (20, 1))
        self.assertEqual((len(total["samples"][0]["series"]), total["seriesLeftOut"]), (20, 1))
        self.assertEqual((len(total["changes"]), total["changesLeftOut"]), (100, 1))
        self.assertIn("1 earlier ones are not shown", self.command("explain", "Total"))
        self.assertEqual(total["samples"][0]["series"][0]["metric"], {"__name__": "many", "n": "00"})
        self.assertIn("1 more series are not shown", self.command("explain", "Total"))
        self.assertIn("1 more alert", self.command("explain", "Each"))

    def test_explain_tells_the_samples_around_the_crossing_and_the_last(self):
        now = int(time.time() * 1000)
        lines = [f'down{{stage="x"}} {int(i > 100)} {now - (200 - i) * 4_000}' for i in range(201)]
        begin = now - 99 * 4_000
        lines += [f'ALERTS{{alertname="Down",alertstate="firing",stage="x"}} 1 {begin + i * 1_000}' for i in range(300)]
        self.collector.import_text("\n".join(lines) + "\n")
        until(lambda: self.firing(), 20, "it fires")
        # A second alert, so that the first one's moment is the planted one: it is over.
        self.push("down", 0, stage="x")
        until(lambda: not self.firing(), 20, "it is over")
        [alert] = self.explained("Down")["alerts"]
        [series] = alert["samples"][0]["series"]
        times = [round(t * 1000) for t, _ in series["values"]]
        self.assertLessEqual(len(times), 60)
        self.assertTrue(series["more"])
        self.assertEqual(times, sorted(times))
        active = round(datetime.datetime.fromisoformat(alert["activeAt"].replace("Z", "+00:00")).timestamp() * 1000)
        self.assertEqual(sum(t < active for t in times), 20)

    def test_the_live_feed_tells_changes_with_their_numbers(self):
        with Feed(self.collector.port, "/ws") as feed:
            feed.say({"alerts": True, "subscribe": [{"topic": "ready", "query": "1"}]})
            messages = iter(feed)
            next(one for one in messages if "ready" in one.get("topics", {}))  # it is heard
            self.push("wait_seconds", 0.5, stage="image")
            told = []
            for one in messages:
                told += one.get("alerts", [])
                if len(told) == 2:
                    break
            self.assertEqual(sorted((one["labels"]["alertname"], one["state"]) for one in told),
                             [("HighWait", "firing"), ("Slow", "pending")])
            self.assertEqual([one["sequence"] for one in told], [1, 2])
            self.assertEqual(told[0]["epoch"], told[1]["epoch"])

    def test_ls_tells_what_is_pending_and_what_fires(self):
        self.push("wait_seconds", 0.5, stage="image")
        until(lambda: len(json.loads(self.command("ls", "--json"))) == 2, 20, "both are there")
        text = self.command("ls")
        self.assertRegex(text, r'firing +\S+ \S+ +0\.5  HighWait  severity="page", stage="image"')
        self.assertRegex(text, r'pending +\S+ \S+ +0\.5  Slow      stage="image"')
        self.assertTrue(all(len(line) <= 80 for line in text.splitlines()), text)
        self.assertNotIn("Slow", self.command("ls", "--state", "firing"))
        self.assertNotIn("HighWait", self.command("ls", "Slow"))
        self.assertEqual(json.loads(self.command("ls", "stage!=image", "--json")), [])
        self.assertEqual(self.firing(), [("HighWait", "image", "active")])

    def test_labels_and_annotations_neither_drive_a_terminal_nor_write_lines_of_their_own(self):
        self.push("odd", 1, a="\x1b[2J\x9b\x7f\u202e", b="ä")
        until(lambda: self.firing(), 20, "it fires")
        for words in (("ls",), ("ls", "--json"), ("explain", "Odd"), ("explain", "Odd", "--json")):
            text = self.command(*words)
            self.assertIn("ä", text)
            self.assertEqual([c for c in text if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)], [], text)
        self.assertNotIn("\u202e", self.command("ls") + self.command("explain", "Odd"))
        self.assertEqual(json.loads(self.command("ls", "--json"))[0]["labels"]["a"], "\x1b[2J\x9b\x7f\u202e")
        self.assertEqual(len([line for line in self.command("explain", "Odd").splitlines()
                              if line.startswith("  state ")]), 1)

    def test_who_may_only_read_neither_silences_nor_reloads(self):
        file = self.collector.folder / "tokens"
        tokens = {role: subprocess.run([PROGRAMS / "tallymill", "token", role, "--role", role, "--file", file],
                                       check=True, capture_output=True, text=True).stdout.strip()
                  for role in ("read", "submit", "operate")}
        with CollectorProcess(PROGRAMS, self.collector.folder / "held",
                              flags=[*self.collector.flags, "--http-token-file", file]) as held:
            def ask(method, path, role, body=None):
                request = urllib.request.Request(held.url + path, body, method=method)
                if role:
                    request.add_header("Authorization", f"Bearer {tokens[role]}")
                if body:
                    request.add_header("Content-Type", "application/json")
                try:
                    with urllib.request.urlopen(request, timeout=30) as answer:
                        return answer.status, answer.read()
                except urllib.error.HTTPError as error:
                    return error.code, error.read()

            silence = json.dumps(self.silence()).encode()
            status, made = ask("POST", "/api/v2/silences", "operate", silence)
            self.assertEqual(status, 200, made)
            identity = json.loads(made)["silenceID"]
            changes = (("POST", "/api/v2/silences", silence), ("DELETE", f"/api/v2/silence/{identity}", None),
                       ("POST", "/-/reload", b""), ("PUT", "/-/reload", b""))
            for method, path, body in changes:
                for role, expected in ((None, 401), ("read", 403), ("submit", 403)):
                    self.assertEqual(ask(method, path, role, body)[0], expected, (method, path, role))
            [one] = json.loads(ask("GET", "/api/v2/silences", "read")[1])
            self.assertEqual((one["id"], one["status"]["state"]), (identity, "active"))
            for path in ("/api/v1/rules", "/api/v1/alerts", "/api/v2/alerts", "/api/v2/status", "/api/v2/receivers",
                         f"/api/v2/silence/{identity}", "/api/v1/alerts/explain?name=Slow"):
                self.assertEqual([ask("GET", path, role)[0] for role in (None, "read")], [401, 200], path)
            for method, path, body in changes[1:]:
                self.assertEqual(ask(method, path, "operate", body)[0], 200, (method, path))
            # The command, with its token in a file.
            (self.collector.folder / "token").write_text(tokens["read"])
            words = ("--collector", held.url, "--token-file", self.collector.folder / "token")
            self.assertIn("0 alerts", self.command("ls", *words))
            self.assertIn("E_DENIED", self.command("silence", "add", "Slow", *words, code=6))
            self.assertIn("E_AUTH", self.command("ls", "--collector", held.url, code=6))
            log = (held.folder / "collector.log").read_text()
            self.assertEqual([role for role, token in tokens.items() if token in log], [])

    def test_a_start_says_what_is_judged_and_a_wrong_flag_of_alerting_is_a_usage_error(self):
        def log_of(flags):
            with CollectorProcess(PROGRAMS, self.collector.folder / "said", flags=flags) as said:
                said.end()
                return (said.folder / "collector.log").read_text()

        self.assertIn("info  collector: rules: 6 in groups: 1, told to: ops", log_of(self.collector.flags))
        self.assertIn("warning collector: rules: 0 in groups: 0, told to: nobody",
                      log_of(["--rules", self.collector.folder / "none*.yml"]))
        for flags in (("--alertmanager", "no url"), ("--sinks", self.collector.folder / "../rules.yml"),
                      ("--probes", self.collector.folder / "../rules.yml")):
            ran = subprocess.run([PROGRAMS / "tallymill-collector", "--data", self.collector.folder / "wrong", "--http",
                                  "127.0.0.1:0", *flags], capture_output=True, text=True, timeout=30, check=False)
            self.assertEqual(ran.returncode, 2, ran.stderr)

    def test_silences_are_made_longer_listed_and_ended(self):
        status, made = self.post(self.silence())
        self.assertEqual(status, 200)
        identity = made["silenceID"]
        self.assertRegex(identity, r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
        told = self.collector.json(f"/api/v2/silence/{identity}")
        self.assertEqual(self.post(told | {"comment": "more"}), (200, {"silenceID": identity}))
        self.assertEqual(self.collector.json("/api/v2/silences")[0]["comment"], "more")
        self.assertEqual(self.collector.json("/api/v2/silences?filter=stage%3Dbox"), [])
        self.assertEqual(len(self.collector.json("/api/v2/silences?filter=stage%3Dimage")), 1)
        later = self.command("silence", "add", "Slow", "--from", at(600), "--until", at(1200), "--by", "ann").strip()
        text = self.command("silence", "ls")
        self.assertRegex(text, rf'{identity[:8]}  active  +5\d min \d\d s  me +stage="image" +more')
        self.assertRegex(text, rf'{later[:8]}  pending  in +(9|10) min.*ann +alertname="Slow"')
        self.assertNotIn("Slow", self.command("silence", "ls", "stage=image"))
        self.command("silence", "expire", identity[:6], later)
        self.assertIn("0 silences", self.command("silence", "ls"))
        self.assertIn("expired", self.command("silence", "ls", "--all"))
        self.assertIn("E_NOT_FOUND", self.command("silence", "expire", identity[:6], code=5))
        self.assertIn("E_STATE", self.command("silence", "expire", identity, code=1))
        self.assertIn("E_NOT_FOUND", self.command("silence", "expire", "nonsense", code=5))
        # As of a variable that is not set; it would be the begin of the only one.
        self.command("silence", "add", "Slow")
        self.assertIn("E_PARAMS", self.command("silence", "expire", "", code=2))
        self.assertIn("1 silence", self.command("silence", "ls"))

    def test_what_is_wrong_is_refused_with_its_code_and_its_field(self):
        def refused(body, field, status=400, code="E_PARAMS"):
            got, problem = self.post(body)
            self.assertEqual((got, problem["code"], problem.get("field", "")), (status, code, field), problem)
        bad = {"name": "a", "value": "(", "isRegex": True}
        refused(self.silence(matchers=[bad]), "/matchers/0/value")
        refused(self.silence(matchers=[]), "/matchers")
        refused(self.silence(matchers=["stage=~.*"]), "/matchers")
        refused(self.silence(endsAt=at(-60), startsAt=at(-120)), "/endsAt")
        refused(self.silence(endsAt=at(60), startsAt=at(120)), "/endsAt")
        refused(self.silence(startsAt="soon"), "/startsAt")
        refused(b"{", "", code="E_FRAME")
        refused(self.silence(id="nonsense"), "", 404, "E_NOT_FOUND")
        self.assertEqual(self.post(self.silence(comment="x" * 40_000))[0], 413)
        status, text = self.post(self.silence(matchers=[bad]), {"Accept": "application/json"})
        self.assertEqual(status, 400)
        self.assertTrue(text.startswith("E_PARAMS /matchers/0/value: "), text)
        for path, status in (("/api/v2/silence/nonsense", 404), ("/api/v2/alerts?filter=nonsense", 400),
                             ("/api/v2/alerts?active=perhaps", 400), ("/api/v2/alerts?pending=perhaps", 400),
                             ("/api/v1/alerts/explain", 400),
                             ("/api/v1/alerts/explain?name=Nobody", 404),
                             ("/api/v1/alerts/explain?name=Slow&last=soon", 400)):
            self.assertEqual(self.collector.ask(path)[0], status, path)
        self.assertIn("E_PARAMS", self.command("silence", "add", "stage=~(", code=2))
        self.assertIn("E_PARAMS", self.command("silence", "add", "Slow", "--until", "soon", code=2))
        self.assertIn("E_NOT_FOUND", self.command("explain", "Nobody", code=5))
        self.assertIn("E_PARAMS", self.command("ls", "stage=~(", code=2))
        self.command("silence", "add", code=2)

    def test_a_collector_without_rules_says_so(self):
        with CollectorProcess(PROGRAMS, self.collector.folder / "plain") as plain:
            said = self.command("ls", "--collector", plain.url, code=5)
            self.assertIn("--rules", said)

    @unittest.skipUnless(shutil.which("amtool"), "amtool is not installed")
    def test_amtool_works_against_it(self):
        def amtool(*words, code=0):
            done = subprocess.run(["amtool", "--alertmanager.url", self.collector.url, *words], capture_output=True,
                                  text=True, timeout=60)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            return done.stdout if code == 0 else done.stderr

        identity = amtool("silence", "add", "HighWait", "stage=~im.*", "-c", "disks", "-a", "me", "-d", "2h").strip()
        self.push("wait_seconds", 0.5, stage="image")
        self.push("wait_seconds", 0.5, stage="loud")
        until(lambda: len(self.firing()) == 2, 20, "both fire")
        self.assertIn(identity, amtool("silence", "query"))
        self.assertIn(identity, amtool("silence", "query", "alertname=HighWait"))
        self.assertNotIn(identity, amtool("silence", "query", "alertname=Other"))
        active = json.loads(amtool("-o", "json", "alert", "query"))
        self.assertEqual([one["labels"]["stage"] for one in active], ["loud"])
        silenced = json.loads(amtool("-o", "json", "alert", "query", "--silenced", "stage=image"))
        self.assertEqual(silenced[0]["status"]["silencedBy"], [identity])
        self.assertIn(identity, amtool("silence", "update", identity, "-d", "4h", "-c", "more"))
        self.assertEqual(self.collector.json(f"/api/v2/silence/{identity}")["comment"], "more")
        amtool("silence", "expire", identity)
        self.assertEqual(self.collector.json(f"/api/v2/silence/{identity}")["status"]["state"], "expired")
        self.assertIn("/matchers", amtool("silence", "add", "stage=~.*", "-c", "all", "-a", "me", code=1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
