#!/usr/bin/env python3
"""What clients, peers and operators should not say, said to three real servers. Each test is named
by its row of the table of bad inputs: the answer, and that nothing changed by it: every process
runs, nobody's term, log or disk differs by a byte, and another client's append works.
"""

import contextlib
import hashlib
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest
import uuid

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from raw_http2 import ENHANCE_YOUR_CALM, RawCall  # noqa: E402 (found through the path above)
from rpc_errors import answer_of  # noqa: E402
from servers import NODES, Servers, wait_until  # noqa: E402
import grpc  # noqa: E402 (Debian's)
from cairn.v1 import cluster_pb2, peer_pb2, streams_pb2, streams_pb2_grpc  # noqa: E402

RECORD_MAKER = RUNFILES / "tests/integration/record_maker"
CALL_SECONDS = 30
RECEIVE_LIMIT = 16 << 20
MESSAGE_LIMIT = 1 << 20
GREATEST = (1 << 64) - 1
UNARY, FROM_SERVER, BOTH = "unary_unary", "unary_stream", "stream_stream"

# Every method clients and peers can call: what it takes, how it is called.
METHODS = {
    "Streams/Create": (streams_pb2.CreateStreamRequest, UNARY),
    "Streams/Get": (streams_pb2.GetStreamRequest, UNARY),
    "Streams/List": (streams_pb2.ListStreamsRequest, UNARY),
    "Log/Append": (streams_pb2.AppendRequest, UNARY),
    "Log/AppendStream": (streams_pb2.AppendStreamRequest, BOTH),
    "Log/Read": (streams_pb2.ReadRequest, UNARY),
    "Log/ReadRange": (streams_pb2.ReadRequest, FROM_SERVER),
    "Log/Subscribe": (streams_pb2.SubscribeRequest, FROM_SERVER),
    "Sessions/Open": (streams_pb2.OpenSessionRequest, UNARY),
    "Sessions/Close": (streams_pb2.CloseSessionRequest, UNARY),
    "Cluster/GetStatus": (cluster_pb2.GetStatusRequest, UNARY),
    "Peer/Exchange": (peer_pb2.Frame, BOTH),
}


def records(group, previous_index, previous_term, term, count):
    """Entries as a leader would send them."""
    printed = subprocess.run([RECORD_MAKER, *map(str, (group, previous_index, previous_term, term,
                                                       count))],
                             check=True, capture_output=True, text=True)
    return bytes.fromhex(printed.stdout)


