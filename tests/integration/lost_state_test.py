#!/usr/bin/env python3
"""The streams of a member are lost at a start, its log goes on from them, and the list of members
was in there: one that joined is not in the list it began with, and one that was alone at first
knows nobody else. The others have all, so it comes back without a hand."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from members import CAIRN, Members  # noqa: E402 (found through the path above)
from servers import PATIENCE, wait_until  # noqa: E402
from cairn.v1 import cluster_pb2  # noqa: E402

DATA_LOSS = 75


class LostStateTest(unittest.TestCase):
    def cluster(self, joiners=()):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(directory.cleanup)
        servers = Members(directory.name, [1], joiners)
        servers.flags = ["--retained_log_entries=1"]
        self.addCleanup(servers.kill_all)
        servers.start_ready(1)
        servers.leader()
        self.assertEqual(0, servers.cairn("stream", "create", "kept")[0])
        for joiner in joiners:
            servers.start_ready(joiner)
        servers.wait_for([1, *joiners])
        for number in range(20):
            code, _, error = servers.cairn("append", "kept", f"message {number}")
            self.assertEqual(0, code, error)
        for node in servers.processes:
            self.assertEqual(0, self.at(servers, node, "snapshot").returncode)
            wait_until(f"the log of node {node} has lost its front",
                       lambda node=node: self.group(servers, node).first_index > 10,
                       tell=servers.report)
        return servers

    def at(self, servers, node, *words):
        return subprocess.run([CAIRN, f"--endpoints={servers.addresses[node]}", "--timeout=30s",
                               *words], capture_output=True, text=True, timeout=2 * PATIENCE)

    def group(self, servers, node):
        status = servers.status(node)  # None of a process that has ended
        return status.groups[0] if status else cluster_pb2.GetStatusResponse().groups.add()

    def lose_state(self, servers, node):
        servers.kill(node)
        machine = servers.data(node) / "groups/1/machine"
        for name in ("CHECKPOINT", "CHECKPOINT.copy"):
            content = bytearray((machine / name).read_bytes())
            content[60] ^= 1
            (machine / name).write_bytes(content)

    def wait_back(self, servers, node):
        wait_until(f"node {node} serves",
                   lambda: self.group(servers, node).state == cluster_pb2.MEMBER_STATE_SERVING,
                   tell=servers.report)
        self.assertIn("is lost", servers.log(node))
        read = self.at(servers, node, "read", "kept", "--raw", "--consistency=stale")
        self.assertEqual([f"message {number}" for number in range(20)], read.stdout.splitlines(),
                         read.stderr)

    def test_the_first_member_and_one_that_joined_are_fed_by_the_others(self):
        servers = self.cluster([2, 3])
        for node in (1, 2):
            self.lose_state(servers, node)
            servers.start(node)
            self.wait_back(servers, node)

    def test_the_first_of_two_without_which_the_other_cannot_lead(self):
        servers = self.cluster([2])
        self.lose_state(servers, 1)
        servers.kill(2)
        servers.start(1)
        wait_until("node 1 says that it knows nobody",
                   lambda: "the list of members" in self.group(servers, 1).reason,
                   tell=servers.report)
        self.assertEqual(cluster_pb2.MEMBER_STATE_REPAIRING, self.group(servers, 1).state)
        servers.start(2)
        self.wait_back(servers, 1)

    def test_who_is_alone_says_so_and_ends(self):
        servers = self.cluster()
        self.lose_state(servers, 1)
        servers.start(1)
        self.assertEqual(DATA_LOSS, servers.end(1))
        self.assertIn("no other member has been heard of", servers.log(1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
