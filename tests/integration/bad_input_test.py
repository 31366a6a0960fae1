#!/usr/bin/env python3
"""What clients and peers should not say, said to three real servers. Each test is named by its row
of the table of bad inputs: the answer, and that nothing changed by it: every process runs, nobody's
term, log or disk differs by a byte, and another client's append works.
"""

import contextlib
import os
import pathlib
import random
import sys
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from cluster_case import BOTH, CALL_SECONDS, METHODS, Cluster, path_of  # noqa: E402
from peer_case import PeerCase, records  # noqa: E402
from raw_http2 import ENHANCE_YOUR_CALM, RawCall  # noqa: E402
from rpc_errors import answer_of  # noqa: E402
from servers import NODES, wait_until  # noqa: E402
import grpc  # noqa: E402 (Debian's)
from google.protobuf.duration_pb2 import Duration  # noqa: E402
from cairn.v1 import peer_pb2, streams_pb2, streams_pb2_grpc  # noqa: E402

RECEIVE_LIMIT = 16 << 20
MESSAGE_LIMIT = 1 << 20
GREATEST = (1 << 64) - 1


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
            "grpc.health.v1.Health/Check": text,
            "grpc.health.v1.Health/Watch": text,
            "Streams/Create": b"\x0a\x04" + text,
            "Streams/Get": text,
            "Streams/List": b"\x12\x02\xff\xfe",
            "Log/Append": text,
            "Log/AppendStream": b"\x0a\x04" + text,
            "Log/Read": text,
            "Log/ReadRange": text,
            "Log/Subscribe": text,
            "Sessions/Open": text,
            "Cluster/AddMember": b"\x1a\x02\xff\xfe",
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
            "staleness of a fresh read": ("Log/Read", read(stream="kept",
                                                           max_staleness=Duration(seconds=1)),
                                          "max_staleness"),
            "no staleness": ("Log/Read", read(stream="kept", consistency=3,
                                              max_staleness=Duration(seconds=0)), "max_staleness"),
            "staleness below zero": ("Log/ReadRange", read(stream="kept", consistency=3,
                                                           max_staleness=Duration(seconds=-5)),
                                     "max_staleness"),
            "staleness of a century": ("Streams/List", streams_pb2.ListStreamsRequest(
                consistency=3, max_staleness=Duration(seconds=3_000_000_000)), "max_staleness"),
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
                            self.servers.addresses[leader], path_of(method)) as call:
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


