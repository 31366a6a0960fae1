#!/usr/bin/env python3
"""A stock gRPC client, given nothing but what `cairn service-config` prints, follows the leader of
three real servers through SIGKILLs: reads never fail, appends in a session are applied once.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from servers import PATIENCE, Servers  # noqa: E402 (found through the path above)
import grpc  # noqa: E402 (Debian's)
from cairn.v1 import streams_pb2, streams_pb2_grpc  # noqa: E402 (servers.py knows the path)

CAIRN = RUNFILES / "service/cli/cairn"
KILLS = 4
APPENDS_PER_STEP = 60
CALL_SECONDS = 30


class Reader(threading.Thread):
    """Reads on and on until told to stop; keeps what went wrong."""

    def __init__(self, channel, stream, acknowledged):
        super().__init__(daemon=True)
        self.log = streams_pb2_grpc.LogStub(channel)
        self.streams = streams_pb2_grpc.StreamsStub(channel)
        self.stream = stream
        self.acknowledged = acknowledged  # tells the last sequence acknowledged so far
        self.done = threading.Event()
        self.problems = []
        self.calls = 0

    def run(self):
        while not self.done.is_set():
            self._once("Log.Read", self._read)
            self._once("Streams.Get", self._get)

    def stop(self):
        self.done.set()
        self.join()

    def _once(self, name, last_sequence):
        known = self.acknowledged()
        self.calls += 1
        try:
            seen = last_sequence(known)
        except grpc.RpcError as error:
            self.problems.append(f"{name}: {error.code()}: {error.details()}")
            return
        if seen < known:
            self.problems.append(f"{name}: saw {seen} after {known} was acknowledged")

    def _read(self, known):
        request = streams_pb2.ReadRequest(stream=self.stream, from_sequence=max(known, 1),
                                          max_messages=10)
        return self.log.Read(request, timeout=CALL_SECONDS).last_sequence

    def _get(self, _):
        request = streams_pb2.GetStreamRequest(name=self.stream)
        response = self.streams.Get(request, timeout=CALL_SECONDS)
        return response.stream.state.last_sequence


class Writer(threading.Thread):
    """Appends numbered messages inside a session, each until it is acknowledged."""

    def __init__(self, channel, stream):
        super().__init__(daemon=True)
        self.done = threading.Event()
        self.failure = None
        self.log = streams_pb2_grpc.LogStub(channel)
        self.stream = stream
        sessions = streams_pb2_grpc.SessionsStub(channel)
        request = streams_pb2.OpenSessionRequest(client_name="stock")
        self.session = sessions.Open(request, timeout=CALL_SECONDS).session_id
        self.number = 0
        self.last_sequence = 0
        self.sequences = {}  # number -> sequence
        self.repeated = 0  # calls that had to be made again

    def run(self):
        try:
            while not self.done.is_set():
                self.append(1)
        except AssertionError as error:
            self.failure = error

    def stop(self):
        self.done.set()
        self.join()

    def wait_for(self, more):
        """Until so many more messages are acknowledged."""
        goal = len(self.sequences) + more
        deadline = time.monotonic() + PATIENCE
        while len(self.sequences) < goal:
            if self.failure or time.monotonic() > deadline:
                raise AssertionError(f"appends stand still: {self.failure}")
            self.done.wait(0.01)

    def append(self, count):
        for _ in range(count):
            self.number += 1
            response = self._until_acknowledged(self.number)
            self.sequences[self.number] = response.first_sequence
            self.last_sequence = response.last_sequence

    def _until_acknowledged(self, number):
        request = streams_pb2.AppendRequest(
            stream=self.stream, messages=[streams_pb2.NewMessage(payload=b"%d" % number)],
            session_id=self.session, session_number=number)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                # Refused rather than forwarded by a server that does not lead.
                return self.log.Append(request, timeout=CALL_SECONDS,
                                       metadata=[("cairn-no-forward", "true")])
            except grpc.RpcError as error:
                if time.monotonic() > deadline:
                    raise AssertionError(f"message {number}: {error.details()}") from error
                self.repeated += 1
                self.done.wait(0.01)


class StockClientTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(directory.cleanup)
        self.servers = Servers(directory.name)
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()
        printed = subprocess.run([CAIRN, "service-config"], check=True, capture_output=True,
                                 text=True)
        target = "ipv4:" + ",".join(address for address in self.servers.addresses.values())
        self.channel = grpc.insecure_channel(
            target, options=[("grpc.service_config", printed.stdout.strip())])
        self.addCleanup(self.channel.close)
        self.stream = "stock"
        streams_pb2_grpc.StreamsStub(self.channel).Create(
            streams_pb2.CreateStreamRequest(
                definition=streams_pb2.StreamDefinition(name=self.stream)),
            timeout=CALL_SECONDS)

    def payloads(self):
        """All messages of the stream: sequence and number, in order."""
        request = streams_pb2.ReadRequest(stream=self.stream, from_sequence=1)
        log = streams_pb2_grpc.LogStub(self.channel)
        return [(message.sequence, int(message.payload))
                for response in log.ReadRange(request, timeout=CALL_SECONDS)
                for message in response.messages]

    def test_appends_go_to_the_leader(self):
        leader = self.servers.leader()
        writer = Writer(self.channel, self.stream)
        writer.append(APPENDS_PER_STEP)
        if self.servers.leader() == leader:
            self.assertEqual(0, writer.repeated, "appends went to others than the leader")

    def test_the_leader_is_killed_again_and_again(self):
        writer = Writer(self.channel, self.stream)
        reader = Reader(self.channel, self.stream, lambda: writer.last_sequence)
        reader.start()
        writer.start()
        try:
            for _ in range(KILLS):
                writer.wait_for(APPENDS_PER_STEP)
                victim = self.servers.leader()
                self.servers.kill(victim)
                writer.wait_for(APPENDS_PER_STEP)
                self.servers.start(victim)
                self.servers.wait_ready(victim)
        finally:
            writer.stop()
            reader.stop()
        self.assertIsNone(writer.failure)
        self.assertEqual([], reader.problems)
        self.assertGreater(reader.calls, KILLS)
        total = writer.number
        self.assertGreaterEqual(total, 2 * KILLS * APPENDS_PER_STEP)
        self.assertEqual([(n, n) for n in range(1, total + 1)], self.payloads())
        self.assertEqual({n: n for n in range(1, total + 1)}, writer.sequences)
        print(f"{reader.calls} reads, {total} appends, {writer.repeated} of them made again")


if __name__ == "__main__":
    unittest.main()
