"""A cluster for tests that speak to it as one of its members, with frames made by hand."""

import pathlib
import subprocess
import uuid

from cluster_case import Cluster
from servers import NODES
import grpc
from cairn.v1 import peer_pb2

RECORD_MAKER = pathlib.Path.cwd() / "tests/integration/record_maker"


def records(group, previous_index, previous_term, term, count):
    """Entries as a leader would send them."""
    printed = subprocess.run([RECORD_MAKER, *map(str, (group, previous_index, previous_term, term,
                                                       count))],
                             check=True, capture_output=True, text=True)
    return bytes.fromhex(printed.stdout)


class PeerCase(Cluster):
    """The members' standing when a test begins, and frames right in all that is not said."""

    def setUp(self):
        self.leader = self.servers.leader()
        self.followers = [node for node in NODES if node != self.leader]
        status = self.servers.status(self.leader)
        self.group = status.groups[0]
        self.cluster_id = uuid.UUID(status.cluster_id).bytes
        self.incarnations = {each.node: each.incarnation for each in self.group.members}

    def frame(self, sender, receiver, *parcels, lane=peer_pb2.FRAME_LANE_CONTROL, **fields):
        values = {"cluster_id": self.cluster_id, "from": sender, "to": receiver,
                  "from_incarnation": self.incarnations.get(sender, 1), "version": 1,
                  "oldest_version": 1, "newest_version": 1, "lane": lane, **fields}
        return peer_pb2.Frame(parcels=parcels, **values)

    def introduction(self, index, group=1):
        """A sender's claim that the entry makes it a member."""
        return {"group": group, "configuration": {"index": index, "term": self.group.term},
                "address": "127.0.0.1:1"}

    def parcel(self, group=1, **body):
        return peer_pb2.Parcel(group=group, **body)

    def vote(self, term=None, **fields):
        """A vote request that a node which takes it adopts the term of."""
        values = {"term": term or self.group.term + 5, "campaign": 1,
                  "last": {"index": self.group.last_index, "term": self.group.term}, **fields}
        return self.parcel(vote_request=values)

    def entries(self, *runs, **fields):
        values = {"term": self.group.term, "commit": 0, "records": runs,
                  "previous": {"index": self.group.last_index, "term": self.group.term}, **fields}
        return self.parcel(append_entries=values)

    def expect_refused(self, cases, code, reason=None):
        """The frames of each case, sent to the leader and to a follower, end the call so."""
        with self.unchanged():
            for name, frames_of in cases.items():
                for sender, receiver in ((self.followers[0], self.leader),
                                         (self.leader, self.followers[0])):
                    with self.subTest(name, to=receiver):
                        frames = frames_of(sender, receiver)
                        before = self.refused_frames(receiver, reason or name)
                        answer = self.call("Peer/Exchange", *frames, node=receiver)
                        self.expect(answer, code, reason or name)
                        self.assertEqual(before + 1,
                                         self.refused_frames(receiver, reason or name))

    def refused_frames(self, node, reason):
        return sum(each.count for each in self.servers.status(node).refused_frames
                   if each.reason == reason)

    def expect_invalid_parcels(self, parcels, reason, lane=peer_pb2.FRAME_LANE_CONTROL):
        def frames_of(parcel):
            return lambda sender, receiver: [self.frame(sender, receiver, parcel, lane=lane)]

        self.expect_refused({name: frames_of(parcel) for name, parcel in parcels.items()},
                            grpc.StatusCode.INVALID_ARGUMENT, reason)
