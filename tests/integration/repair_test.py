#!/usr/bin/env python3
"""Bits rot in the logs of a running cluster's members, and files of them are lost: they get the
entries back from each other, and nobody does anything."""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from servers import NODES, Servers, wait_until  # noqa: E402 (found through the path above)
from cairn.v1 import cluster_pb2  # noqa: E402

CAIRN = RUNFILES / "service/cli/cairn"
MESSAGES = 300


class Kept(unittest.TestCase):
    """Three servers that keep messages, which all have to be there in the end."""

    FLAGS = ()

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Servers(pathlib.Path(directory.name), flags=self.FLAGS)
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()
        self.cairn("stream", "create", "kept")
        lines = "".join(f"{self.message(i)}\n" for i in range(MESSAGES))
        # Many entries, not one.
        for first in range(0, MESSAGES, 10):
            self.cairn("append", "kept", "--lines",
                       stdin="".join(lines.splitlines(True)[first:first + 10]).encode())

    @staticmethod
    def message(number):
        return f"message number {number:05} of the repair test"

    def cairn(self, *words, node=None, stdin=None):
        endpoints = self.servers.addresses.values() if node is None else [
            self.servers.addresses[node]]
        command = [CAIRN, *words, "--timeout=60s", "--endpoints", ",".join(endpoints)]
        done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True,
                              timeout=120)
        self.assertEqual(0, done.returncode, done.stderr)
        return done.stdout

    def verify(self, node):
        """The exit code of `cairn log verify`, of a member that is down: 10 for faulty entries."""
        done = subprocess.run([str(CAIRN), "log", "verify", str(self.servers.data(node))],
                              capture_output=True, text=True, timeout=120)
        self.assertIn(done.returncode, (0, 10), done.stderr)
        return done.returncode

    def wait_whole(self):
        def whole():
            states = [self.servers.status(node).groups[0].state for node in NODES]
            return states == [cluster_pb2.MEMBER_STATE_SERVING] * len(NODES)
        wait_until("all serve, and nothing is to be repaired", whole, tell=self.servers.report)

    def expect_all(self):
        wanted = "".join(f"{self.message(i)}\n" for i in range(MESSAGES)).encode()
        for node in NODES:
            self.assertEqual(wanted, self.cairn("read", "kept", "--raw", node=node))


class RepairTest(Kept):
    def rot(self, node, numbers):
        """Flips a bit of each of these messages in the log of a member that is down."""
        for number in numbers:
            wanted = self.message(number).encode()
            found = 0
            for block in sorted((self.servers.data(node) / "log").glob("*.block")):
                content = bytearray(block.read_bytes())
                at = content.find(wanted)
                if at < 0:
                    continue
                content[at + 3] ^= 0x10
                block.write_bytes(content)
                found += 1
            self.assertEqual(1, found, f"message {number} of node {node}")

    def test_one_member(self):
        node = next(node for node in NODES if node != self.servers.leader())
        self.servers.kill(node)
        self.rot(node, [5, 6, 7, 150, MESSAGES - 1])
        self.assertEqual(10, self.verify(node))
        self.servers.start(node)
        self.servers.wait_ready(node)
        wait_until("it has said that it repaired something",
                   lambda: "are repaired" in self.servers.log(node),
                   tell=self.servers.report)
        self.wait_whole()
        self.expect_all()
        self.servers.kill(node)
        self.assertEqual(0, self.verify(node))

    def test_each_member_elsewhere(self):
        self.servers.kill_all()
        for node in NODES:
            self.rot(node, [10 * node, 100 + 10 * node, 200 + 10 * node])
        self.servers.start_all()
        self.servers.leader()
        self.wait_whole()
        self.expect_all()
        for node in NODES:
            self.servers.kill(node)
            self.assertEqual(0, self.verify(node))


class LostFileTest(Kept):
    """Whole files of the log are gone, or cut short: the node never ends with 75."""

    FLAGS = ("--block_bytes=65536",)

    def lose(self, node, place):
        """Takes away, or cuts short, a file of the log of a member that is down; its name."""
        done = subprocess.run([str(CAIRN), "log", "verify", str(self.servers.data(node))],
                              capture_output=True, text=True, timeout=120, check=True)
        # Of the others nothing is in use any more, or yet.
        in_use = sorted(set(re.findall(r"^ok .*/(\d+\.block) ", done.stdout, re.MULTILINE)))
        self.assertGreater(len(in_use), 2)
        block = self.servers.data(node) / "log" / in_use[place]
        if place == 0:
            os.truncate(block, block.stat().st_size // 2)
        else:
            block.unlink()
        return block.name

    def expect_healed(self, node, name):
        done = subprocess.run([str(CAIRN), "log", "verify", str(self.servers.data(node))],
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(10, done.returncode, done.stderr)
        self.assertIn(name, done.stdout)
        self.servers.start(node)
        self.servers.wait_ready(node)
        self.wait_whole()
        self.expect_all()
        self.assertTrue(self.servers.running(node))
        self.servers.kill(node)
        self.assertEqual(0, self.verify(node))
        self.servers.start(node)
        self.servers.wait_ready(node)

    def test_one_member(self):
        for place in (0, 1, -1):
            node = next(node for node in NODES if node != self.servers.leader())
            self.servers.kill(node)
            self.expect_healed(node, self.lose(node, place))


if __name__ == "__main__":
    unittest.main(verbosity=2)
