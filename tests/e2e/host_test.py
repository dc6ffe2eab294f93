"""What the collector says of the host and of itself is what /proc and Debian's node exporter say, and is documented.

Goal: CPU, memory, disks, network, file system and pressure within 1 %. Method: the collector's /metrics between two
readings of the node exporter, which reads the same counters: a counter that rises lies between them.

usage: host_test.py PROGRAMS
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request

from mill import free_ports, until

PROGRAMS = pathlib.Path(sys.argv.pop(1)).absolute()
DOCS = pathlib.Path(__file__).parents[2] / "docs" / "metrics.md"
OURS = ("tallymill_host_", "tallymill_cgroup_", "tallymill_process_", "tallymill_collector_leak_")


def samples(url):
    """{(name, frozenset of labels): value}; empty while nobody answers."""
    try:
        text = urllib.request.urlopen(url + "/metrics", timeout=10).read().decode()
    except OSError:
        return {}
    found = {}
    for line in text.splitlines():
        if parts := re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line):
            labels = frozenset(re.findall(r'(\w+)="([^"]*)"', parts[2] or ""))
            found[parts[1], labels] = float(parts[3])
    return found


def total(values, name, **labels):
    """Of all samples of this name with these labels, summed; None: there is none."""
    wanted = set(labels.items())
    found = [value for (n, of), value in values.items() if n == name and wanted <= of]
    return sum(found) if found else None


class Host(unittest.TestCase):
    def setUp(self):
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory(prefix="tallymill-")))
        self.data = folder / "data"
        port, node = free_ports(2)
        self.ours, self.node = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{node}"
        self.log = self.enterContext(open(folder / "log", "wb"))
        self.run_beside(PROGRAMS / "tallymill", "collector", "--data", self.data, "--http", f"127.0.0.1:{port}")
        # It answers before it is ready, when it has not looked at the host yet.
        until(lambda: total(samples(self.ours), "tallymill_host_cpus"), 30, "the collector tells of the host")
        self.node_port = node

    def run_beside(self, *command):
        process = subprocess.Popen([str(word) for word in command], stderr=self.log, stdout=self.log)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

    def test_the_page_lists_what_is_told(self):
        rows = dict(re.findall(r"^\| `(tallymill_\w+)` \| \w+ \|([^|]*)\|", DOCS.read_text(), re.MULTILINE))
        told = [(name, labels) for name, labels in samples(self.ours) if name.startswith(OURS)]
        self.assertGreater(len({name for name, _ in told}), 30)
        for name, labels in told:
            self.assertEqual({key for key, _ in labels}, set(re.findall(r"`(\w+)`", rows[name])), name)

    def test_what_the_node_exporter_says_within_1_percent(self):
        if not shutil.which("prometheus-node-exporter"):
            self.skipTest("SKIPPED: prometheus-node-exporter comes with ./dev setup test")
        self.run_beside("prometheus-node-exporter", "--collector.disable-defaults", "--collector.cpu",
                        "--collector.meminfo", "--collector.diskstats", "--collector.netdev", "--collector.filesystem",
                        "--collector.loadavg", "--collector.pressure",
                        f"--web.listen-address=127.0.0.1:{self.node_port}")
        before = until(lambda: samples(self.node), 30, "the node exporter answers")
        time.sleep(2.5)  # two of the collector's looks: it looks once a second
        ours = samples(self.ours)
        behind = samples(self.node)
        compared = 0

        def compare(mine, theirs, **labels):
            nonlocal compared
            low, high = sorted((total(before, *theirs[:1], **theirs[1]), total(behind, *theirs[:1], **theirs[1])))
            value = total(ours, mine, **labels)
            self.assertIsNotNone(value, (mine, labels))
            # What is free goes up and down, and is compared with all there is.
            whole = total(ours, "tallymill_host_memory_total_bytes") if "_memory_" in mine else abs(high)
            slack = 0.01 * whole
            self.assertTrue(low - slack <= value <= high + slack, (mine, labels, low, value, high))
            compared += 1

        for mode in ("user", "nice", "system", "idle", "irq", "softirq", "steal"):
            compare("tallymill_host_cpu_seconds_total", ("node_cpu_seconds_total", {"mode": mode}), mode=mode)
        for mine, theirs in (("memory_total", "MemTotal"), ("memory_free", "MemFree"), ("memory_cached", "Cached"),
                             ("memory_available", "MemAvailable"), ("swap_total", "SwapTotal")):
            compare(f"tallymill_host_{mine}_bytes", (f"node_memory_{theirs}_bytes", {}))
        for labels in [dict(of) for name, of in ours if name == "tallymill_host_disk_busy_seconds_total"]:
            device = {"device": labels["device"]}
            if total(before, "node_disk_read_bytes_total", **device) is None:
                continue
            compare("tallymill_host_disk_bytes_total", ("node_disk_read_bytes_total", device), **device, direction="read")
            compare("tallymill_host_disk_bytes_total", ("node_disk_written_bytes_total", device), **device,
                    direction="write")
            compare("tallymill_host_disk_operations_total", ("node_disk_reads_completed_total", device), **device,
                    direction="read")
        for device in ("lo", "eth0"):
            if total(before, "node_network_receive_bytes_total", device=device) is None:
                continue
            device = {"device": device}
            compare("tallymill_host_network_bytes_total", ("node_network_receive_bytes_total", device), **device,
                    direction="in")
            compare("tallymill_host_network_packets_total", ("node_network_transmit_packets_total", device), **device,
                    direction="out")
        if total(before, "node_pressure_cpu_waiting_seconds_total") is not None:
            compare("tallymill_host_pressure_seconds_total", ("node_pressure_cpu_waiting_seconds_total", {}),
                    resource="cpu", who="some")
        self.file_system(ours, behind)
        self.assertGreaterEqual(compared, 15)
        print(f"compared {compared} figures")

    def file_system(self, ours, theirs):
        mount = self.data.resolve()
        while not mount.is_mount():
            mount = mount.parent
        size = total(theirs, "node_filesystem_size_bytes", mountpoint=str(mount))
        if size is not None:
            self.assertEqual(total(ours, "tallymill_host_filesystem_size_bytes"), size)


if __name__ == "__main__":
    unittest.main(verbosity=2)
