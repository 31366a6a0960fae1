"""A cluster for a test case, and what it takes to see that nothing in it has changed."""

import contextlib
import hashlib
import os
import random
import tempfile
import unittest

from rpc_errors import answer_of
from servers import NODES, Servers, wait_until
import grpc
from cairn.v1 import cluster_pb2, peer_pb2, streams_pb2, streams_pb2_grpc

CALL_SECONDS = 30
UNARY, FROM_SERVER, BOTH = "unary_unary", "unary_stream", "stream_stream"

# Every method clients and peers can call: what it takes, how it is called. (A health check's
# request looks like that for a stream: a name.)
METHODS = {
    "grpc.health.v1.Health/Check": (streams_pb2.GetStreamRequest, UNARY),
    "grpc.health.v1.Health/Watch": (streams_pb2.GetStreamRequest, FROM_SERVER),
    "Streams/Create": (streams_pb2.CreateStreamRequest, UNARY),
    "Streams/Get": (streams_pb2.GetStreamRequest, UNARY),
    "Streams/List": (streams_pb2.ListStreamsRequest, UNARY),
    "Log/Append": (streams_pb2.AppendRequest, UNARY),
    "Log/AppendStream": (streams_pb2.AppendStreamRequest, BOTH),
    "Log/Read": (streams_pb2.ReadRequest, UNARY),
    "Log/ReadRange": (streams_pb2.ReadRequest, FROM_SERVER),
    "Log/ReadStream": (streams_pb2.ReadStreamRequest, BOTH),
    "Log/Subscribe": (streams_pb2.SubscribeRequest, FROM_SERVER),
    "Sessions/Open": (streams_pb2.OpenSessionRequest, UNARY),
    "Sessions/Close": (streams_pb2.CloseSessionRequest, UNARY),
    "Cluster/GetStatus": (cluster_pb2.GetStatusRequest, UNARY),
    "Cluster/ListMembers": (cluster_pb2.ListMembersRequest, UNARY),
    "Cluster/AddMember": (cluster_pb2.AddMemberRequest, UNARY),
    "Cluster/PromoteMember": (cluster_pb2.PromoteMemberRequest, UNARY),
    "Cluster/RemoveMember": (cluster_pb2.RemoveMemberRequest, UNARY),
    "Cluster/CancelMemberChange": (cluster_pb2.CancelMemberChangeRequest, UNARY),
    "Cluster/TransferLeadership": (cluster_pb2.TransferLeadershipRequest, UNARY),
    "Peer/Exchange": (peer_pb2.Frame, BOTH),
}


def path_of(method):
    """The path of a method, Cairn's if no package is named."""
    return f"/{method}" if method.startswith("grpc.") else f"/cairn.v1.{method}"


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
            self.assertTrue(self.servers.running(node),
                            f"node {node} has ended:\n{self.servers.log(node)[-3000:]}")
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

        caller = getattr(channel, kind)(path_of(method), request_serializer=serialize)
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
