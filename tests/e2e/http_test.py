"""Jobs over HTTP, end to end on real processes: given, waited for, fetched, cancelled, refused; each
answer is held against the server's own OpenAPI document.

usage: http_test.py PROGRAMS
"""

import hashlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

from collector_process import CollectorProcess
from http_client import Events, Http, form
from mill import Client, Mill, until

PROGRAMS = sys.argv.pop(1)
PHOTO = (pathlib.Path(__file__).parents[2] / "examples" / "sample.jpg").read_bytes()
BOX = {"kind": "box", "params": {"x_mm": 80, "y_mm": 60, "z_mm": 40}}


class OverHttp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.mill = cls.enterClassContext(Mill(PROGRAMS))
        bus = Client(cls.mill.endpoint, "http")
        until(lambda: bus.hello(0.5), 30, "the front answers")
        cls.mill.ready(bus)
        cls.http = Http(cls.mill.http_port)
        cls.port = cls.mill.http_port

    def submit(self, job, wait=20, **headers):
        answer = self.http.ask("POST", "/v1/jobs", job, {"Prefer": f"wait={wait}", **headers})
        self.assertIn(answer.status, (200, 202), answer.body)
        return answer

    def refused(self, answer, status, code, field=None):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.type, "application/problem+json")
        problem = answer.json()
        self.assertEqual(problem["code"], code, problem)
        if field is not None:
            self.assertEqual(problem["field"], field, problem)

    def test_a_box_is_given_waited_for_and_fetched(self):
        answer = self.submit(BOX)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["Preference-Applied"], "wait=20")
        job = answer.json()
        self.assertEqual(job["state"], "done")
        self.assertEqual(answer.headers["Location"], f"/v1/jobs/{job['job']}")
        result = self.http.ask("GET", f"/v1/jobs/{job['job']}/result").json()
        self.assertTrue(result["files"])
        for file in result["files"]:
            whole = self.http.ask("GET", file["href"])
            self.assertEqual((whole.status, len(whole.body)), (200, file["bytes"]))
            self.assertEqual(whole.type, file["media_type"])
            part = self.http.ask("GET", file["href"], headers={"Range": "bytes=10-19"})
            self.assertEqual((part.status, part.body), (206, whole.body[10:20]))
            again = self.http.ask("GET", file["href"],
                                  headers={"If-None-Match": whole.headers["ETag"]})
            self.assertEqual((again.status, again.body), (304, b""))
        timeline = self.http.ask("GET", f"/v1/jobs/{job['job']}/timeline").json()
        self.assertEqual(timeline["attempts"][0]["outcome"], "ok")

    def test_a_photo_in_a_form_and_by_digest_give_the_same_engraving(self):
        params = {"width_mm": 40}
        kind, body = form({"kind": "engrave", "params": json.dumps(params)},
                          [("file", "sample.jpg", "image/jpeg", PHOTO)])
        first = self.http.ask("POST", "/v1/jobs", headers={"Content-Type": kind, "Prefer": "wait=30"},
                              body=body)
        self.assertEqual(first.status, 200, first.body)
        self.assertEqual(first.json()["state"], "done", first.body)
        stored = self.http.ask("PUT", "/v1/blobs", body=PHOTO, headers={"Content-Type": "image/jpeg"})
        self.assertEqual(stored.status, 201, stored.body)
        digest = hashlib.sha256(PHOTO).hexdigest()
        self.assertEqual(stored.json(), {"digest": digest, "bytes": len(PHOTO)})
        self.assertEqual(self.http.ask("GET", stored.headers["Location"]).body, PHOTO)
        second = self.submit({"kind": "engrave", "params": params,
                              "inputs": [{"name": "sample.jpg", "digest": digest}]}, 30)
        self.assertEqual(second.json()["state"], "done", second.body)
        results = [self.http.ask("GET", f"/v1/jobs/{j.json()['job']}/result").json()["files"]
                   for j in (first, second)]
        bodies = [[self.http.ask("GET", file["href"]).body for file in files] for files in results]
        self.assertEqual(bodies[0], bodies[1])

    def test_the_same_key_is_the_same_job_and_another_job_under_it_is_refused(self):
        first = self.submit(BOX, 0, **{"Idempotency-Key": "k1"}).json()
        again = self.submit(BOX, 0, **{"Idempotency-Key": "k1"}).json()
        self.assertEqual((again["job"], again["known"]), (first["job"], True))
        other = {"kind": "box", "params": {**BOX["params"], "x_mm": 81}}
        self.refused(self.http.ask("POST", "/v1/jobs", other, {"Idempotency-Key": "k1"}), 409, "E_DUP")
        elsewhere = self.submit(BOX, 0, **{"Idempotency-Key": "k1", "Tallymill-Client": "two"}).json()
        self.assertNotEqual(elsewhere["job"], first["job"])

    def test_a_waiting_job_is_cancelled_once_and_runs_again_as_a_new_one(self):
        job = self.submit({**BOX, "delay_s": 600}, 0).json()["job"]
        cancelled = self.http.ask("DELETE", f"/v1/jobs/{job}")
        self.assertEqual((cancelled.status, cancelled.json()["state"]), (200, "cancelled"))
        self.refused(self.http.ask("DELETE", f"/v1/jobs/{job}"), 409, "E_STATE")
        again = self.http.ask("POST", f"/v1/jobs/{job}/retry")
        self.assertEqual(again.status, 202, again.body)
        self.assertEqual(self.http.ask("GET", again.headers["Location"]).json()["parent"], job)

    def test_a_job_that_is_tried_again_belongs_to_who_asked(self):
        job = self.submit({**BOX, "delay_s": 600}, 0).json()["job"]
        self.http.ask("DELETE", f"/v1/jobs/{job}")
        again = self.http.ask("POST", f"/v1/jobs/{job}/retry",
                              headers={"Tallymill-Client": "night shift", "Prefer": "wait=20"})
        self.assertEqual(again.status, 200, again.body)
        told = again.json()
        self.assertEqual((told["client"], told["parent"], told["state"]), ("night shift", job, "done"))

    def test_a_job_that_failed_has_no_result_and_the_request_was_not_wrong(self):
        self.refused(self.http.ask("GET", "/v1/jobs/123456789/result"), 404, "E_NOT_FOUND")
        crashed = self.submit({"kind": "synthetic", "params": {"outcome": "fail"}}, 0).json()["job"]
        self.refused(self.http.ask("GET", f"/v1/jobs/{crashed}/result"), 409, "E_STATE")
        cancelled = self.submit({**BOX, "delay_s": 600}, 0).json()["job"]
        self.http.ask("DELETE", f"/v1/jobs/{cancelled}")
        for path in ("result", "result/0"):
            answer = self.http.ask("GET", f"/v1/jobs/{cancelled}/{path}")
            self.refused(answer, 409, "E_STATE")
            self.assertIn("cancelled", answer.json()["detail"])

    def test_what_a_digest_names_is_kept_for_ever_and_what_a_job_names_is_asked_about(self):
        job = self.submit(BOX, 20).json()["job"]
        file = self.http.ask("GET", f"/v1/jobs/{job}/result").json()["files"][0]
        self.assertEqual(self.http.ask("GET", file["href"]).headers["Cache-Control"], "private, no-cache")
        digest = self.http.ask("PUT", "/v1/blobs", body=PHOTO,
                               headers={"Content-Type": "image/jpeg"}).json()["digest"]
        self.assertIn("immutable", self.http.ask("GET", f"/v1/blobs/{digest}").headers["Cache-Control"])

    def test_a_form_says_what_is_wrong_before_it_holds_it(self):
        for fields, files, said in (({"kind": "box", "colour": "red"}, [], "/colour"),
                                    ({"kind": "thumbs", "file": "photo.jpg"}, [], "/file")):
            kind, body = form(fields, files)
            self.refused(self.http.ask("POST", "/v1/jobs", body=body, headers={"Content-Type": kind}), 422,
                         "E_PARAMS", said)
        kind, body = form({"kind": "box", "params": json.dumps(BOX["params"])},
                          [("file", "", "application/octet-stream", b"")])  # as of a browser, none chosen
        self.assertEqual(self.http.ask("POST", "/v1/jobs", body=body, headers={"Content-Type": kind}).status, 202)

    def test_what_is_wrong_with_a_job_is_said_with_its_place(self):
        post = lambda job: self.http.ask("POST", "/v1/jobs", job)
        self.refused(post({"kind": "nothing"}), 404, "E_NO_ROUTE", "/kind")
        self.refused(post({"kind": "box", "params": {"x_mm": -1}}), 422, "E_PARAMS")
        self.refused(post({**BOX, "priority": 11}), 422, "E_PARAMS", "/priority")
        self.refused(post({**BOX, "colour": 1}), 422, "E_PARAMS", "/colour")
        self.refused(post({**BOX, "deadline_s": -1}), 422, "E_PARAMS", "/deadline_s")
        self.refused(post([]), 422, "E_PARAMS")
        self.refused(post({**BOX, "inputs": [{"digest": "x"}]}), 422, "E_PARAMS", "/inputs/0/digest")
        self.refused(self.http.ask("POST", "/v1/jobs", body="{", headers={
            "Content-Type": "application/json"}), 422, "E_PARAMS")
        self.refused(self.http.ask("POST", "/v1/jobs", body="kind=box", headers={
            "Content-Type": "application/x-www-form-urlencoded"}), 415, "E_FRAME")
        self.refused(self.http.ask("GET", "/v1/jobs/123456789"), 404, "E_NOT_FOUND")
        self.refused(self.http.ask("GET", "/v1/jobs/x"), 404, "E_NOT_FOUND")
        self.refused(self.http.ask("GET", "/v1/blobs/" + "0" * 64), 404, "E_NOT_FOUND")

    def test_what_is_seen_of_the_front_agrees_with_the_bus(self):
        for path, member in (("workers", "workers"), ("topology", "stages"), ("kinds", "kinds"),
                             ("jobs", "jobs"), ("snapshot", "jobs")):
            self.assertTrue(self.http.ask("GET", f"/v1/{path}").json()[member], path)
        self.assertTrue(self.http.ask("GET", "/v1/snapshot").json()["balanced"])
        self.assertEqual(self.http.ask("GET", "/healthz").json()["state"], "ok")
        self.assertEqual(self.http.ask("GET", "/readyz").json()["state"], "ok")
        self.assertIn(b"tallymill_http_requests_total", self.http.ask("GET", "/metrics").body)

    def test_events_come_as_they_happen_and_are_resumed_without_a_gap_or_a_double(self):
        with Events(self.port, "/v1/events?client=feed") as events:
            stream = iter(events)
            start, what, hello = next(stream)
            self.assertEqual((what, start), ("hello", f"{hello['ledger']}:{hello['seq']}"))
            given = [self.submit(BOX, 0, **{"Tallymill-Client": "feed"}).json()["job"] for _ in range(5)]
            self.submit(BOX, 20, **{"Tallymill-Client": "another"})
            ends = []
            for last, what, value in stream:
                self.assertEqual(value["client"], "feed")
                if what == "done":
                    ends.append((last, value["job"]))
                if len(ends) == len(given):
                    break
        self.assertEqual(sorted(job for _, job in ends), given)
        for cut in (0, 2):
            last = start if cut == 0 else ends[cut - 1][0]
            with Events(self.port, "/v1/events?client=feed", last) as events:
                again = []
                for one, what, value in events:
                    if what == "done":
                        again.append((one, value["job"]))
                    if len(again) == len(ends) - cut:
                        break
            self.assertEqual(again, ends[cut:])

    def test_who_resumes_from_another_ledger_is_told_of_the_gap(self):
        with Events(self.port, last="another:7") as events:
            told = iter(events)
            self.assertEqual(next(told)[1], "hello")
            _, what, value = next(told)
            self.assertEqual((what, value["from"], value["to"]), ("gap", 0, 7))
        self.refused(self.http.ask("GET", "/v1/events", headers={"Last-Event-ID": "nonsense"}), 422,
                     "E_PARAMS", "/since")

    def test_lists_go_page_by_page(self):
        for _ in range(3):
            self.submit(BOX, 20, **{"Tallymill-Client": "lists"})
        seen, cursor = [], ""
        while True:
            page = self.http.ask("GET", f"/v1/jobs?client=lists&limit=2&cursor={cursor}").json()
            seen += [job["job"] for job in page["jobs"]]
            cursor = page.get("cursor", "")
            if not cursor:
                break
        self.assertEqual(seen, sorted(seen, reverse=True))
        self.assertEqual(len(seen), 3)
        self.refused(self.http.ask("GET", "/v1/jobs?sort=colour"), 422, "E_PARAMS", "/sort")
        self.refused(self.http.ask("GET", "/v1/jobs?colour=red"), 422, "E_PARAMS", "/colour")
        self.refused(self.http.ask("GET", "/v1/jobs?limit=0"), 422, "E_PARAMS", "/limit")
        self.refused(self.http.ask("GET", "/v1/jobs?limit=1&limit=2"), 422, "E_PARAMS", "/limit")

    def test_a_page_of_another_origin_and_a_rebound_name_are_refused(self):
        evil = {"Origin": "http://evil.example"}
        self.refused(self.http.ask("POST", "/v1/jobs", BOX, evil), 403, "E_DENIED")
        self.refused(self.http.ask("GET", "/v1/jobs", headers={"Host": "evil.example"}), 421, "E_DENIED")


