#!/usr/bin/env python3
"""What a member that is wrong, late or played by somebody else says to three real servers. Each
test is named by its row of the table of bad inputs, as in bad_input_test.py.

What such a frame is answered goes to the member it names, so what can be seen here is what the call
ends with, what that member logs of it, and that nothing changes: no process, term, log or disk.
"""

import os
import pathlib
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path.cwd() / "tests/integration"))

from cluster_case import CALL_SECONDS, METHODS, contents, path_of  # noqa: E402
from peer_case import PeerCase, records  # noqa: E402
from rpc_errors import answer_of  # noqa: E402
from servers import free_ports, wait_until  # noqa: E402
import grpc  # noqa: E402 (Debian's)
from cairn.v1 import cluster_pb2, cluster_pb2_grpc, peer_pb2  # noqa: E402

SNAPSHOT_LANE = peer_pb2.FRAME_LANE_SNAPSHOT


class LateAndWrongTest(PeerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # There has to be an older term.
        leader = cls.servers.leader()
        cluster_pb2_grpc.ClusterStub(cls.channels[leader]).TransferLeadership(
            cluster_pb2.TransferLeadershipRequest(), timeout=CALL_SECONDS)
        wait_until("somebody leads the next term", lambda: all(
            status and status.groups[0].leader and status.groups[0].term >= 2
            for status in map(cls.servers.status, cls.channels)))

    def setUp(self):
        super().setUp()
        self.term = self.group.term
        self.last = self.group.last_index

    def position(self, index, term=None):
        return {"index": index, "term": term or self.term}

    def expect_no_effect(self, parcels, to_leader=False, lane=peer_pb2.FRAME_LANE_CONTROL):
        """From the leader to a follower, or from a follower to the leader: taken, and nothing."""
        sender, receiver = self.leader, self.followers[0]
        if to_leader:
            sender, receiver = receiver, sender
        with self.unchanged():
            for name, parcel in parcels.items():
                with self.subTest(name):
                    answer = self.call("Peer/Exchange",
                                       self.frame(sender, receiver, parcel, lane=lane),
                                       node=receiver)
                    self.assertEqual(grpc.StatusCode.OK, answer.code, answer)

    def test_row_15_a_second_leader_in_the_same_term(self):
        pretender, receiver = self.followers
        entry = records(1, self.last, self.term, self.term, 1)
        with self.unchanged():
            for name, parcel, lane in (
                    ("heartbeat", self.parcel(heartbeat={"term": self.term}),
                     peer_pb2.FRAME_LANE_CONTROL),
                    ("entries", self.entries(entry), peer_pb2.FRAME_LANE_APPEND),
                    ("hand-over", self.parcel(timeout_now={"term": self.term}),
                     peer_pb2.FRAME_LANE_CONTROL)):
                for node in (receiver, self.leader):
                    with self.subTest(name, to=node):
                        answer = self.call("Peer/Exchange",
                                           self.frame(pretender, node, parcel, lane=lane),
                                           node=node)
                        self.expect(answer, grpc.StatusCode.FAILED_PRECONDITION,
                                    "SAFETY_VIOLATION")
                        self.assertIn(f"node {pretender}", answer.text)
                        self.assertIn(f"node {self.leader}", answer.text)

    def test_row_17_indexes_beyond_the_log(self):
        beyond = self.last + 1000
        self.expect_no_effect({
            "commit": self.parcel(heartbeat={"term": self.term, "commit": beyond}),
        })
        self.expect_no_effect({
            "match": self.parcel(append_reply={"term": self.term, "success": True,
                                               "match": beyond}),
            "refused": self.parcel(append_reply={"term": self.term, "refused_index": beyond,
                                                 "hint": self.position(beyond)}),
            "entries of a tail": self.parcel(tail_reply={"term": self.term, "query": 1,
                                                         "have_through": beyond,
                                                         "known_commit": beyond}),
        }, to_leader=True)

    def test_row_18_what_was_said_in_an_older_term(self):
        older = self.term - 1
        first = self.position(1, 1)
        # Nothing can be the last entry of who campaigns in the first term.
        last = first if older > 1 else None
        parcels = {
            "heartbeat": self.parcel(heartbeat={"term": older, "commit": 1, "context": 5}),
            "pre-vote": self.parcel(pre_vote_request={"term": older, "campaign": 1, "last": last}),
            "vote": self.vote(older, last=last),
            "forced vote": self.vote(older, last=last, forced=True),
            "read": self.parcel(read_index_request={"term": older, "request": 1}),
            "read reply": self.parcel(read_index_reply={"term": older, "request": 1, "ready": True,
                                                        "index": 1}),
            "hand-over": self.parcel(timeout_now={"term": older}),
            "vote reply": self.parcel(vote_reply={"term": older, "granted": True, "campaign": 1}),
            "append reply": self.parcel(append_reply={"term": older, "success": True, "match": 1}),
            "heartbeat reply": self.parcel(heartbeat_reply={"term": older, "context": 1}),
        }
        self.expect_no_effect(parcels)
        self.expect_no_effect(parcels, to_leader=True)
        append = {"entries": self.entries(records(1, 1, 1, 1, 1), term=older, previous=first)}
        self.expect_no_effect(append, lane=peer_pb2.FRAME_LANE_APPEND)
        self.expect_no_effect(append, to_leader=True, lane=peer_pb2.FRAME_LANE_APPEND)

    def offer(self, position, identity=None, **fields):
        values = {"term": self.term, "id": identity or os.urandom(32), "position": position,
                  "manifest_bytes": 200, "answer_wanted": True, **fields}
        return self.parcel(snapshot_offer=values)

    def test_row_19_older_snapshots_and_those_of_stale_leaders(self):
        offers = {
            "of what is here": self.offer(self.position(1, 1)),
            "of all that is here": self.offer(self.position(self.last)),
            "of an older leader": self.offer(self.position(self.last + 9, self.term - 1),
                                             term=self.term - 1),
        }
        self.expect_no_effect(offers, lane=SNAPSHOT_LANE)
        for verdict in ("ALREADY_HAVE", "STALE_TERM"):
            wait_until(f"the leader hears {verdict}", lambda: (
                f"node {self.followers[0]} does not take the snapshot offered: {verdict}"
                in self.servers.log(self.leader)))
        # From who does not lead.
        self.expect_no_effect({"later": self.offer(self.position(self.last + 9))}, to_leader=True,
                              lane=SNAPSHOT_LANE)

    def test_row_20_content_that_is_not_what_it_says(self):
        """Offered in the leader's name; the manifest does not have the hash that names it."""
        identity = os.urandom(32)
        sender, receiver = self.leader, self.followers[0]
        parcels = [
            self.offer(self.position(self.last + 9), identity),
            self.parcel(snapshot_piece={"id": identity, "file": 0xffffffff, "content": b"x" * 200}),
            self.parcel(snapshot_piece={"id": identity, "file": 0, "content": b"x" * 200}),
        ]
        with self.unchanged():
            answer = self.call("Peer/Exchange",
                               self.frame(sender, receiver, *parcels, lane=SNAPSHOT_LANE),
                               node=receiver)
            self.assertEqual(grpc.StatusCode.OK, answer.code, answer)

    def test_row_21_sizes_and_places_there_cannot_be(self):
        identity = os.urandom(32)
        ahead = self.position(self.last + 9)
        self.expect_invalid_parcels({
            "a short id": self.offer(ahead, identity[:31]),
            "no id": self.parcel(snapshot_offer={"term": self.term, "position": ahead,
                                                 "manifest_bytes": 200}),
            "no position": self.offer(None),
            "no manifest": self.offer(ahead, manifest_bytes=0),
            "a manifest of 2^63 bytes": self.offer(ahead, manifest_bytes=1 << 63),
            "a request for nothing": self.parcel(snapshot_request={"id": identity}),
            "a request for too much": self.parcel(snapshot_request={"id": identity,
                                                                    "bytes": 1 << 31}),
            "a request at 2^63": self.parcel(snapshot_request={"id": identity, "bytes": 1,
                                                               "offset": 1 << 63}),
            "a piece without content": self.parcel(snapshot_piece={"id": identity}),
            "a piece at 2^63": self.parcel(snapshot_piece={"id": identity, "content": b"x",
                                                           "offset": 1 << 63}),
            "a piece that is too great": self.parcel(snapshot_piece={"id": identity,
                                                                     "content": b"x" * 57345}),
        }, "BAD_FRAME", SNAPSHOT_LANE)
        self.expect_no_effect({
            "pieces of another snapshot": self.parcel(snapshot_piece={"id": identity,
                                                                      "content": b"x"}),
            "a piece held for ever": self.parcel(snapshot_piece={"id": identity, "content": b"x",
                                                                 "held": (1 << 64) - 1}),
            "a piece that is gone": self.parcel(snapshot_piece={"id": identity, "gone": True}),
        }, lane=SNAPSHOT_LANE)
        self.expect_no_effect({
            "a request for a snapshot there is not": self.parcel(
                snapshot_request={"id": identity, "bytes": 100}),
        }, to_leader=True, lane=SNAPSHOT_LANE)

    def test_row_22_a_thousand_snapshots_at_once(self):
        """One comes in at a time; where no pieces follow, nothing is on the disk for it."""
        sender, receiver = self.leader, self.followers[0]
        offers = [self.offer(self.position(self.last + 1 + i), manifest_bytes=1 << 20)
                  for i in range(1000)]
        with self.unchanged():
            for first in range(0, len(offers), 200):
                answer = self.call("Peer/Exchange",
                                   self.frame(sender, receiver, *offers[first:first + 200],
                                              lane=SNAPSHOT_LANE), node=receiver)
                self.assertEqual(grpc.StatusCode.OK, answer.code, answer)

    def test_row_22_a_thousand_abandoned_calls(self):
        sender, receiver = self.leader, self.followers[0]
        frame = self.frame(sender, receiver, self.offer(self.position(1, 1)), lane=SNAPSHOT_LANE)
        exchange = getattr(self.channels[receiver], METHODS["Peer/Exchange"][1])(
            path_of("Peer/Exchange"), request_serializer=peer_pb2.Frame.SerializeToString)

        def frames():
            yield frame
            wait_until("the call has ended", lambda: ended)

        ended = []
        with self.unchanged():
            calls = [exchange(frames(), timeout=CALL_SECONDS) for _ in range(1000)]
            for call in calls:
                call.cancel()
            ended.append(True)


class RemovedMemberTest(PeerCase):
    def test_row_12_a_member_that_was_removed(self):
        """By every member, also after all have started again and hold no log of it."""
        stub = cluster_pb2_grpc.ClusterStub(self.channels[self.leader])
        stub.AddMember(cluster_pb2.AddMemberRequest(
            node=9, address=f"127.0.0.1:{free_ports(1)[0]}", incarnation=99, learner=True),
            timeout=CALL_SECONDS)
        stub.RemoveMember(cluster_pb2.RemoveMemberRequest(node=9), timeout=CALL_SECONDS)
        wait_until("all know", self.standing)
        for node, channel in self.channels.items():
            cluster_pb2_grpc.ClusterStub(channel).TakeSnapshot(
                cluster_pb2.TakeSnapshotRequest(), timeout=CALL_SECONDS)
        self.servers.kill_all()
        self.servers.start_all()
        wait_until("all agree again", self.standing)
        super().setUp()
        with self.unchanged():
            for node in self.channels:
                for name, frame in (
                        ("vote", self.frame(9, node, self.vote(), from_incarnation=99)),
                        ("question", self.frame(9, node, self.parcel(pre_vote_request={
                            "term": 2, "campaign": 1}), from_incarnation=99))):
                    with self.subTest(name, to=node):
                        answer = self.call("Peer/Exchange", frame, node=node)
                        self.expect(answer, grpc.StatusCode.FAILED_PRECONDITION,
                                    "MEMBER_REMOVED", group="1")
                answer = self.call("Peer/Exchange", self.frame(8, node, self.vote()), node=node)
                self.expect(answer, grpc.StatusCode.PERMISSION_DENIED, "UNKNOWN_PEER")


class CommittedConflictTest(PeerCase):
    """Ends a node, so it is alone."""

    def test_row_16_entries_in_the_place_of_committed_ones(self):
        sender, receiver = self.leader, self.followers[0]
        others = [node for node in self.channels if node != receiver]
        last, term = self.group.last_index, self.group.term
        wait_until("all agree", self.standing)
        before = contents(self.servers.data(receiver))
        run = records(1, last - 1, term, term, 1)
        parcel = self.entries(run, previous={"index": last - 1, "term": term})
        # As a member does, this one keeps its call open: what is wrong is found behind the door.
        ended = threading.Event()
        self.addCleanup(ended.set)

        def frames():
            yield self.frame(sender, receiver, parcel, lane=peer_pb2.FRAME_LANE_APPEND)
            ended.wait(CALL_SECONDS)

        exchange = getattr(self.channels[receiver], METHODS["Peer/Exchange"][1])(
            path_of("Peer/Exchange"), request_serializer=peer_pb2.Frame.SerializeToString)
        answer = answer_of(lambda: exchange(frames(), timeout=CALL_SECONDS), True)
        ended.set()
        self.expect(answer, grpc.StatusCode.FAILED_PRECONDITION, "COMMITTED_CONFLICT")
        self.assertIn("has hash", answer.text)

        def fenced():
            status = self.servers.status(receiver)
            return status and (
                status.groups[0].state == cluster_pb2.MEMBER_STATE_FENCED and status.groups[0])

        group = wait_until("it is fenced", fenced)
        self.assertIn("safety violation", group.reason)
        self.assertIn("has hash", group.reason)
        self.assertEqual((last, term), (group.last_index, group.term))
        self.assertEqual(before, contents(self.servers.data(receiver)), "nothing was truncated")
        for node in others:
            self.append(node, b"the others go on")


if __name__ == "__main__":
    unittest.main()