class PeerRowsTest(PeerCase):
    """Frames made by hand, each right in everything but what its row says."""

    def test_row_10_senders_who_are_not_who_they_say(self):
        other = self.followers[1]
        known = self.introduction(self.group.commit_index)
        other_group = self.introduction(self.group.commit_index + 100, group=7)
        self.expect_refused({
            "of nobody": lambda _, to: [self.frame(9, to, self.vote())],
            "by what is known": lambda _, to: [self.frame(9, to, self.vote(),
                                                          introductions=[known])],
            "of a group that is not here": lambda _, to: [self.frame(9, to, self.vote(),
                                                                     introductions=[other_group])],
            "too late": lambda _, to: [self.frame(9, to), self.frame(
                9, to, self.vote(), introductions=[self.introduction(1 << 20)])],
            "of the receiver itself": lambda _, to: [self.frame(to, to, self.vote())],
        }, grpc.StatusCode.PERMISSION_DENIED, "UNKNOWN_PEER")
        self.expect_refused({
            "on another's call": lambda of, to: [self.frame(other, to),
                                                 self.frame(of, to, self.vote())],
            "with another's incarnation": lambda of, to: [self.frame(
                of, to, self.vote(), from_incarnation=self.incarnations[other])],
            "with the receiver's incarnation": lambda of, to: [self.frame(
                of, to, self.vote(), from_incarnation=self.incarnations[to])],
            "with two incarnations": lambda of, to: [self.frame(of, to), self.frame(
                of, to, self.vote(), from_incarnation=self.incarnations[of] ^ 1)],
            "on another lane": lambda of, to: [self.frame(of, to), self.frame(
                of, to, self.vote(), lane=peer_pb2.FRAME_LANE_APPEND)],
        }, grpc.StatusCode.PERMISSION_DENIED, "SENDER_MISMATCH")

    def test_row_10_a_stranger_with_news_disturbs_nobody(self):
        """It may be a member that the receiver does not know yet (docs/membership.md)."""
        news = self.introduction(self.group.commit_index + 1000)
        gone = {"term": self.group.term, "at": {"index": 1 << 20, "term": self.group.term}}
        parcels = {
            "vote": self.vote(),
            "vote for a hand-over": self.vote(forced=True),
            "pre-vote": self.parcel(pre_vote_request={
                "term": self.group.term + 1, "campaign": 1,
                "last": {"index": 1 << 20, "term": self.group.term}}),
            "hand-over": self.parcel(timeout_now={"term": self.group.term + 1}),
            "removal": self.parcel(removed_notice=gone),
            "acknowledgement": self.parcel(append_reply={
                "term": self.group.term + 7, "success": True, "match": 1 << 20}),
        }
        with self.unchanged():
            for name, parcel in parcels.items():
                for node in (self.leader, self.followers[0]):
                    with self.subTest(name, to=node):
                        answer = self.call("Peer/Exchange",
                                           self.frame(8, node, introductions=[news]),
                                           self.frame(8, node, parcel), node=node)
                        self.assertEqual(grpc.StatusCode.OK, answer.code, answer)
            # Nor many of them, nor one that says too much.
            for sender in range(100, 200):
                answer = self.call("Peer/Exchange",
                                   self.frame(sender, self.leader, introductions=[news]),
                                   node=self.leader)
                self.assertEqual(grpc.StatusCode.OK, answer.code, answer)
            answer = self.call("Peer/Exchange", self.frame(8, self.leader,
                                                           introductions=[news] * 17),
                               node=self.leader)
            self.expect(answer, grpc.StatusCode.INVALID_ARGUMENT, "BAD_FRAME")

    def test_row_11_other_clusters_and_wrong_receivers(self):
        self.expect_refused({
            "CLUSTER_MISMATCH": lambda of, to: [self.frame(of, to, self.vote(),
                                                           cluster_id=bytes(16))],
            "WRONG_NODE": lambda of, to: [self.frame(of, self.followers[1], self.vote())],
            "VERSION_MISMATCH": lambda of, to: [self.frame(of, to, self.vote(), version=2,
                                                           newest_version=2)],
        }, grpc.StatusCode.FAILED_PRECONDITION)

    def test_row_12_another_disk_under_a_members_id(self):
        self.expect_refused({
            "MEMBER_AMNESIA": lambda of, to: [self.frame(of, to, self.vote(),
                                                         from_incarnation=12345)],
        }, grpc.StatusCode.FAILED_PRECONDITION)

    def test_row_13_terms_and_indexes_nobody_has(self):
        jump = self.group.term + (1 << 40) + 1
        for term in (GREATEST, GREATEST - (1 << 31), (1 << 62) + 1, jump):
            self.expect_invalid_parcels({
                f"{name} {term:#x}": parcel for name, parcel in {
                    "vote": self.vote(term),
                    "pre-vote": self.parcel(pre_vote_request={"term": term, "campaign": 1}),
                    "pre-vote reply": self.parcel(pre_vote_reply={"term": term}),
                    "vote reply": self.parcel(vote_reply={"term": term, "granted": True}),
                    "append reply": self.parcel(append_reply={"term": term, "success": True}),
                    "heartbeat": self.parcel(heartbeat={"term": term}),
                    "heartbeat reply": self.parcel(heartbeat_reply={"term": term}),
                    "read": self.parcel(read_index_request={"term": term, "request": 1}),
                    "read reply": self.parcel(read_index_reply={"term": term, "request": 1}),
                }.items()}, "TERM_RANGE")
            entry = records(1, self.group.last_index, self.group.term, self.group.term, 1)
            self.expect_invalid_parcels({f"append {term:#x}": self.entries(entry, term=term)},
                                        "TERM_RANGE", peer_pb2.FRAME_LANE_APPEND)
        term = self.group.term
        for index in (GREATEST, (1 << 62) + 1):
            place = {"index": index, "term": term}
            self.expect_invalid_parcels({
                f"{name} {index:#x}": parcel for name, parcel in {
                    "vote": self.vote(last=place),
                    "heartbeat": self.parcel(heartbeat={"term": term, "commit": index}),
                    "append reply": self.parcel(append_reply={"term": term, "match": index}),
                    "hint": self.parcel(append_reply={"term": term, "hint": place}),
                    "read reply": self.parcel(read_index_reply={"term": term, "index": index}),
                    "tail reply": self.parcel(tail_reply={"term": term, "have_through": index}),
                }.items()}, "TERM_RANGE")
            self.expect_invalid_parcels({
                f"previous {index:#x}": self.entries(records(1, 1, 1, term, 1), previous=place),
                f"commit {index:#x}": self.entries(
                    records(1, self.group.last_index, term, term, 1), commit=index),
            }, "TERM_RANGE", peer_pb2.FRAME_LANE_APPEND)

    def test_row_14_leaders_and_candidates_there_cannot_be(self):
        last = self.group.last_index
        term = self.group.term
        self.expect_invalid_parcels({
            "heartbeat of term 0": self.parcel(heartbeat={"commit": 1}),
            "candidate of term 0": self.parcel(vote_request={"campaign": 1}),
        }, "TERM_RANGE")
        self.expect_invalid_parcels({
            "append of term 0": self.entries(records(1, last, term, term, 1), term=0),
        }, "TERM_RANGE", peer_pb2.FRAME_LANE_APPEND)
        ahead = {"index": last, "term": term + 6}
        self.expect_invalid_parcels({
            "vote request": self.vote(term + 5, last=ahead),
            "vote request of its own term": self.vote(term + 6, last=ahead),
            "pre-vote request": self.parcel(pre_vote_request={"term": term + 5, "last": ahead}),
        }, "BAD_FRAME")

    def test_row_5_frames_that_lack_something(self):
        def frame(**fields):
            return lambda of, to: [self.frame(of, to, self.vote(), **fields)]

        self.expect_refused({
            "no lane": frame(lane=0),
            "unknown lane": frame(lane=7),
            "no cluster": frame(cluster_id=b""),
            "a short cluster": frame(cluster_id=self.cluster_id[:15]),
            "of node 0": frame(**{"from": 0}),
            "to node 0": frame(to=0),
            "no version": frame(version=0),
            "versions without its own": frame(oldest_version=2, newest_version=3),
            "no incarnation": frame(from_incarnation=0),
            "an end of nothing": frame(fragment_ends=True),
            "parcels and a fragment": frame(fragment=b"x"),
            "fragments of no parcel": lambda of, to: [self.frame(
                of, to, fragment=b"\xff" * 9, fragment_ends=True)],
            "a fragment without its end": lambda of, to: [
                self.frame(of, to, fragment=b"\x08"), self.frame(of, to, self.vote())],
            "a million empty parcels": lambda of, to: [
                self.frame(of, to, *[peer_pb2.Parcel()] * 1_000_000)],
        }, grpc.StatusCode.INVALID_ARGUMENT, "BAD_FRAME")

    def test_row_5_parcels_that_lack_something(self):
        refused = peer_pb2.ForwardedResult(not_applied={"reason": 0})
        self.expect_invalid_parcels({
            "no body": self.parcel(),
            "no group": self.parcel(0, heartbeat={"term": self.group.term}),
            "a hello of nobody": self.parcel(0, hello={"question": 1}),
            "no reason": self.parcel(0, identity_refusal={"message": "x"}),
            "unknown reason": self.parcel(0, identity_refusal={"reason": 99}),
            "no torn entries": self.parcel(tail_query={"term": self.group.term, "query": 1}),
            "half a position": self.vote(last={"index": 4}),
            "an append on the control lane": self.entries(
                records(1, self.group.last_index, self.group.term, self.group.term, 1)),
        }, "BAD_FRAME")
        self.expect_invalid_parcels({
            "a vote on the append lane": self.vote(),
            "no commands": self.parcel(forwarded_proposals={"term": self.group.term,
                                                            "request": 1}),
            "commands that are none": self.parcel(forwarded_proposals={
                "term": self.group.term, "request": 1, "entries": [b"", b"x" * 200]}),
            "no results": self.parcel(forwarded_results={"request": 1}),
            "no result": self.parcel(forwarded_results={"request": 1, "results": [{}]}),
            "a result without reason": self.parcel(forwarded_results={"request": 1,
                                                                      "results": [refused]}),
        }, "BAD_FRAME", peer_pb2.FRAME_LANE_APPEND)

    def test_row_5_entries_that_do_not_follow(self):
        last, term = self.group.last_index, self.group.term
        one = records(1, last, term, term, 1)
        spoilt = bytearray(one)
        spoilt[-1] ^= 1
        self.expect_invalid_parcels({
            "no entries": self.entries(),
            "a million empty runs": self.entries(*[b""] * 1_000_000),
            "bytes that are no record": self.entries(b"x" * 200),
            "a spoilt record": self.entries(bytes(spoilt)),
            "half a record": self.entries(one[:-1]),
            "a gap behind the previous": self.entries(records(1, last + 1, term, term, 1)),
            "before the previous": self.entries(records(1, last - 1, term, term, 1)),
            "a gap between runs": self.entries(one, records(1, last + 2, term, term, 1)),
            "twice the same run": self.entries(one, one),
            "a run with another before it": self.entries(one, records(1, last + 1, term, term, 1)),
            "entries of another group": self.entries(records(2, last, term, term, 1)),
            "entries of a later term": self.entries(records(1, last, term, term + 1, 1)),
            "behind the last index there can be": self.entries(
                one, previous={"index": 1 << 62, "term": term}),
        }, "BAD_FRAME", peer_pb2.FRAME_LANE_APPEND)

    def test_row_23_what_a_peer_says_is_escaped_in_the_log(self):
        said = "x\r\nerror forged \u202e line"
        refusal = self.parcel(identity_refusal={"reason": 1, "message": said})
        frame = self.frame(self.followers[0], self.leader, refusal)

        def line():
            self.assertEqual(grpc.StatusCode.OK,
                             self.call("Peer/Exchange", frame, node=self.leader).code)
            return [each for each in self.servers.log(self.leader).splitlines()
                    if "forged" in each]

        with self.unchanged():
            for each in wait_until("the log has the line", line):
                self.assertIn("frames: x\\r\\nerror forged \\xe2\\x80\\xae line", each)
                self.assertTrue(each.isascii() and each.isprintable(), each)


