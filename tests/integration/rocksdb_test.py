#!/usr/bin/env python3
"""A cluster that keeps its logs in RocksDB: what was acknowledged is there after all of it was
killed, and the directory is no other log store's."""

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
MESSAGES = 200


class RocksDbTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Servers(pathlib.Path(directory.name), flags=["--log_store=rocksdb"])
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()
        self.cairn("stream", "create", "kept")

    def cairn(self, *words, node=None, stdin=None):
        endpoints = self.servers.addresses.values() if node is None else [
            self.servers.addresses[node]]
        command = [CAIRN, *words, "--timeout=60s", "--endpoints", ",".join(endpoints)]
        done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True,
                              timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def append(self, first):
        lines = "".join(f"message {first + i}\n" for i in range(MESSAGES))
        self.cairn("append", "kept", "--lines", stdin=lines.encode())

    def expect(self, node, count):
        wanted = "".join(f"message {i}\n" for i in range(count)).encode()
        self.assertEqual(wanted, self.cairn("read", "kept", "--raw", node=node))

    def test_what_was_acknowledged_survives_the_end_of_all(self):
        self.servers.leader()
        for round_ in range(3):
            self.append(round_ * MESSAGES)
            self.servers.kill_all()
            self.servers.start_all()
            self.servers.leader()
            for node in NODES:
                self.assertTrue((self.servers.data(node) / "log" / "db" / "CURRENT").exists())
                self.expect(node, (round_ + 1) * MESSAGES)
        self.assertEqual({"rocksdb"}, {self.servers.status(node).log_store for node in NODES})

    def test_a_member_that_was_away_catches_up(self):
        away = next(node for node in NODES if node != self.servers.leader())
        self.append(0)
        self.servers.kill(away)
        self.append(MESSAGES)
        self.servers.start(away)
        self.servers.wait_ready(away)
        last = self.servers.status(self.servers.leader()).groups[0].commit_index
        wait_until("it has caught up",
                   lambda: self.servers.status(away).groups[0].applied_index >= last)
        self.expect(away, 2 * MESSAGES)

    def rot(self, path):
        """Turns over a bit of each 100th byte."""
        content = bytearray(path.read_bytes())
        for at in range(20, len(content), 100):
            content[at] ^= 0x10
        path.write_bytes(content)

    def comes_back(self, node, damage):
        """Ends `node`, whose log then suffers `damage`, and sees it serve again by itself."""
        self.servers.kill(node)
        damage(self.servers.data(node) / "log")
        self.servers.start(node)
        self.servers.wait_ready(node)

        def serves():
            self.assertTrue(self.servers.running(node), self.servers.log(node))
            status = self.servers.status(node)
            return status and status.groups[0].state == cluster_pb2.MEMBER_STATE_SERVING
        wait_until(f"node {node} serves", serves, tell=self.servers.report)

    def test_a_member_whose_log_has_rotted_serves_again_by_itself(self):
        def manifest(log):
            self.rot(*(log / "db").glob("MANIFEST-*"))

        def newest_write_ahead_log(log):
            self.rot(max((log / "db").glob("*.log")))

        def current(log):
            (log / "db" / "CURRENT").unlink()

        def database(log):
            for path in (log / "db").iterdir():
                if path.is_file():
                    path.unlink()

        def ledger(log):
            for path in log.glob("acks.*"):
                path.unlink()

        self.append(0)
        count = MESSAGES
        for damage in (manifest, newest_write_ahead_log, current, database, ledger):
            for node in {self.servers.leader(), NODES[0]}:
                with self.subTest(damage=damage.__name__, node=node):
                    self.comes_back(node, damage)
                    self.append(count)
                    count += MESSAGES
                    for each in NODES:
                        self.expect(each, count)


if __name__ == "__main__":
    unittest.main(verbosity=2)
