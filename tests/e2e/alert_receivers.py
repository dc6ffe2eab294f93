"""Who alerts are told to, for tests: a webhook that keeps all by key and answers as it is told, and what plays an Alertmanager."""

import http.server
import json
import threading
import time


class Receiver:
    """Keeps what it is POSTed. `mode`: ok, down (503), slow (answers after a second, or when it is let go)."""

    def __init__(self, port=0):
        self.mode, self.lock, self.requests = "ok", threading.Lock(), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                mode = outer.mode
                if mode != "down":
                    with outer.lock:
                        outer.requests.append((time.time(), body))
                if mode == "slow":
                    time.sleep(1)
                try:
                    self.send_response(503 if mode == "down" else 200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                except OSError:
                    pass  # it was killed

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # who asks was killed

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def all(self):
        with self.lock:
            return list(self.requests)

    def events(self):
        """{an alert's labels: [(status, key, when it came first)]}: each key once, in the order in which they came."""
        found, seen = {}, {}
        for when, body in self.all():
            for alert in body["alerts"]:
                key, labels = alert["idempotencyKey"], tuple(sorted(alert["labels"].items()))
                if key in seen:
                    assert seen[key] == (alert["status"], labels), f"{key} is of two events"
                    continue
                seen[key] = (alert["status"], labels)
                found.setdefault(labels, []).append((alert["status"], key, when))
        return found

    def firing(self):
        return {labels for labels, events in self.events().items() if events[-1][0] == "firing"}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
