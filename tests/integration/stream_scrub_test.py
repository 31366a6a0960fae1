#!/usr/bin/env python3
"""A bit rots in a file of the streams of a member that runs, and nobody reads it: the scrub finds
it, the member says that it repairs, gets what it lacks from another one, and serves it all. And
where nothing of its streams is of use at a start."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from servers import NODES, Servers, wait_until  # noqa: E402 (found through the path above)
from cairn.v1 import cluster_pb2  # noqa: E402

CAIRN = RUNFILES / "service/cli/cairn"
MESSAGES = 600


class StreamsCase(unittest.TestCase):
    FLAGS = []

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Servers(pathlib.Path(directory.name), flags=self.FLAGS)
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()
        self.servers.leader()
        self.cairn("stream", "create", "kept")
        for first in range(0, MESSAGES, 50):
            lines = "".join(f"{self.message(i)}\n" for i in range(first, first + 50))
            self.cairn("append", "kept", "--lines", stdin=lines.encode())
        # What was just appended is in memory, and a start makes it from the log.
        self.cairn("snapshot")
        self.servers.kill_all()
        self.servers.start_all()
        self.cairn("wait", "--healthy", "--max_lag=0")

    @staticmethod
    def message(number):
        return f"message number {number:05} of the scrub test, {'long ' * 20}"

    def run_cairn(self, *words, stdin=None, endpoints=None, timeout="60s"):
        command = [str(CAIRN), *words, f"--timeout={timeout}", "--endpoints",
                   ",".join(endpoints or self.servers.addresses.values())]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=120)

    def cairn(self, *words, **how):
        done = self.run_cairn(*words, **how)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def block(self, node):
        (path,) = (self.servers.data(node) / "groups/1/machine").glob("*.block")
        return path

    def rot(self, node, number):
        """Flips a bit of the message in the file of a member that runs; gives what it was."""
        path = self.block(node)
        before = path.read_bytes()
        at = before.find(self.message(number).encode())
        self.assertGreaterEqual(at, 0, f"message {number} stands not in {path}")
        with path.open("r+b") as file:
            file.seek(at + 3)
            file.write(bytes([before[at + 3] ^ 0x10]))
        return before

    def group(self, node):
        return self.servers.status(node).groups[0]

    def read(self, node):
        return self.cairn("read", "kept", "--raw", "--consistency=stale",
                          endpoints=[self.servers.addresses[node]])


class StreamScrubTest(StreamsCase):
    FLAGS = ["--scrub_bytes_per_second=4194304", "--scrub_period=1s"]

    def heals(self, node, number):
        before = self.rot(node, number)
        wait_until(f"node {node} has found and repaired it",
                   lambda: self.group(node).counters.state_parts_repaired >= 1,
                   tell=self.servers.report)
        self.assertEqual(before, self.block(node).read_bytes())
        self.assertEqual(self.group(node).counters.state_parts_damaged,
                         self.group(node).counters.state_parts_repaired)
        self.assertIn("parts of the state cannot be read", self.servers.log(node))
        self.assertIn("parts of the state are repaired", self.servers.log(node))
        wait_until(f"node {node} serves",
                   lambda: self.group(node).state == cluster_pb2.MEMBER_STATE_SERVING,
                   tell=self.servers.report)
        wanted = "".join(f"{self.message(i)}\n" for i in range(MESSAGES)).encode()
        self.assertEqual(wanted, self.read(node))

    def test_each_member_is_healed_by_another(self):
        # One of them leads.
        for number, node in enumerate(NODES):
            self.heals(node, 100 + number)

    def test_it_says_that_it_repairs_until_another_member_can_give_it(self):
        node = next(iter(NODES))
        others = [other for other in NODES if other != node]
        for other in others:
            self.servers.kill(other)
        self.rot(node, 50)
        wait_until(f"node {node} repairs",
                   lambda: self.group(node).state == cluster_pb2.MEMBER_STATE_REPAIRING,
                   tell=self.servers.report)
        self.assertIn("parts of the state cannot be read here", self.group(node).reason)
        for other in others:
            self.servers.start(other)
        wait_until(f"node {node} serves",
                   lambda: self.group(node).state == cluster_pb2.MEMBER_STATE_SERVING,
                   tell=self.servers.report)
        wanted = "".join(f"{self.message(i)}\n" for i in range(MESSAGES)).encode()
        self.assertEqual(wanted, self.read(node))


class LostStreamsTest(StreamsCase):
    """Both checkpoints of a member are bad at its start, and its log begins behind the first entry:
    it says that its state is lost, answers no read, and gets it all from another one."""

    FLAGS = ["--retained_log_entries=1"]

    def test_it_is_back_without_a_hand(self):
        for node in NODES:
            self.cairn("snapshot", endpoints=[self.servers.addresses[node]])
            wait_until(f"the log of node {node} has lost its front",
                       lambda node=node: self.group(node).first_index > 1,
                       tell=self.servers.report)
        self.servers.kill_all()
        node = next(iter(NODES))
        machine = self.servers.data(node) / "groups/1/machine"
        for name in ("CHECKPOINT", "CHECKPOINT.copy"):
            content = bytearray((machine / name).read_bytes())
            content[60] ^= 1
            (machine / name).write_bytes(content)
        self.servers.start(node)
        wait_until(f"node {node} says that its state is lost",
                   lambda: self.group(node).state == cluster_pb2.MEMBER_STATE_REPAIRING,
                   tell=self.servers.report)
        self.assertIn("is lost here", self.group(node).reason)
        self.assertIn("*.lost", self.servers.log(node))
        refused = self.run_cairn("read", "kept", "--raw", "--consistency=stale", timeout="2s",
                                 endpoints=[self.servers.addresses[node]])
        self.assertNotEqual(0, refused.returncode)
        self.assertNotIn(b"there is no stream", refused.stderr)
        for other in NODES:
            if other != node:
                self.servers.start(other)
        wait_until(f"node {node} serves",
                   lambda: self.group(node).state == cluster_pb2.MEMBER_STATE_SERVING,
                   tell=self.servers.report)
        self.cairn("wait", "--healthy", "--max_lag=0")
        wanted = "".join(f"{self.message(i)}\n" for i in range(MESSAGES)).encode()
        self.assertEqual(wanted, self.read(node))
        kept = sorted(path.name for path in machine.glob("*.lost"))
        self.assertIn("CHECKPOINT.lost", kept)
        self.assertTrue(any(name.endswith(".block.lost") for name in kept), kept)


if __name__ == "__main__":
    unittest.main(verbosity=2)
