#!/usr/bin/env python3
"""cairn log convert on the directories of real nodes: a member moves from one log store to the
other and back, and stays the member it was."""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from servers import Servers, wait_until  # noqa: E402 (found through the path above)

CAIRN = RUNFILES / "service/cli/cairn"
MESSAGES = 1500
FLAGS = ["--snapshot_bytes=1099511627776", "--retained_log_bytes=65536"]


def contents(directory):
    """A digest of every file below but for locks."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != "LOCK":
            digest.update(str(path.relative_to(directory)).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class LogConvertTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Servers(pathlib.Path(directory.name), flags=FLAGS)
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()
        self.servers.leader()
        self.lines = b""

    def cairn(self, *words, code=0, stdin=None, nodes=None):
        nodes = self.servers.processes if nodes is None else nodes
        command = [str(CAIRN), *map(str, words), "--timeout=60s", "--endpoints",
                   ",".join(self.servers.addresses[node] for node in nodes)]
        done = subprocess.run(command, capture_output=True, timeout=120, input=stdin)
        self.assertEqual(code, done.returncode, done.stderr)
        return done

    def append(self):
        lines = b"".join(b"%d %s\n" % (len(self.lines) + i, b"x" * 400) for i in range(MESSAGES))
        self.cairn("append", "kept", "--file=-", "--lines", stdin=lines)
        self.lines += lines

    def group(self, node):
        return self.servers.status(node).groups[0]

    def expect_all_at(self, node):
        last = self.group(self.servers.leader()).commit_index
        wait_until("it has caught up", lambda: self.group(node).applied_index >= last,
                   tell=self.servers.report)
        read = self.cairn("read", "kept", "--raw", "--consistency=stale", nodes=[node])
        self.assertEqual(self.lines, read.stdout)

    def convert(self, node, store, *flags):
        """The node, which does not run, has its directory converted. Gives the summary."""
        old = self.servers.data(node)
        new = self.servers.directory / f"converted{node}"
        before = contents(old)
        done = self.cairn("log", "convert", old, new, f"--to={store}", "-o", "json", *flags)
        self.assertIn(b"Never start it on", done.stderr)
        self.assertEqual(before, contents(old))
        self.assertEqual(0, self.cairn("log", "verify", new).returncode)
        self.assertEqual((new / "log" / "db").exists(), store == "rocksdb")
        old.rename(self.servers.directory / f"node{node}-before-{store}")
        new.rename(self.servers.data(node))
        (row,) = map(json.loads, done.stdout.splitlines())
        self.assertEqual(store, row["to"])
        return row

    def start(self, node, store):
        self.servers.flags = [*FLAGS, f"--log_store={store}"]
        self.servers.start(node)
        self.servers.wait_ready(node)
        self.servers.flags = FLAGS

    def test_a_member_moves_to_rocksdb_and_back(self):
        self.cairn("stream", "create", "kept")
        self.append()
        self.cairn("snapshot")  # so that the logs do not begin at 1
        moved = next(node for node in self.servers.processes if node != self.servers.leader())
        wait_until("the log is short", lambda: self.group(moved).first_index > 1)
        self.append()
        incarnation = self.group(moved).incarnation
        term = self.group(moved).term

        refused = self.cairn("log", "convert", self.servers.data(moved),
                             self.servers.directory / "no", "--to=rocksdb", code=73)
        sized = self.cairn("log", "convert", self.servers.data(moved),
                           self.servers.directory / "no", "--to=rocksdb",
                           "--block_bytes=1048576", code=1)
        self.assertIn(b"--block_bytes", sized.stderr)
        self.assertIn(str(self.servers.processes[moved].pid).encode(), refused.stderr)
        self.assertFalse((self.servers.directory / "no").exists())

        self.servers.kill(moved)
        self.append()
        row = self.convert(moved, "rocksdb")
        self.assertGreater(row["first_index"], 1)
        self.assertEqual(row["entries"], row["last_index"] - row["first_index"] + 1)
        self.assertGreaterEqual(row["term"], term)
        self.assertGreater(row["known_commit"], row["first_index"])
        self.start(moved, "rocksdb")
        self.expect_all_at(moved)
        self.assertEqual("rocksdb", self.servers.status(moved).log_store)
        self.assertEqual(incarnation, self.group(moved).incarnation)

        # It is needed for a majority now, and it votes.
        gone = self.servers.leader()
        self.servers.kill(gone)
        self.servers.leader()
        self.append()
        self.expect_all_at(moved)

        self.servers.kill(moved)
        self.servers.start(gone)
        self.servers.wait_ready(gone)
        self.append()
        self.convert(moved, "block", "--block_bytes=1048576")
        self.start(moved, "block")
        self.expect_all_at(moved)
        self.assertEqual("block", self.servers.status(moved).log_store)
        self.assertEqual(incarnation, self.group(moved).incarnation)
        self.assertEqual(self.lines, self.cairn("read", "kept", "--raw").stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
