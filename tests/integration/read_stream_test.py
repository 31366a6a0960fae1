#!/usr/bin/env python3
"""Many reads on one call (Log.ReadStream), asked by stock grpcio: each is answered once and as the
unary Read would, whatever the others on its call are.
"""

import pathlib
import queue
import sys
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from cluster_case import CALL_SECONDS, Cluster  # noqa: E402
from servers import NODES, wait_until  # noqa: E402
import grpc  # noqa: E402 (Debian's)
from google.protobuf.duration_pb2 import Duration  # noqa: E402
from cairn.v1 import streams_pb2, streams_pb2_grpc  # noqa: E402

MESSAGES = 200


def read(stream="kept", **fields):
    return streams_pb2.ReadRequest(stream=stream, **fields)


def request_of(reads):
    """A request of (id, ReadRequest)."""
    return streams_pb2.ReadStreamRequest(
        reads=[streams_pb2.StreamedRead(id=number, request=each) for number, each in reads])


class ReadStreamTest(Cluster):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        log = streams_pb2_grpc.LogStub(cls.channels[cls.servers.leader()])
        for i in range(MESSAGES):
            log.Append(streams_pb2.AppendRequest(stream="kept", messages=[
                streams_pb2.NewMessage(subject="kept.odd" if i % 2 else "kept",
                                       payload=b"message %d " % i + b"x" * 100)]),
                timeout=CALL_SECONDS)

    def log(self, node=None):
        return streams_pb2_grpc.LogStub(self.channels[node or self.servers.leader()])

    def answers(self, requests, node=None):
        """By id: what is answered until the server ends the call."""
        answers = {}
        for response in self.log(node).ReadStream(iter(requests), timeout=CALL_SECONDS):
            self.assertTrue(response.answers)
            for answer in response.answers:
                self.assertNotIn(answer.id, answers, "answered twice")
                answers[answer.id] = answer
        return answers

    def test_each_is_answered_as_by_read(self):
        wanted = {
            1: read(from_sequence=5, max_messages=1),
            7: read(from_sequence=1, max_messages=20, subject_filters=["kept.odd"]),
            9: read(),
            0: read(from_sequence=17, max_bytes=1000),
            1 << 63: read(from_sequence=MESSAGES, consistency=streams_pb2.CONSISTENCY_LEASE),
            12: read(from_sequence=3, max_messages=2, consistency=streams_pb2.CONSISTENCY_STALE),
            13: read(from_sequence=4, max_messages=2, consistency=streams_pb2.CONSISTENCY_STALE,
                     max_staleness=Duration(seconds=5)),
        }
        for node in NODES:
            for pieces in (1, len(wanted)):
                with self.subTest(node=node, requests=pieces):
                    reads = list(wanted.items())
                    requests = ([request_of(reads)] if pieces == 1 else
                                [request_of([each]) for each in reads])
                    answers = self.answers(requests, node)
                    self.assertEqual(set(wanted), set(answers))
                    for number, request in wanted.items():
                        self.assertEqual(self.log(node).Read(request, timeout=CALL_SECONDS),
                                         answers[number].response, request)

    def test_what_is_wrong_with_one_concerns_it_alone(self):
        wrong = {
            1: (read(stream="of nobody"), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
            2: (read(stream="missing"), grpc.StatusCode.NOT_FOUND, "STREAM_NOT_FOUND"),
            3: (read(from_sequence=1 << 40), grpc.StatusCode.OUT_OF_RANGE, "INDEX_IN_FUTURE"),
            4: (read(subject_filters=["a..b"]), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
            5: (read(consistency=77), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
            6: (read(consistency=streams_pb2.CONSISTENCY_STALE, max_staleness=Duration(seconds=-1)),
                grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        }
        with self.unchanged():
            reads = [(number, each[0]) for number, each in wrong.items()]
            reads.insert(3, (100, read(from_sequence=2, max_messages=1)))
            answers = self.answers([request_of(reads), request_of([(101, read(max_messages=1))])])
            self.assertEqual(set(wrong) | {100, 101}, set(answers))
            for number, (_, code, reason) in wrong.items():
                failure = answers[number].failure
                self.assertEqual((code.value[0], reason), (failure.code, failure.reason), failure)
                self.assertTrue(failure.message)
            self.assertEqual("stream", answers[1].failure.metadata["field"])
            self.assertEqual("subject_filters", answers[4].failure.metadata["field"])
            self.assertTrue(int(answers[3].failure.metadata["lastSequence"]) >= MESSAGES)
            self.assertEqual([2], [m.sequence for m in answers[100].response.messages])
            self.assertEqual([1], [m.sequence for m in answers[101].response.messages])

    def test_nothing_asked_nothing_answered(self):
        self.assertEqual({}, self.answers([]))
        self.assertEqual({}, self.answers([streams_pb2.ReadStreamRequest()] * 3))

    def test_too_many_in_one_request(self):
        with self.unchanged():
            most = request_of([(i, read(max_messages=1)) for i in range(8192)])
            self.assertEqual(8192, len(self.answers([most])))
            most.reads.add()
            self.expect_invalid(self.call("Log/ReadStream", most), "reads")
            endless = streams_pb2.ReadStreamRequest(reads=[streams_pb2.StreamedRead()] * 1_000_000)
            self.expect_invalid(self.call("Log/ReadStream", endless), "reads")

    # Nobody's answers are kept without limit: requests are taken no faster than answers.
    def test_who_takes_no_answers_is_asked_no_more(self):
        total = 50_000
        taken = 0
        request = request_of([(i, read()) for i in range(100)])

        def requests():
            nonlocal taken
            for _ in range(total):
                taken += 1
                yield request

        responses = self.log().ReadStream(requests(), timeout=10 * CALL_SECONDS)
        seen = [-1]

        def stands_still():
            seen.append(taken)
            return taken > 1 and len(seen) > 100 and len(set(seen[-100:])) == 1

        wait_until("no more is taken", stands_still)
        self.assertLess(taken, total)
        with self.unchanged():  # and others are served
            pass
        before = taken
        for _ in range(400):
            next(responses)
        wait_until("more is taken", lambda: taken > before)
        responses.cancel()

    # Answers come while more is asked; what comes at once is bounded.
    def test_a_conversation(self):
        asked = queue.Queue()
        responses = self.log().ReadStream(iter(asked.get, None), timeout=CALL_SECONDS)
        for number in range(50):
            asked.put(request_of([(number, read(from_sequence=number + 1, max_messages=1))]))
            (answer,) = next(responses).answers
            self.assertEqual(number, answer.id)
            self.assertEqual([number + 1], [m.sequence for m in answer.response.messages])
        for number in range(500):
            asked.put(request_of([(number, read())]))
        asked.put(None)
        rest = [response for response in responses]
        self.assertEqual(500, sum(len(response.answers) for response in rest))
        self.assertLess(max(response.ByteSize() for response in rest), 4 << 20)

    # Whatever was acknowledged before a read was asked for is seen by it, on every member.
    def test_it_sees_what_was_acknowledged(self):
        conversations = {}
        for node in NODES:
            asked = queue.Queue()
            conversations[node] = (asked, self.log(node).ReadStream(iter(asked.get, None),
                                                                    timeout=CALL_SECONDS))
        for number in range(60):
            appended = self.append(NODES[number % len(NODES)], b"later").last_sequence
            for asked, responses in conversations.values():
                asked.put(request_of([(number, read(from_sequence=1, max_messages=1))]))
                (answer,) = next(responses).answers
                self.assertGreaterEqual(answer.response.last_sequence, appended)
        for asked, _ in conversations.values():
            asked.put(None)

    def test_the_member_that_stops_says_so(self):
        leader = self.servers.leader()
        node = next(each for each in NODES if each != leader)
        asked = queue.Queue()
        responses = self.log(node).ReadStream(iter(asked.get, None), timeout=CALL_SECONDS)
        asked.put(request_of([(1, read(max_messages=1))]))
        next(responses)
        process = self.servers.processes[node]
        process.terminate()
        with self.assertRaises(grpc.RpcError) as ended:
            next(responses)
        asked.put(None)
        self.assertEqual(grpc.StatusCode.UNAVAILABLE, ended.exception.code())
        process.wait()
        process.stdout.close()
        self.servers.start(node)
        self.servers.wait_ready(node)
        wait_until("the member serves again", lambda: self.answers_of(node))

    def answers_of(self, node):
        try:
            return self.answers([request_of([(1, read(max_messages=1))])], node)
        except grpc.RpcError:
            return None


if __name__ == "__main__":
    unittest.main(verbosity=2)