class ThroughACollector(OverHttp):
    """All of it once more, by way of a collector that forwards to the front."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="tallymill-"))
        collector = cls.enterClassContext(CollectorProcess(PROGRAMS, folder, cls.mill.http_port))
        cls.port = collector.port
        cls.http = Http(cls.port, document=cls.http.document)

    def test_what_is_seen_of_the_front_agrees_with_the_bus(self):
        self.assertTrue(self.http.ask("GET", "/v1/snapshot").json()["balanced"])
        self.assertIn(b"tallymill_collector_forwarded_total", self.http.raw("GET", "/metrics").body)


class Leaving(unittest.TestCase):
    def test_who_waits_over_http_hears_the_end_of_what_runs_when_the_front_is_told_to_stop(self):
        mill = self.enterContext(Mill(PROGRAMS))
        bus = Client(mill.endpoint, "leaving")
        until(lambda: bus.hello(0.5), 30, "the front answers")
        mill.ready(bus)
        http = Http(mill.http_port)
        events = self.enterContext(Events(mill.http_port))
        stream = iter(events)
        next(stream)
        job = http.ask("POST", "/v1/jobs", {"kind": "synthetic", "params": {
            "service_us": 1_500_000, "mode": "sleep"}}).json()["job"]
        waiting = subprocess.Popen([pathlib.Path(PROGRAMS) / "tallymill", "wait", str(job), "--server",
                                    f"http://127.0.0.1:{mill.http_port}"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(waiting.stdout.close)
        until(lambda: http.ask("GET", f"/v1/jobs/{job}").json()["state"] == "in_flight", 20, "it runs")
        until(lambda: b"tallymill_wire_sockets 1" in http.raw("GET", "/metrics").body, 20, "somebody waits")
        mill.up.send_signal(signal.SIGTERM)
        self.assertIn((job, "done"), [(value["job"], what) for _, what, value in stream])
        self.assertEqual(waiting.wait(20), 0)
        self.assertEqual(mill.up.wait(20), 0)


class Full(unittest.TestCase):
    def test_a_disk_below_the_floor_is_told_apart_from_a_front_that_is_down(self):
        mill = Mill(PROGRAMS)
        text = mill.config.read_text()
        mill.config.write_text(text.replace("disk_floor_bytes: 1048576", "disk_floor_bytes: 900000000000000"))
        self.enterContext(mill)
        bus = Client(mill.endpoint, "full")
        until(lambda: bus.hello(0.5), 30, "the front answers")
        mill.ready(bus)
        ready = Http(mill.http_port).ask("GET", "/readyz")
        self.assertEqual((ready.status, ready.json()["state"]), (200, "degraded"))
        self.assertEqual(ready.json()["checks"]["disk"]["state"], "degraded")


if __name__ == "__main__":
    unittest.main()
