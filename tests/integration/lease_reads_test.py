#!/usr/bin/env python3
"""Reads by lease: a leader that was paused does not answer them by promises that ran out."""

import os
import pathlib
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from servers import NODES, PATIENCE, Servers, wait_until  # noqa: E402 (through the path above)
import grpc  # noqa: E402 (Debian's)
from cairn.v1 import streams_pb2, streams_pb2_grpc  # noqa: E402


class LeaseReadsTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(directory.cleanup)
        self.servers = Servers(directory.name, flags=["--lease_reads"])
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()

    def stub(self, node, service):
        channel = grpc.insecure_channel(self.servers.addresses[node])
        self.addCleanup(channel.close)
        return getattr(streams_pb2_grpc, f"{service}Stub")(channel)

    def append(self, node, payload):
        self.stub(node, "Log").Append(streams_pb2.AppendRequest(
            stream="kept", messages=[streams_pb2.NewMessage(payload=payload)]), timeout=PATIENCE)

    def read(self, node):
        """The payloads there are, by lease; an error is none."""
        try:
            answer = self.stub(node, "Log").Read(streams_pb2.ReadRequest(
                stream="kept", from_sequence=1,
                consistency=streams_pb2.CONSISTENCY_LEASE), timeout=PATIENCE)
        except grpc.RpcError:
            return None
        return [message.payload for message in answer.messages]

    def test_a_pause_ends_the_promises(self):
        leader = self.servers.leader()
        self.stub(leader, "Streams").Create(streams_pb2.CreateStreamRequest(
            definition=streams_pb2.StreamDefinition(name="kept")), timeout=PATIENCE)
        expected = []
        for turn in range(3):
            leader = self.servers.leader()
            payload = b"before %d" % turn
            self.append(leader, payload)
            expected.append(payload)
            self.assertEqual(expected, self.read(leader))
            self.servers.pause(leader)
            others = [node for node in NODES if node != leader]

            def other_leads():
                return next((node for node in others
                             if any(group.serving_leader for group in
                                    self.servers.status(node).groups)), None)

            payload = b"meanwhile %d" % turn
            self.append(wait_until("another one leads", other_leads), payload)
            expected.append(payload)
            self.servers.resume(leader)
            # The very first answer it gives has to be a fresh one.
            self.assertEqual(expected, wait_until("it answers", lambda: self.read(leader)))


if __name__ == "__main__":
    unittest.main()