def contents(directory):
    """A digest of every file below: what is persisted."""
    digest = hashlib.sha256()
    for path in sorted(directory.rglob("*")):
        digest.update(str(path.relative_to(directory)).encode())
        if path.is_file():
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Cluster(unittest.TestCase):
    """A cluster for all tests of a class, with a stream `kept` that holds a message."""

    timing = {"election_timeout_ms": 3000, "heartbeat_interval_ms": 100}

    @classmethod
    def setUpClass(cls):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        cls.addClassCleanup(directory.cleanup)
        cls.servers = Servers(directory.name, **cls.timing)
        cls.addClassCleanup(cls.servers.kill_all)
        cls.servers.start_all()
        cls.channels = {node: cls.open_channel(cls.servers.addresses[node]) for node in NODES}
        leader = cls.servers.leader()
        streams_pb2_grpc.StreamsStub(cls.channels[leader]).Create(
            streams_pb2.CreateStreamRequest(
                definition=streams_pb2.StreamDefinition(name="kept", subjects=["kept", "kept.>"])),
            timeout=CALL_SECONDS)
        cls.append(leader, b"the first")

    @classmethod
    def open_channel(cls, address):
        channel = grpc.insecure_channel(address, options=[
            ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)])
        cls.addClassCleanup(channel.close)
        return channel

    @classmethod
    def append(cls, node, payload):
        return streams_pb2_grpc.LogStub(cls.channels[node]).Append(
            streams_pb2.AppendRequest(stream="kept",
                                      messages=[streams_pb2.NewMessage(payload=payload)]),
            timeout=CALL_SECONDS)

    def payloads(self, node):
        """What the node has applied of the stream."""
        request = streams_pb2.ReadRequest(stream="kept", from_sequence=1,
                                          consistency=streams_pb2.CONSISTENCY_STALE)
        log = streams_pb2_grpc.LogStub(self.channels[node])
        return [(message.sequence, message.payload)
                for response in log.ReadRange(request, timeout=CALL_SECONDS)
                for message in response.messages]

    def standing(self):
        """All that must not change, of every node; None while the nodes do not agree yet."""
        standing = {}
        for node in NODES:
            self.assertTrue(self.servers.running(node), f"node {node} has ended")
            status = self.servers.status(node)
            if status is None:
                return None
            (group,) = status.groups
            if group.applied_index != group.last_index or not group.leader or group.reason:
                return None
            standing[node] = (group.term, group.leader, group.last_index, group.commit_index,
                              group.durable_index, group.sessions, self.payloads(node),
                              contents(self.servers.data(node)))
        agreed = {each[:-1][:4] for each in standing.values()}
        return standing if len(agreed) == 1 else None

    @contextlib.contextmanager
    def unchanged(self):
        """Nothing that is done within changes any node; afterwards the cluster still works."""
        before = wait_until("the nodes agree", self.standing)
        yield
        after = wait_until("the nodes agree again", self.standing)
        self.assertEqual(before, after)
        response = self.append(random.choice(NODES), b"of another client")
        self.assertEqual(len(before[1][6]) + 1, response.first_sequence)

    def call(self, method, *requests, node=None, timeout=CALL_SECONDS, metadata=()):
        """Sends the requests, messages or bytes, and gives the Answer."""
        kind = METHODS[method][1] if method in METHODS else UNARY
        channel = self.channels[node or self.servers.leader()]

        def serialize(request):
            return request if isinstance(request, bytes) else request.SerializeToString()

        caller = getattr(channel, kind)(f"/cairn.v1.{method}", request_serializer=serialize)
        said = requests[0] if kind != BOTH else iter(requests)
        return answer_of(lambda: caller(said, timeout=timeout, metadata=metadata), kind != UNARY)

    def expect(self, answer, code, reason=None, outcome=None, **metadata):
        """The answer is the error: with a reason it is Cairn's, without one gRPC's own."""
        self.assertEqual((code, reason), (answer.code, answer.reason), answer)
        if reason is None:
            return
        self.assertEqual("cairn.dev", answer.domain)
        self.assertEqual(outcome, answer.metadata.get("outcome"), answer)
        for key, value in metadata.items():
            self.assertEqual(value, answer.metadata.get(key), answer)

    def expect_invalid(self, answer, field, outcome="not_applied"):
        self.expect(answer, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", outcome)
        self.assertEqual([field], answer.fields, answer)


def append_request(*messages, stream="kept", **fields):
    return streams_pb2.AppendRequest(
        stream=stream, messages=messages or [streams_pb2.NewMessage(payload=b"bad")], **fields)


def message(**fields):
    return streams_pb2.NewMessage(**fields)


def stream_open(stream="kept", **fields):
    return streams_pb2.AppendStreamOpen(stream=stream, **fields)


class ClientRowsTest(Cluster):
    def resident_bytes(self, node):
        with open(f"/proc/{self.servers.processes[node].pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def test_row_1_messages_over_the_limit(self):
        too_large = append_request(message(payload=bytes(RECEIVE_LIMIT)))
        batch = streams_pb2.AppendBatch(messages=too_large.messages)
        frame = peer_pb2.Frame(fragment=bytes(RECEIVE_LIMIT))
        with self.unchanged():
            for method, request in (
                    ("Log/Append", too_large),
                    ("Log/AppendStream",
                     streams_pb2.AppendStreamRequest(open=stream_open(), batches=[batch])),
                    ("Peer/Exchange", frame)):
                with self.subTest(method):
                    self.expect(self.call(method, request), grpc.StatusCode.RESOURCE_EXHAUSTED)

    def test_row_1_a_length_of_4_gib_with_10_bytes(self):
        leader = self.servers.leader()
        with self.unchanged():
            before = self.resident_bytes(leader)
            for method in ("Streams/Create", "Log/Append", "Log/AppendStream", "Peer/Exchange"):
                with self.subTest(method), RawCall(self.servers.addresses[leader],
                                                   f"/cairn.v1.{method}", timeout="1S") as call:
                    call.send(b"\0\xff\xff\xff\xff" + b"0123456789")
                    self.assertEqual(4, call.wait(), "the rest never comes: DEADLINE_EXCEEDED")
            self.assertLess(self.resident_bytes(leader) - before, 64 << 20, "allocated for it")

    def test_row_1_a_length_of_4_gib_with_as_much_as_is_taken(self):
        leader = self.servers.leader()
        piece = bytes(1 << 14)
        with self.unchanged():
            with RawCall(self.servers.addresses[leader], "/cairn.v1.Log/Append") as call:
                call.send(b"\0\xff\xff\xff\xff")
                sent = 0
                while not call.ended and sent < 1 << 30:
                    call.send(piece)
                    sent += len(piece)
                    self.assertLess(self.resident_bytes(leader), 400 << 20)
                call.wait()
                self.assertEqual(ENHANCE_YOUR_CALM, call.reset, "gRPC's RESOURCE_EXHAUSTED")

    def test_row_2_a_command_over_its_limit(self):
        large = message(payload=bytes(MESSAGE_LIMIT + 1))
        in_all = [message(payload=bytes(MESSAGE_LIMIT))] * 5
        code = grpc.StatusCode.INVALID_ARGUMENT
        with self.unchanged():
            for node in NODES:
                for name, answer in {
                        "message": self.call("Log/Append", append_request(large), node=node),
                        "call": self.call("Log/Append", append_request(*in_all), node=node),
                        "batch": self.call("Log/AppendStream", streams_pb2.AppendStreamRequest(
                            open=stream_open(),
                            batches=[streams_pb2.AppendBatch(messages=[large])]), node=node),
                }.items():
                    with self.subTest(name, node=node):
                        self.expect(answer, code, "ENTRY_TOO_LARGE", "not_applied")
                        self.assertIn(int(answer.metadata["limit"]),
                                      (MESSAGE_LIMIT, 4 * MESSAGE_LIMIT + (64 << 10)))
                        self.assertEqual(["messages"], answer.fields)

    def test_row_4_bytes_that_are_no_message(self):
        source = random.Random(4)
        with self.unchanged():
            for method, (kind, _) in METHODS.items():
                garbage = b"\xff" * 16 + source.randbytes(200)
                with self.assertRaises(Exception):
                    kind.FromString(garbage)
                nested = b"\x7b" * 1000 + b"\x7c" * 1000  # groups of an unknown field
                for name, request in (("random", garbage), ("nested", nested)):
                    with self.subTest(method, bytes=name):
                        self.expect(self.call(method, request), grpc.StatusCode.INTERNAL)

    def test_row_4_text_that_is_no_utf_8(self):
        text = b"\x0a\x02\xff\xfe"  # field 1
        in_parcel = b"\x8a\x01\x04\x12\x02\xff\xfe"  # IdentityRefusal.message
        requests = {
            "Streams/Create": b"\x0a\x04" + text,
            "Streams/Get": text,
            "Streams/List": b"\x12\x02\xff\xfe",
            "Log/Append": text,
            "Log/AppendStream": b"\x0a\x04" + text,
            "Log/Read": text,
            "Log/ReadRange": text,
            "Log/Subscribe": text,
            "Sessions/Open": text,
            "Peer/Exchange": b"\x4a" + bytes([len(in_parcel)]) + in_parcel,
        }
        with self.unchanged():
            for method, request in requests.items():
                with self.subTest(method):
                    self.expect(self.call(method, request), grpc.StatusCode.INTERNAL)

    def test_row_5_fields_that_are_missing_or_unknown(self):
        read = streams_pb2.ReadRequest
        subscribe = streams_pb2.SubscribeRequest
        cases = {
            "no stream": ("Log/Append", append_request(stream=""), "stream"),
            "no messages": ("Log/Append", streams_pb2.AppendRequest(stream="kept"), "messages"),
            "number without session": ("Log/Append", append_request(session_number=1),
                                       "session_number"),
            "session without number": ("Log/Append", append_request(session_id=1),
                                       "session_number"),
            "a million messages": ("Log/Append", append_request(*[message()] * 1_000_000),
                                   "messages"),
            "no definition": ("Streams/Create", streams_pb2.CreateStreamRequest(),
                              "definition.name"),
            "no name": ("Streams/Get", streams_pb2.GetStreamRequest(), "name"),
            "reserved consistency": ("Log/Read", read(stream="kept", consistency=2),
                                     "consistency"),
            "unknown consistency": ("Log/Read", read(stream="kept", consistency=-7),
                                    "consistency"),
            "unknown consistency of a range": ("Log/ReadRange",
                                               read(stream="kept", consistency=99),
                                               "consistency"),
            "unknown consistency of a list": ("Streams/List",
                                              streams_pb2.ListStreamsRequest(consistency=99),
                                              "consistency"),
            "unknown start": ("Log/Subscribe", subscribe(stream="kept", start=99), "start"),
            "start at no sequence": ("Log/Subscribe", subscribe(stream="kept", start=3),
                                     "from_sequence"),
            "a sequence that is no start": ("Log/Subscribe",
                                            subscribe(stream="kept", from_sequence=1),
                                            "from_sequence"),
            "no session": ("Sessions/Close", streams_pb2.CloseSessionRequest(), "session_id"),
        }
        with self.unchanged():
            for name, (method, request, field) in cases.items():
                for node in NODES:
                    with self.subTest(name, node=node):
                        self.expect_invalid(self.call(method, request, node=node), field)

    def test_row_5_streams_of_bad_batches(self):
        opened = streams_pb2.AppendStreamRequest(open=stream_open())
        empty = streams_pb2.AppendBatch()
        one = streams_pb2.AppendBatch(messages=[message(payload=b"bad")], session_number=1)
        cases = {
            "does not open": ([streams_pb2.AppendStreamRequest(batches=[empty])], "open"),
            "opens twice": ([opened, opened], "open"),
            "an empty batch": ([streams_pb2.AppendStreamRequest(open=stream_open(),
                                                                batches=[empty])], "messages"),
            "a million empty batches": ([streams_pb2.AppendStreamRequest(
                open=stream_open(), batches=[empty] * 1_000_000)], "messages"),
            "a number without a session": ([streams_pb2.AppendStreamRequest(
                open=stream_open(), batches=[one])], "batches.session_number"),
            "a session without a number": ([streams_pb2.AppendStreamRequest(
                open=stream_open(session_id=1))], "open.first_session_number"),
        }
        with self.unchanged():
            for name, (requests, field) in cases.items():
                with self.subTest(name):
                    self.expect_invalid(self.call("Log/AppendStream", *requests), field)
            gapped = streams_pb2.AppendStreamRequest(
                open=stream_open(session_id=1, first_session_number=1),
                batches=[streams_pb2.AppendBatch(messages=[message(payload=b"bad")],
                                                 session_number=2)])
            self.expect(self.call("Log/AppendStream", gapped),
                        grpc.StatusCode.FAILED_PRECONDITION, "SEQUENCE_GAP", "not_applied",
                        expected="1")

    def test_row_5_numbers_that_overflow(self):
        with self.unchanged():
            for start in (1 << 63, GREATEST):
                request = streams_pb2.ReadRequest(stream="kept", from_sequence=start,
                                                  max_messages=GREATEST, max_bytes=GREATEST)
                for method in ("Log/Read", "Log/ReadRange"):
                    with self.subTest(method, start=start):
                        self.expect(self.call(method, request), grpc.StatusCode.OUT_OF_RANGE,
                                    "INDEX_IN_FUTURE")

    def test_row_6_methods_there_are_not(self):
        with self.unchanged():
            for method in ("Log/Truncate", "Nothing/Append", "Peer/Vote"):
                with self.subTest(method):
                    self.expect(self.call(method, append_request()),
                                grpc.StatusCode.UNIMPLEMENTED)

    def test_row_6_one_message_where_two_or_none_come(self):
        leader = self.servers.leader()
        with self.unchanged():
            for method, (kind, how) in METHODS.items():
                if how == BOTH:
                    continue
                request = append_request() if method == "Log/Append" else kind()
                for count in (0, 2):
                    with self.subTest(method, messages=count), RawCall(
                            self.servers.addresses[leader], f"/cairn.v1.{method}") as call:
                        for _ in range(count):
                            call.send_message(request.SerializeToString())
                        call.send(b"", end=True)
                        self.assertEqual(12, call.wait(), f"UNIMPLEMENTED: {call.headers}")

    BAD_NAMES = {
        "climbs": "../../x", "absolute": "/etc/passwd", "nul": "a\0b", "empty": "",
        "long": "x" * 4096, "lines": "a\r\nb", "right to left": "a\u202eb", "dot": "a.b",
        "space": "a b", "letters": "strömung",
    }

    def test_row_23_names_of_streams(self):
        with self.unchanged():
            for name, bad in self.BAD_NAMES.items():
                definition = streams_pb2.StreamDefinition(name=bad)
                for method, request, field in (
                        ("Streams/Create", streams_pb2.CreateStreamRequest(definition=definition),
                         "definition.name"),
                        ("Streams/Get", streams_pb2.GetStreamRequest(name=bad), "name"),
                        ("Log/Append", append_request(stream=bad), "stream"),
                        ("Log/AppendStream",
                         streams_pb2.AppendStreamRequest(open=stream_open(stream=bad)),
                         "open.stream"),
                        ("Log/Read", streams_pb2.ReadRequest(stream=bad), "stream"),
                        ("Log/ReadRange", streams_pb2.ReadRequest(stream=bad), "stream"),
                        ("Log/Subscribe", streams_pb2.SubscribeRequest(stream=bad), "stream")):
                    with self.subTest(method, name=name):
                        answer = self.call(method, request)
                        self.expect_invalid(answer, field)
                        self.assertTrue(answer.text.isascii() and answer.text.isprintable(),
                                        answer)

    def test_row_23_subjects(self):
        bad = {"nul": "kept.a\0", "lines": "kept.a\r\nb", "long": "kept." + "x" * 4096,
               "empty token": "kept..x", "wildcard": "kept.*", "rest": "kept.>", "space": "a b"}
        with self.unchanged():
            for name, subject in bad.items():
                with self.subTest(name):
                    answer = self.call("Log/Append", append_request(message(subject=subject)))
                    self.expect_invalid(answer, "messages")
                    self.assertTrue(answer.text.isascii() and answer.text.isprintable(), answer)
            for name in ("nul", "lines", "long", "empty token", "space"):
                definition = streams_pb2.StreamDefinition(name="other", subjects=[bad[name]])
                filtered = streams_pb2.ReadRequest(stream="kept", subject_filters=[bad[name]])
                with self.subTest(name, of="definition"):
                    self.expect_invalid(
                        self.call("Streams/Create",
                                  streams_pb2.CreateStreamRequest(definition=definition)),
                        "definition.subjects")
                with self.subTest(name, of="filter"):
                    self.expect_invalid(self.call("Log/Read", filtered), "subject_filters")

    def test_row_23_headers(self):
        header = streams_pb2.Header
        bad = {"no key": header(value="x"), "nul": header(key="a\0"),
               "lines in a key": header(key="a\r\nb"), "long key": header(key="x" * 4096),
               "lines in a value": header(key="a", value="b\r\nc: d"),
               "nul in a value": header(key="a", value="\0")}
        with self.unchanged():
            for name, each in bad.items():
                with self.subTest(name):
                    answer = self.call("Log/Append", append_request(message(headers=[each])))
                    self.expect_invalid(answer, "messages")
                    self.assertTrue(answer.text.isascii() and answer.text.isprintable(), answer)


if __name__ == "__main__":
    unittest.main()
