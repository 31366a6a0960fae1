"""Clusters of local processes that benchmarks load: what bench/cluster and bench/compare share.

They write below CAIRN_BENCH_DIRECTORY, or, without it, beside the results: on a disk, since a
file system in memory has syncs that cost nothing.
"""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from delayed_link import DelayedLink

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = ROOT / "bazel-bin"
CAIRN = BIN / "service/cli/cairn"
CAIRND = BIN / "service/cairnd"
BYTES = 256


def environment_number(name, default):
    return int(os.environ.get(name, default))


def work_directory(output):
    """Where clusters keep their data, for results written to `output`."""
    directory = os.environ.get("CAIRN_BENCH_DIRECTORY") or pathlib.Path(output).resolve().parent
    kind = subprocess.run(["stat", "-f", "-c", "%T", str(directory)], check=True,
                          capture_output=True, text=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        raise SystemExit(f"{directory} is in memory, where a sync costs nothing: "
                         "set CAIRN_BENCH_DIRECTORY")
    return directory


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def cpu_seconds(pid):
    """Processor time of all threads of a process, to the nanosecond."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_bytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has no resident memory")


def wait_until(condition, what, patience=30):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"gave up waiting: {what}")
        time.sleep(0.05)


def run_json(command, timeout=None):
    """The last line a command prints, which is JSON."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"{words}: exit {done.returncode}: {done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])


class Cluster:
    """Processes in a directory of their own; they end with the `with` block."""

    def __init__(self, parent):
        self.parent = parent
        self.processes = {}  # by name
        self.commands = {}

    def __enter__(self):
        # So that who stops a benchmark leaves no servers behind.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="cluster-", dir=self.parent))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.send_signal(signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def spawn(self, name, command):
        """Starts a process, or starts it again; what it prints goes to a file of its name."""
        self.commands[name] = [str(word) for word in command]
        with open(self.directory / f"{name}.log", "w") as log:
            self.processes[name] = subprocess.Popen(self.commands[name], stdout=log, stderr=log)

    def kill(self, name):
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait()

    def cpu(self):
        return sum(cpu_seconds(process.pid) for process in self.processes.values())

    def settle(self, patience=20):
        """Waits until the processes have done what they do on their own after a start or a load
        (files prepared ahead, elections, compactions), so that it is nobody's part of the next."""
        deadline = time.monotonic() + patience
        used = self.cpu()
        while time.monotonic() < deadline:
            time.sleep(0.5)
            before, used = used, self.cpu()
            if used - before < 0.05:
                return


class Cairn(Cluster):
    name = "cairn"

    def __init__(self, parent, *flags, delay=None):
        """With a `delay`, what is sent to node 3 goes over a link, and what it answers on the same
        connection: so many seconds each way, which may be 0."""
        super().__init__(parent)
        self.flags = flags
        self.delay = delay
        self.link = None

    def start(self):
        ports = free_ports(3)
        listens = list(ports)
        if self.delay is not None:
            listens[2] = free_ports(1)[0]
            self.link = DelayedLink(("127.0.0.1", ports[2]), ("127.0.0.1", listens[2]), self.delay)
        members = ",".join(f"{i}=127.0.0.1:{port}" for i, port in enumerate(ports, 1))
        for i, (port, listen) in enumerate(zip(ports, listens), 1):
            self.spawn(f"node{i}", [
                CAIRND, f"--node_id={i}", f"--data_dir={self.directory}/node{i}",
                f"--listen=127.0.0.1:{listen}", f"--advertise=127.0.0.1:{port}",
                f"--initial_cluster={members}",
                *self.flags])
        self.endpoints = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.wait_healthy()

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        if self.link is not None:
            self.link.close()

    def cli(self, *words, timeout=120):
        return run_json([CAIRN, *words, "-o", "json", "--endpoints", self.endpoints], timeout)

    def wait_healthy(self):
        subprocess.run([CAIRN, "wait", "--healthy", "--timeout=60s", "--endpoints",
                        self.endpoints], check=True, capture_output=True)

    def is_ready(self, name):
        return "\nready node=" in "\n" + (self.directory / f"{name}.log").read_text()

    def append(self, seconds, inflight, batch=1, unary=False, size=BYTES):
        command = ["bench", "append", "--inflight", inflight, "--batch", batch, "--bytes", size,
                   f"--seconds={seconds}s"]
        return self.cli(*command, *(["--unary"] if unary else []), timeout=seconds + 120)

    def read(self, seconds, inflight, unary=False):
        command = ["bench", "read", "--inflight", inflight, f"--seconds={seconds}s"]
        return self.cli(*command, *(["--unary"] if unary else []), timeout=seconds + 120)

    def status(self):
        """What each node says of itself, by its name."""
        status = subprocess.run([CAIRN, "status", "-o", "json", "--endpoints", self.endpoints],
                                capture_output=True, text=True, timeout=60)
        rows = [json.loads(line) for line in status.stdout.splitlines()]
        return {f"node{row['node']}": row for row in rows}

    def leader(self):
        """The name of the process that leads."""
        status = self.status()
        for name, row in status.items():
            if row["role"] == "leader":
                return name
        raise RuntimeError(f"nobody leads: {status}")