class CallRowsTest(Cluster):
    """Calls that come to the wrong member, at the wrong time, or that nobody waits for."""

    def setUp(self):
        self.leader = self.servers.leader()
        self.followers = [node for node in NODES if node != self.leader]
        wait_until("the nodes agree", self.standing)

    @contextlib.contextmanager
    def paused(self, *nodes):
        for node in nodes:
            self.servers.pause(node)
        try:
            yield
        finally:
            for node in nodes:
                if node in self.servers.processes:
                    self.servers.resume(node)

    def last_index(self, node):
        return self.servers.status(node).groups[0].last_index

    def count(self, payload):
        """How often the stream has the payload, once all nodes agree."""
        standing = wait_until("the nodes agree", self.standing)
        return [each for _, each in standing[1][6]].count(payload)

    def open_session(self):
        answer = self.call("Sessions/Open", streams_pb2.OpenSessionRequest(), node=self.leader)
        return streams_pb2.OpenSessionResponse.FromString(answer.response).session_id

    def test_row_27_a_follower_that_must_not_forward(self):
        definition = streams_pb2.StreamDefinition(name="other")
        batch = streams_pb2.AppendBatch(messages=[message(payload=b"bad")])
        requests = {
            "Log/Append": append_request(),
            "Log/AppendStream": streams_pb2.AppendStreamRequest(open=stream_open(),
                                                                batches=[batch]),
            "Streams/Create": streams_pb2.CreateStreamRequest(definition=definition),
            "Sessions/Open": streams_pb2.OpenSessionRequest(),
            "Sessions/Close": streams_pb2.CloseSessionRequest(session_id=1),
        }
        term = str(self.servers.status(self.leader).groups[0].term)
        with self.unchanged():
            for method, request in requests.items():
                for node in self.followers:
                    with self.subTest(method, node=node):
                        answer = self.call(method, request, node=node,
                                           metadata=[("cairn-no-forward", "true")])
                        self.expect(answer, grpc.StatusCode.UNAVAILABLE, "NOT_LEADER",
                                    "not_applied", leaderId=str(self.leader), term=term,
                                    leaderAddress=self.servers.addresses[self.leader])
                        self.assertEqual("0", answer.pushback)

    def test_row_27_nobody_leads(self):
        survivor = self.followers[0]
        for node in NODES:
            if node != survivor:
                self.servers.kill(node)
        wait_until("no leader is known",
                   lambda: not self.servers.status(survivor).groups[0].leader)
        for _ in range(2):
            answer = self.call("Log/Append", append_request(message(payload=b"nobody")),
                               node=survivor)
            self.expect(answer, grpc.StatusCode.UNAVAILABLE, "NO_LEADER", "not_applied")
            self.assertEqual(1.5, answer.retry)
            self.assertEqual("1500", answer.pushback)
        read = streams_pb2.ReadRequest(stream="kept")
        self.expect(self.call("Log/Read", read, node=survivor), grpc.StatusCode.UNAVAILABLE,
                    "NO_LEADER")
        self.assertEqual(b"the first", self.payloads(survivor)[0][1], "a stale read")
        for node in NODES:
            if node != survivor:
                self.servers.start(node)
                self.servers.wait_ready(node)
        self.assertEqual(0, self.count(b"nobody"))

    def test_row_27_leadership_is_lost_under_way(self):
        session = self.open_session()
        in_session = append_request(message(payload=b"lost in a session"), session_id=session,
                                    session_number=1)
        log = streams_pb2_grpc.LogStub(self.channels[self.leader])
        with self.paused(*self.followers):
            calls = {name: log.Append.future(request, timeout=CALL_SECONDS)
                     for name, request in (
                         ("without", append_request(message(payload=b"lost"))),
                         ("with", in_session))}
            answers = {name: answer_of(call.result, False) for name, call in calls.items()}
        for name, answer in answers.items():
            with self.subTest(name):
                self.expect(answer, grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN", "unknown")
                self.assertGreater(int(answer.metadata["index"]), 0)
                self.assertGreater(int(answer.metadata["term"]), 0)
                self.assertEqual("-1" if name == "without" else None, answer.pushback)
        self.assertIn(self.count(b"lost"), (0, 1))
        self.call("Log/Append", in_session, node=self.servers.leader())
        self.assertEqual(1, self.count(b"lost in a session"))

    def test_row_27_the_leader_dies_with_a_forwarded_call(self):
        follower = self.followers[0]
        log = streams_pb2_grpc.LogStub(self.channels[follower])
        self.servers.pause(self.leader)
        call = log.Append.future(append_request(message(payload=b"forwarded")),
                                 timeout=CALL_SECONDS)
        self.servers.kill(self.leader)
        answer = answer_of(call.result, False)
        self.servers.start(self.leader)
        self.servers.wait_ready(self.leader)
        if answer.code == grpc.StatusCode.OK:
            self.assertEqual(1, self.count(b"forwarded"), "it went to the next leader")
        else:
            self.expect(answer, grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN", "unknown")
            self.assertIn(self.count(b"forwarded"), (0, 1))

    def test_row_28_a_deadline_that_is_past(self):
        definition = streams_pb2.StreamDefinition(name="late")
        with self.unchanged():
            for node in NODES:
                for method, request in (
                        ("Log/Append", append_request()),
                        ("Streams/Create", streams_pb2.CreateStreamRequest(definition=definition)),
                        ("Sessions/Open", streams_pb2.OpenSessionRequest())):
                    with self.subTest(method, node=node), RawCall(
                            self.servers.addresses[node], f"/cairn.v1.{method}",
                            timeout="50m") as call:
                        # Whole, and its end does not come before the deadline.
                        call.send_message(request.SerializeToString())
                        self.assertEqual(4, call.wait(), "DEADLINE_EXCEEDED")

    def test_row_28_a_deadline_that_passes_under_way(self):
        before = self.last_index(self.leader)
        with self.paused(*self.followers):
            # The client's own clock may win, on a busy machine; the server's answer says more.
            for _ in range(4):
                answer = self.call("Log/Append", append_request(message(payload=b"late")),
                                   node=self.leader, timeout=0.5)
                self.assertEqual(grpc.StatusCode.DEADLINE_EXCEEDED, answer.code)
                if answer.reason:
                    break
            self.assertGreater(self.last_index(self.leader), before, "it was proposed")
        self.expect(answer, grpc.StatusCode.DEADLINE_EXCEEDED, "OUTCOME_UNKNOWN", "unknown")

    def test_row_28_cancelled_after_the_append(self):
        request = append_request(message(payload=b"cancelled"), session_id=self.open_session(),
                                 session_number=1)
        log = streams_pb2_grpc.LogStub(self.channels[self.leader])
        before = self.last_index(self.leader)
        with self.paused(*self.followers):
            call = log.Append.future(request, timeout=CALL_SECONDS)
            wait_until("it is in the log", lambda: self.last_index(self.leader) > before)
            call.cancel()
            self.assertEqual(grpc.StatusCode.CANCELLED, call.code())
        node = self.servers.leader()
        outcome = streams_pb2_grpc.LogStub(self.channels[node]).Append(request,
                                                                       timeout=CALL_SECONDS)
        again = streams_pb2_grpc.LogStub(self.channels[node]).Append(request,
                                                                     timeout=CALL_SECONDS)
        self.assertTrue(again.duplicate)
        self.assertEqual(outcome.first_sequence, again.first_sequence)
        self.assertEqual(1, self.count(b"cancelled"))


if __name__ == "__main__":
    unittest.main()
