#!/usr/bin/env python3
"""cairn snapshot: each member saves its state at once, and drops the log before it."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from servers import NODES, Servers, wait_until  # noqa: E402 (found through the path above)

CAIRN = RUNFILES / "service/cli/cairn"
MESSAGES = 3000
# By themselves the members would take none in this test.
FLAGS = ["--snapshot_bytes=1099511627776", "--retained_log_bytes=65536",
         "--snapshot_bytes_per_second=4194304"]


class TakeSnapshotTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Servers(pathlib.Path(directory.name), flags=FLAGS)
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()
        self.servers.leader()

    def cairn(self, *words, code=0, stdin=None):
        command = [str(CAIRN), *words, "--timeout=60s", "--endpoints",
                   ",".join(self.servers.addresses.values())]
        done = subprocess.run(command, capture_output=True, timeout=120, input=stdin)
        self.assertEqual(code, done.returncode, done.stderr)
        return done

    def rows(self, done):
        return {row["address"]: row for row in map(json.loads, done.stdout.splitlines())}

    def load(self):
        self.cairn("stream", "create", "kept")
        lines = b"".join(b"%d %s\n" % (i, b"x" * 500) for i in range(MESSAGES))
        self.cairn("append", "kept", "--file=-", "--lines", stdin=lines)
        return lines

    def group(self, node):
        return self.servers.status(node).groups[0]

    def test_every_member_saves_and_drops(self):
        lines = self.load()
        for node in NODES:
            self.assertEqual(1, self.group(node).first_index)
        before = {node: wait_until("all is applied", lambda node=node: (
            self.group(node).lag == 0 and self.group(node).last_index)) for node in NODES}
        rows = self.rows(self.cairn("snapshot", "-o", "json"))
        self.assertEqual(set(self.servers.addresses.values()), set(rows))
        for node in NODES:
            row = rows[self.servers.addresses[node]]
            self.assertEqual(node, row["node"])
            self.assertEqual("done", row["outcome"])
            self.assertGreaterEqual(row["index"], before[node])
            self.assertEqual(self.group(node).incarnation, row["incarnation"])
            wait_until("the log is short", lambda node=node: self.group(node).first_index > 1)
        self.assertEqual(["follower", "follower", "leader"],
                         sorted(row["role"] for row in rows.values()))
        # What was dropped is with the streams, also after everybody was killed.
        self.servers.kill_all()
        self.servers.start_all()
        self.servers.leader()
        self.assertEqual(lines, self.cairn("read", "kept", "--raw").stdout)

    def test_a_member_that_is_away_is_told(self):
        self.load()
        away = next(node for node in NODES if node != self.servers.leader())
        self.servers.kill(away)
        rows = self.rows(self.cairn("snapshot", "-o", "json", code=11))
        self.assertEqual("failed", rows[self.servers.addresses[away]]["outcome"])
        self.assertEqual(2, sum(row["outcome"] == "done" for row in rows.values()))


if __name__ == "__main__":
    unittest.main()
