#!/usr/bin/env python3
"""A sender may run far ahead of its receiver on every connection, from the first byte on.

With a window that one frame fills, what opens it again may wait for the next heartbeat.
"""

import pathlib
import socket
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

import raw_http2  # noqa: E402 (found through the path above)
from raw_http2 import RawCall  # noqa: E402
from servers import PATIENCE, Servers  # noqa: E402

WINDOW = 1 << 20


def settings_of_who_dials(listener):
    """The first SETTINGS of a connection to `listener`."""
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(PATIENCE)
        with connection.makefile("rb") as stream:
            if stream.read(len(raw_http2.PREFACE)) != raw_http2.PREFACE:
                raise AssertionError("it does not speak HTTP/2")
            head = stream.read(9)
            if head[3] != raw_http2.SETTINGS:
                raise AssertionError(f"it begins with a frame of kind {head[3]}")
            return raw_http2.settings(stream.read(int.from_bytes(head[:3], "big")))


class Http2WindowTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Servers(pathlib.Path(directory.name))
        self.addCleanup(self.servers.kill_all)

    def test_of_what_others_send(self):
        self.servers.start_all()
        for method in ("/cairn.v1.Peer/Exchange", "/cairn.v1.Streams/AppendStream"):
            with RawCall(self.servers.addresses[1], method) as call:
                self.assertTrue(call.wait_for_window(WINDOW), (method, call.windows))

    def test_of_what_a_peer_answers(self):
        host, port = self.servers.addresses[2].split(":")
        with socket.create_server((host, int(port))) as listener:
            listener.settimeout(PATIENCE)
            self.servers.start(1)
            said = settings_of_who_dials(listener)
        self.assertGreaterEqual(said.get(raw_http2.INITIAL_WINDOW_SIZE, 0), WINDOW)


if __name__ == "__main__":
    unittest.main()
