#!/usr/bin/env python3
"""Fault catalogue N5: over a link of 1 Mbit/s to a member that lacks much, bulk starves nothing."""

import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

# Found through the path above.
from servers import NODES, Servers, free_ports, wait_until  # noqa: E402
from slow_link import SlowLink  # noqa: E402

CAIRN = RUNFILES / "service/cli/cairn"
MBIT = 1_000_000 // 8
FAR = 3
WATCHED_SECONDS = 12
ELECTION_TIMEOUT_MS = 500


class SlowLinkTest(unittest.TestCase):
    def start(self, flags):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Servers(pathlib.Path(directory.name), ELECTION_TIMEOUT_MS, 50, flags)
        self.addCleanup(self.servers.kill_all)
        host, port = self.servers.addresses[FAR].split(":")
        behind = free_ports(1)[0]
        self.servers.behind[FAR] = f"127.0.0.1:{behind}"
        self.link = SlowLink((host, int(port)), ("127.0.0.1", behind))
        self.addCleanup(self.link.close)
        self.servers.start_all()
        self.servers.leader()

    def cairn(self, *words):
        """Of the two that are near."""
        near = ",".join(self.servers.addresses[node] for node in NODES if node != FAR)
        done = subprocess.run([str(CAIRN), *words, "--timeout=60s", "--endpoints", near],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def load(self, seconds):
        out = self.cairn("bench", "append", "--stream", "kept", "--inflight", "16", "--batch", "16",
                         "--bytes", "1024", f"--seconds={seconds}s", "-o", "json")
        self.assertEqual(0, json.loads(out.splitlines()[-1])["errors"])

    def group(self, node):
        return self.servers.status(node).groups[0]

    def leave_behind(self, enough):
        """Ends the far member, and writes until `enough`. Gives the leader of the others."""
        self.servers.kill(FAR)
        leader = self.servers.leader()
        while not enough(self.group(leader)):
            self.load(1)
        return leader

    def watch(self, leader):
        """The far member comes back over the slow link, which is full from then on. It must hear of
        its leader as often as if it were not: it is never without one."""
        term = self.group(leader).term
        self.link.bytes_per_second = MBIT
        self.servers.start(FAR)
        self.servers.wait_ready(FAR)
        wait_until("it has heard of its leader", lambda: self.group(FAR).leader == leader,
                   tell=self.servers.report)
        begin, carried = time.monotonic(), self.link.carried
        while (passed := time.monotonic() - begin) < WATCHED_SECONDS:
            group = self.group(FAR)
            self.assertEqual((term, leader), (group.term, group.leader),
                             f"after {passed:.2f} s\n{self.servers.report()}")
            self.cairn("append", "kept", "meanwhile")
        # Bulk it was.
        self.assertGreater(self.link.carried - carried, 0.5 * MBIT * passed)
        self.assertLess(self.group(FAR).commit_index, self.group(leader).commit_index)
        self.link.bytes_per_second = None
        wait_until("it has what the others have",
                   lambda: self.group(FAR).applied_index >= self.group(leader).commit_index,
                   patience=120, tell=self.servers.report)
        self.assertEqual(term, self.group(leader).term)

    def test_a_snapshot(self):
        self.start(["--snapshot_bytes=1048576", "--retained_log_bytes=65536",
                    "--retained_log_entries=100"])
        had = self.group(FAR).last_index
        self.watch(self.leave_behind(lambda group: group.first_index > had + 1))
        self.assertGreater(self.group(FAR).first_index, had + 1)

    def test_entries(self):
        self.start(["--snapshot_bytes=1073741824", "--retained_log_bytes=1073741824"])
        had = self.group(FAR).last_index
        self.watch(self.leave_behind(lambda group: group.last_index > had + 400))
        self.assertEqual(1, self.group(FAR).first_index)


if __name__ == "__main__":
    unittest.main()
