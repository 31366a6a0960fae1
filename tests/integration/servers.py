"""Three cairnd processes on loopback, for tests in Python. Nodes are ended by pid."""

import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import time

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration/stubs"))

import grpc  # noqa: E402 (Debian's)
from cairn.v1 import cluster_pb2, cluster_pb2_grpc  # noqa: E402 (found through the path above)

CAIRND = RUNFILES / "service/cairnd"
NODES = (1, 2, 3)
PATIENCE = 60  # seconds any condition may take on a busy machine


def free_ports(count):
    """Ports nobody listens on, all different."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(what, condition, patience=PATIENCE, tell=lambda: ""):
    """The first true value of `condition`, which is asked again and again. If there is none in
    time, the error ends with what `tell` gives."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience} s: {what}\n{tell()}")
        select.select([], [], [], 0.02)


class Servers:
    """The processes, their addresses, directories and logs."""

    def __init__(self, directory, election_timeout_ms=500, heartbeat_interval_ms=50, flags=()):
        self.directory = pathlib.Path(directory)
        ports = free_ports(len(NODES))
        self.addresses = {node: f"127.0.0.1:{port}" for node, port in zip(NODES, ports)}
        self.behind = {}  # where a node listens that stands behind a link of a test's
        self.timing = [f"--election_timeout_ms={election_timeout_ms}",
                       f"--heartbeat_interval_ms={heartbeat_interval_ms}"]
        self.flags = list(flags)
        self.processes = {}

    def data(self, node):
        return self.directory / f"node{node}"

    def log(self, node):
        return (self.directory / f"log{node}").read_text(errors="replace")

    def members(self):
        return ",".join(f"{node}={address}" for node, address in self.addresses.items())

    def listen(self, node):
        return self.behind.get(node, self.addresses[node])

    def command(self, node):
        """What starts `node`."""
        return [str(CAIRND), f"--node_id={node}", f"--data_dir={self.data(node)}",
                f"--listen={self.listen(node)}", f"--advertise={self.addresses[node]}",
                f"--initial_cluster={self.members()}",
                "--insecure", *self.timing, *self.flags]

    def start(self, node):
        with open(self.directory / f"log{node}", "ab") as log:
            self.processes[node] = subprocess.Popen(self.command(node), stdout=subprocess.PIPE,
                                                    stderr=log, text=True)

    def wait_ready(self, node):
        stdout = self.processes[node].stdout
        readable, _, _ = select.select([stdout], [], [], PATIENCE)
        line = stdout.readline() if readable else "nothing"
        if not re.match(rf"ready node={node} listen=\S+ cluster=\S+$", line):
            raise AssertionError(f"node {node} says {line!r}; its log:\n{self.log(node)}")

    def start_all(self):
        for node in NODES:
            self.start(node)
        for node in NODES:
            self.wait_ready(node)

    def running(self, node):
        return self.processes[node].poll() is None

    def pause(self, node):
        """Returns when the last of its threads has stopped."""
        pid = self.processes[node].pid
        os.kill(pid, signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{pid}/task")
        wait_until("all threads are stopped", lambda: all(
            (task / "stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
            for task in tasks.iterdir()))

    def resume(self, node):
        os.kill(self.processes[node].pid, signal.SIGCONT)

    def kill(self, node):
        process = self.processes.pop(node)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

    def kill_all(self):
        for node in list(self.processes):
            self.kill(node)

    def status(self, node):
        """The node's GetStatusResponse; None while it does not answer."""
        with grpc.insecure_channel(self.listen(node)) as channel:
            try:
                return cluster_pb2_grpc.ClusterStub(channel).GetStatus(
                    cluster_pb2.GetStatusRequest(), timeout=5, wait_for_ready=True)
            except grpc.RpcError:
                return None

    def report(self):
        """What each node says of itself, and has logged."""
        return "\n".join(f"node {node}: {self.status(node)}\n{self.log(node)}"
                         for node in self.processes)

    def leader(self):
        """The node that serves as leader; waits until there is one."""

        def serving():
            for node in self.processes:
                status = self.status(node)
                if status and any(group.serving_leader for group in status.groups):
                    return node
            return None

        return wait_until("somebody leads", serving)
