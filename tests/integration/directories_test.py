#!/usr/bin/env python3
"""Data directories that are copied, put back and moved: what their nodes and the others do."""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from members import Members  # noqa: E402 (found through the path above)
from servers import free_ports, wait_until  # noqa: E402


class DirectoriesTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(directory.cleanup)
        self.servers = Members(directory.name, [1, 2, 3])
        self.addCleanup(self.servers.kill_all)
        self.servers.start_ready(1, 2, 3)
        self.leader = self.servers.leader()
        self.follower = next(node for node in (1, 2, 3) if node != self.leader)
        self.cairn("stream", "create", "kept")

    def cairn(self, *words):
        code, rows, error = self.servers.cairn(*words)
        self.assertEqual(0, code, error)
        return rows

    def has_applied(self, node):
        """All that the leader knows to be committed."""
        committed = self.servers.status(self.leader).groups[0].commit_index
        return self.servers.status(node).groups[0].applied_index >= committed

    def copy(self, node, name):
        to = self.servers.directory / name
        shutil.copytree(self.servers.data(node), to)
        return to

    # Fault catalogue D17.
    def test_one_that_is_put_back_is_noticed(self):
        servers, node = self.servers, self.follower
        wait_until("it has it", lambda: self.has_applied(node))
        servers.kill(node)
        older = self.copy(node, "older")
        servers.start_ready(node)
        for number in range(20):
            self.cairn("append", "kept", f"message {number}")
        wait_until("it has it", lambda: self.has_applied(node))
        servers.kill(node)
        self.assertEqual(self.leader, servers.leader())
        shutil.rmtree(servers.data(node))
        older.rename(servers.data(node))
        servers.start(node)
        self.assertEqual(78, servers.end(node))
        self.assertIn("MEMBER_AMNESIA", servers.log(node))
        self.cairn("append", "kept", "the others go on")

    # Nobody dials another address than the group's log has, so the copy hears of nothing.
    def test_a_copy_beside_the_original_disturbs_nobody(self):
        servers, node = self.servers, self.follower
        servers.kill(node)
        self.copy(node, "node9")  # the data directory of a "node 9"
        servers.start_ready(node)
        term = servers.status(self.leader).groups[0].term
        servers.addresses[9] = f"127.0.0.1:{free_ports(1)[0]}"
        plain = servers.command

        def command(number):
            words = plain(number)
            if number != 9:
                return words
            return [f"--node_id={node}" if word.startswith("--node_id") else word
                    for word in words if not word.startswith(("--join", "--initial_cluster"))]

        servers.command = command
        servers.start(9)
        wait_until("the copy answers", lambda: servers.status(9))
        for number in range(20):
            self.cairn("append", "kept", f"message {number}")
        wait_until("the original has it", lambda: self.has_applied(node))
        copy = servers.status(9).groups[0]
        self.assertFalse(copy.serving_leader)
        self.assertLess(copy.commit_index, servers.status(node).groups[0].commit_index)
        # It has stood in vain for some time, and the term is the same.
        wait_until("it has lost its leader",
                   lambda: servers.status(9).groups[0].leader == 0)
        status = servers.status(self.leader).groups[0]
        self.assertEqual((self.leader, term), (status.leader, status.term))
        # Nor does its vote count: of three members two are gone, whatever it says.
        servers.kill(node)
        last = next(other for other in (1, 2, 3) if other not in (node, self.leader))
        servers.kill(self.leader)
        wait_until("the last one has lost its leader",
                   lambda: servers.status(last).groups[0].leader == 0)
        code, _, _ = servers.cairn("append", "kept", "in vain", "--timeout=3s")
        self.assertNotEqual(0, code)
        self.assertEqual(0, servers.status(last).groups[0].leader)

    def test_a_member_moves(self):
        servers, node = self.servers, self.follower
        self.cairn("append", "kept", "before")
        servers.kill(node)
        servers.addresses[node] = f"127.0.0.1:{free_ports(1)[0]}"
        self.cairn("member", "add", f"{node}={servers.addresses[node]}")
        plain = servers.command
        servers.command = lambda number: [
            word for word in plain(number)
            if number != node or not word.startswith(("--join", "--initial_cluster"))]
        servers.start_ready(node)
        self.cairn("append", "kept", "after")
        wait_until("it has it", lambda: self.has_applied(node))
        self.assertEqual(servers.addresses[node], servers.status(node).address)


if __name__ == "__main__":
    unittest.main()
