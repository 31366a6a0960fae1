#!/usr/bin/env python3
"""Bits rot in sealed blocks, or in the tables of RocksDB, of members that run, and nobody reads
them: the scrub finds it, the other members give the entries, and `cairn log verify` finds nothing
afterwards."""

import json
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
MESSAGES = 1500
FLAGS = ["--scrub_bytes_per_second=4194304", "--scrub_period=1s"]


class Store:
    """What is the same of each log store. Each one's `files(node)` are those where something may
    rot."""

    flags = []
    rotten = {}  # by node: numbers of messages

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.bad_files = []
        self.servers = Servers(pathlib.Path(directory.name), flags=FLAGS + self.flags)
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()
        self.servers.leader()
        self.cairn("stream", "create", "kept")
        for first in range(0, MESSAGES, 50):
            lines = "".join(f"{self.message(i)}\n" for i in range(first, first + 50))
            self.cairn("append", "kept", "--lines", stdin=lines.encode())

    @staticmethod
    def message(number):
        return f"message number {number:05} of the scrub test, {'long ' * 20}"

    def cairn(self, *words, stdin=None):
        command = [str(CAIRN), *words, "--timeout=60s", "--endpoints",
                   ",".join(self.servers.addresses.values())]
        done = subprocess.run(command, input=stdin, capture_output=True, timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def rot(self, node, number):
        """Flips a bit of the message on the disk of a member that runs."""
        for path in self.files(node):
            at = path.read_bytes().find(self.message(number).encode())
            if at >= 0:
                with path.open("r+b") as file:
                    file.seek(at + 3)
                    byte = file.read(1)[0]
                    file.seek(at + 3)
                    file.write(bytes([byte ^ 0x10]))
                self.bad_files.append(path)
                return
        self.fail(f"message {number} stands in no such file of node {node}")

    def row(self, node):
        rows = map(json.loads, self.cairn("status", "-o", "json").splitlines())
        return next(row for row in rows if row["node"] == node)

    def scrub(self, node):
        return self.row(node)["scrub"]

    def verify(self, node):
        done = subprocess.run([str(CAIRN), "log", "verify", str(self.servers.data(node))],
                              capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout + done.stderr

    def look_at_files(self):
        """After all was found and repaired, and two rounds more."""

    def heals_by_itself(self):
        # Nothing of it is in memory any more, and nobody reads it: who starts applies its log.
        self.servers.kill_all()
        self.servers.start_all()
        self.cairn("wait", "--healthy", "--max_lag=0")
        for node, numbers in self.rotten.items():
            for number in numbers:
                self.rot(node, number)
        for node in self.rotten:
            def healed(node=node, least=1):
                scrub = self.scrub(node)
                return (scrub["entries_damaged"] >= least and
                        scrub["entries_damaged"] == scrub["entries_repaired"])
            wait_until(f"node {node} has found and repaired it", healed, tell=self.servers.report)
            self.assertIn("are repaired", self.servers.log(node))
            self.assertGreaterEqual(self.row(node)["damaged"], 1)
            self.assertEqual(0, self.row(node)["damaged_open"])
        rounds = {node: self.scrub(node)["rounds"] for node in NODES}
        wait_until("two whole rounds more",
                   lambda: all(self.scrub(node)["rounds"] >= rounds[node] + 2 for node in NODES),
                   tell=self.servers.report)
        for node in NODES:
            scrub = self.scrub(node)
            self.assertEqual(scrub["entries_damaged"], scrub["entries_repaired"])
            self.assertNotEqual("", scrub["last_round_ended"])
            self.assertGreater(scrub["bytes"], 65536)
            self.assertEqual(cluster_pb2.MEMBER_STATE_SERVING,
                             self.servers.status(node).groups[0].state)
        self.look_at_files()
        before = {node: self.scrub(node) for node in NODES}
        self.servers.kill_all()
        for node in NODES:
            code, text = self.verify(node)
            self.assertEqual(0, code, text)
        # What it has counted is kept over a start.
        self.servers.start_all()
        self.servers.leader()
        for node in NODES:
            self.assertGreaterEqual(self.scrub(node)["rounds"], before[node]["rounds"] - 1)
            self.assertGreaterEqual(self.scrub(node)["entries_damaged"], 1)
        wanted = "".join(f"{self.message(i)}\n" for i in range(MESSAGES)).encode()
        self.assertEqual(wanted, self.cairn("read", "kept", "--raw"))


class ScrubTest(Store, unittest.TestCase):
    flags = ["--block_bytes=65536"]
    rotten = {1: [3, 4, 200], 2: [77], 3: [500, 900]}

    def files(self, node):
        return sorted((self.servers.data(node) / "log").glob("*.block"))[:-2]

    def test_heals_by_itself(self):
        self.heals_by_itself()


class RocksDbScrubTest(Store, unittest.TestCase):
    """One bad byte of a table makes all entries of a block of it bad, and the table one that cannot
    be merged: it is replaced."""

    flags = ["--log_store=rocksdb"]
    rotten = {1: [3, 700], 2: [1400], 3: [350]}

    def files(self, node):
        def tables():
            return list((self.servers.data(node) / "log" / "db").glob("*.sst"))
        # A start writes a table and may merge it into another one: what rots in the old one
        # meanwhile is nobody's any more.
        wait_until(f"node {node} has one table", lambda: len(tables()) == 1,
                   tell=self.servers.report)
        return tables()

    def look_at_files(self):
        for path in self.bad_files:
            self.assertFalse(path.exists(), path)
        for node in self.rotten:
            self.assertIn(".sst: a block is bad", self.servers.log(node))

    def test_heals_by_itself(self):
        self.heals_by_itself()


if __name__ == "__main__":
    unittest.main(verbosity=2)
