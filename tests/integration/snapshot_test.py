#!/usr/bin/env python3
"""A member that was away for longer than the logs reach comes back by a snapshot of the streams."""

import hashlib
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
LOAD_SECONDS = 1
MOST_LOADS = 30


class SnapshotTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Servers(pathlib.Path(directory.name))
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()

    def cairn(self, *words, endpoints=None):
        command = [CAIRN, *words, "--timeout=120s", "--endpoints",
                   endpoints or ",".join(self.servers.addresses.values())]
        done = subprocess.run([str(word) for word in command], capture_output=True, timeout=180)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def load(self):
        """Messages of a KiB, 16 an entry."""
        out = self.cairn("bench", "append", "--stream", "kept", "--inflight", "64", "--batch", "16",
                         "--bytes", "1024", f"--seconds={LOAD_SECONDS}s", "-o", "json")
        self.assertEqual(0, json.loads(out.splitlines()[-1])["errors"])

    def group(self, node):
        return self.servers.status(node).groups[0]

    def messages(self, node):
        """What a linearizable read at the member gives, as a hash; a checksum of a long text."""
        raw = self.cairn("read", "kept", "--raw", endpoints=self.servers.addresses[node])
        return len(raw), hashlib.sha256(raw).hexdigest()

    def test_a_member_far_behind_comes_back(self):
        self.load()
        leader = self.servers.leader()
        away = next(node for node in NODES if node != leader)
        had = self.group(away).last_index
        self.servers.kill(away)
        for _ in range(MOST_LOADS):
            self.load()
            if self.group(self.servers.leader()).first_index > had + 1:
                break
        else:
            self.fail("no log was cut off at its front")
        self.servers.start(away)
        self.servers.wait_ready(away)
        wait_until("the member has what the others have",
                   lambda: self.group(away).commit_index >=
                   self.group(self.servers.leader()).commit_index, patience=120,
                   tell=self.servers.report)
        self.assertGreater(self.group(away).first_index, had + 1)
        kept = {self.messages(node) for node in NODES}
        self.assertEqual(1, len(kept), kept)

        # And from what they have, without the front of their logs.
        self.servers.kill_all()
        self.servers.start_all()
        self.servers.leader()
        self.assertEqual(kept, {self.messages(node) for node in NODES})


if __name__ == "__main__":
    unittest.main()
