#!/usr/bin/env python3
"""Members of a real cluster come and go, and leadership moves, with the command line and by RPC."""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from members import Members  # noqa: E402 (found through the path above)
from rpc_errors import answer_of  # noqa: E402
from servers import PATIENCE, wait_until  # noqa: E402
import grpc  # noqa: E402 (Debian's)
from cairn.v1 import cluster_pb2, cluster_pb2_grpc, streams_pb2, streams_pb2_grpc  # noqa: E402

PRECONDITION, NOT_FOUND = 4, 3  # exit codes of cairn


class MembershipTest(unittest.TestCase):
    def cluster(self, initial, joiners=()):
        directory = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(directory.cleanup)
        servers = Members(directory.name, initial, joiners)
        self.addCleanup(servers.kill_all)
        servers.start_ready(*initial)
        servers.leader()
        self.assertEqual(0, servers.cairn("stream", "create", "kept")[0])
        return servers

    def append(self, servers, payload):
        code, _, error = servers.cairn("append", "kept", payload)
        self.assertEqual(0, code, error)

    def payloads(self, servers):
        code, rows, error = servers.cairn("read", "kept")
        self.assertEqual(0, code, error)
        return len(rows)

    def call(self, servers, node, method, request):
        with grpc.insecure_channel(servers.addresses[node]) as channel:
            stub = cluster_pb2_grpc.ClusterStub(channel)
            return answer_of(lambda: getattr(stub, method)(request, timeout=PATIENCE), False)

    def test_grows_replaces_and_removes_its_leader(self):
        servers = self.cluster([1], [2, 3, 4])
        self.append(servers, "one")
        servers.start_ready(2, 3)
        servers.wait_for([1, 2, 3])
        self.append(servers, "two")

        # Node 3 is gone for good; 4 takes its place.
        servers.kill(3)
        servers.start_ready(4)
        servers.wait_for([1, 2, 3, 4])
        code, rows, error = servers.cairn("member", "remove", "3", "--wait")
        self.assertEqual((0, "done"), (code, rows and rows[0]["outcome"]), error)
        servers.wait_for([1, 2, 4])
        self.append(servers, "three")

        # A joined node finds its way back by itself.
        servers.kill(4)
        servers.start_ready(4)
        self.assertEqual(0, servers.cairn("wait", "--healthy")[0])

        # The leader goes: it hands over, is told, and ends well; started again, it ends again.
        leader = servers.leader()
        code, _, error = servers.cairn("member", "remove", str(leader))
        self.assertEqual(0, code, error)
        self.assertEqual(0, servers.end(leader))
        self.assertIn("MEMBER_REMOVED", servers.log(leader))
        left = [node for node in (1, 2, 4) if node != leader]
        servers.wait_for(left)
        self.append(servers, "four")
        self.assertEqual(4, self.payloads(servers))
        servers.start_ready(leader)
        self.assertEqual(0, servers.end(leader))
        servers.wait_for(left)

    def caught_up(self, servers, node):
        """Waits until the node's log and its leader are those of the leader."""
        def there():
            leader = servers.leader()
            status, own = servers.status(leader), servers.status(node)
            if not status or not own:
                return False
            group, of_node = status.groups[0], own.groups[0]
            return (of_node.leader == leader and of_node.commit_index == group.commit_index and
                    list(of_node.members) == list(group.members))

        wait_until(f"node {node} has caught up", there, tell=lambda: servers.log(node)[-3000:])

    def test_a_member_that_was_down_is_fed_by_members_it_has_never_heard_of(self):
        servers = self.cluster([1, 2, 3], [4, 5])
        self.append(servers, "one")
        servers.kill(3)
        servers.start_ready(4, 5)
        servers.wait_for([1, 2, 3, 4, 5])
        for node in (1, 2):
            code, _, error = servers.cairn("member", "remove", str(node), "--wait")
            self.assertEqual(0, code, error)
            self.assertEqual(0, servers.end(node))
        servers.wait_for([3, 4, 5])
        self.append(servers, "two")
        servers.start_ready(3)
        self.caught_up(servers, 3)
        # It counts: without it there is no majority.
        gone = next(node for node in (4, 5) if node != servers.leader())
        servers.kill(gone)
        self.append(servers, "three")
        self.assertEqual(3, self.payloads(servers))
        # And finds them again by what its log says.
        servers.kill(3)
        servers.start_ready(3)
        self.caught_up(servers, 3)

    def test_a_member_that_was_down_follows_a_leader_it_has_never_heard_of(self):
        servers = self.cluster([1, 2, 3], [4, 5])
        servers.kill(3)
        servers.start_ready(4, 5)
        servers.wait_for([1, 2, 3, 4, 5])
        code, _, error = servers.cairn("leader", "transfer", "4")
        self.assertEqual(0, code, error)
        # Nobody else has anything for it.
        for node in (1, 2):
            servers.kill(node)
            servers.start_ready(node)
        self.append(servers, "one")
        servers.start_ready(3)
        self.caught_up(servers, 3)
        self.assertEqual(4, servers.leader())

    def test_who_was_removed_while_it_was_down_is_told_by_members_that_started_since(self):
        servers = self.cluster([1, 2], [3, 4])
        servers.start_ready(3, 4)
        servers.wait_for([1, 2, 3, 4])
        servers.kill(4)
        code, _, error = servers.cairn("member", "remove", "4", "--wait")
        self.assertEqual(0, code, error)
        servers.wait_for([1, 2, 3])
        # Nobody has it from anywhere but its log now, or a snapshot in its place.
        code, _, error = servers.cairn("snapshot")
        self.assertEqual(0, code, error)
        servers.kill_all()
        servers.start_ready(1, 2, 3)
        servers.wait_for([1, 2, 3])
        # It does not ask to be taken in again.
        again = [part for part in servers.command(4) if not part.startswith("--join")]
        servers.command = lambda node: again
        logged_before = len(servers.log(4))
        servers.start(4)
        self.assertEqual(0, servers.end(4), servers.log(4))
        log = servers.log(4)[logged_before:]
        self.assertIn("refuses our frames: MEMBER_REMOVED", log)
        self.assertIn("MEMBER_REMOVED: node 4 is no member of group 1 any more", log)
        self.assertNotIn("is no peer", log)
        servers.wait_for([1, 2, 3])
        self.append(servers, "they go on")

    def test_a_learner_is_promoted_when_asked(self):
        servers = self.cluster([1], [2])
        servers.extra[2] = ["--learner"]
        servers.start_ready(2)
        servers.wait_for([1], [2])
        code, _, error = servers.cairn("leader", "transfer", "2")
        self.assertEqual(PRECONDITION, code)
        self.assertIn("BAD_TARGET", error)
        code, _, error = servers.cairn("member", "promote", "2", "--wait")
        self.assertEqual(0, code, error)
        servers.wait_for([1, 2])
        code, rows, error = servers.cairn("leader", "transfer", "2")
        self.assertEqual((0, [{"leader": 2, "outcome": "done"}]), (code, rows), error)

    def test_a_node_may_be_added_before_it_is_there(self):
        servers = self.cluster([1], [2])
        code, rows, error = servers.cairn("member", "add", f"2={servers.addresses[2]}")
        self.assertEqual((0, "accepted"), (code, rows and rows[0]["outcome"]), error)
        servers.wait_for([1], [2])
        servers.start_ready(2)
        servers.wait_for([1, 2])

        def disk_known():
            _, rows, _ = servers.cairn("member", "list")
            return all(row["incarnation"] for row in rows)

        wait_until("the log says which disk node 2 has", disk_known)

    def test_who_was_removed_is_not_taken_in_by_its_own_asking(self):
        servers = self.cluster([1], [2])
        add = ("member", "add", f"2={servers.addresses[2]}")
        self.assertEqual(0, servers.cairn(*add)[0])
        servers.wait_for([1], [2])
        code, _, error = servers.cairn("member", "cancel")
        self.assertEqual(0, code, error)
        servers.wait_for([1])
        # It has never been there, so its log says nothing of it; it asks to be taken in.
        servers.start(2)
        self.assertEqual(0, servers.end(2), servers.log(2))
        self.assertIn("removed from the cluster, and ends: MEMBER_REMOVED", servers.log(2))
        servers.wait_for([1])
        # An operator may want it all the same.
        code, _, error = servers.cairn(*add)
        self.assertEqual(0, code, error)
        servers.start_ready(2)
        servers.wait_for([1, 2])
        # And it ends for good, by its log or by its asking, whichever comes first.
        servers.kill(2)
        servers.start_ready(2)
        # Both are voters from the joint configuration on, which may still be under way.
        wait_until("the change before is done, and node 2 removed",
                   lambda: servers.cairn("member", "remove", "2", "--wait")[0] == 0)
        self.assertEqual(0, servers.end(2), servers.log(2))
        for _ in range(3):
            servers.start(2)
            self.assertEqual(0, servers.end(2), servers.log(2))
        servers.wait_for([1])

    def test_a_wiped_member_is_told_to_join_as_new(self):
        servers = self.cluster([1, 2, 3])
        servers.kill(2)
        shutil.rmtree(servers.data(2))
        servers.initial = [1, 3]  # so that node 2 joins
        servers.start(2)
        self.assertEqual(78, servers.end(2))
        self.assertIn("MEMBER_AMNESIA", servers.log(2))
        servers.initial = [1, 2, 3]
        servers.start_ready(2)
        self.assertEqual(78, servers.end(2))
        self.assertIn("remove this node from the cluster and bring it back under a new id",
                      servers.log(2))

    def test_a_pipeline_of_appends_may_name_its_term(self):
        servers = self.cluster([1, 2, 3])
        leader = servers.leader()
        term = servers.status(leader).groups[0].term

        def append(node, expected_term):
            batch = streams_pb2.AppendBatch(messages=[streams_pb2.NewMessage(payload=b"x")])
            request = streams_pb2.AppendStreamRequest(
                open=streams_pb2.AppendStreamOpen(stream="kept", expected_term=expected_term),
                batches=[batch, batch])
            with grpc.insecure_channel(servers.addresses[node]) as channel:
                log = streams_pb2_grpc.LogStub(channel)
                return answer_of(lambda: log.AppendStream(iter([request]), timeout=PATIENCE), True)

        for node in servers.processes:
            self.assertEqual(grpc.StatusCode.OK, append(node, term).code, node)
        self.assertEqual(6, self.payloads(servers))
        self.assertEqual(0, servers.cairn("leader", "transfer")[0])
        wait_until("all are in a later term", lambda: all(
            status and status.groups[0].leader and status.groups[0].term > term
            for status in map(servers.status, servers.processes)))
        present = servers.status(servers.leader()).groups[0].term
        for node in servers.processes:
            answer = append(node, term)
            self.assertEqual((grpc.StatusCode.ABORTED, "TERM_CHANGED"),
                             (answer.code, answer.reason), answer)
            self.assertEqual({"batch": "1", "outcome": "not_applied", "term": str(present)},
                             dict(answer.metadata), answer)
            self.assertEqual(grpc.StatusCode.OK, append(node, 0).code, node)
        self.assertEqual(12, self.payloads(servers))

    def test_no_append_fails_while_leadership_moves(self):
        servers = self.cluster([1, 2, 3])
        done = threading.Event()
        problems, appended = [], []

        def load(node):
            with grpc.insecure_channel(servers.addresses[node]) as channel:
                log = streams_pb2_grpc.LogStub(channel)
                while not done.is_set():
                    try:
                        log.Append(streams_pb2.AppendRequest(
                            stream="kept", messages=[streams_pb2.NewMessage(payload=b"x")]),
                            timeout=PATIENCE)
                        appended.append(node)
                    except grpc.RpcError as error:
                        problems.append(f"node {node}: {error.code()} {error.details()}")

        threads = [threading.Thread(target=load, args=[node]) for node in (1, 2, 3) * 4]
        for thread in threads:
            thread.start()
        for _ in range(8):
            before = len(appended)
            code, _, error = servers.cairn("leader", "transfer")
            self.assertEqual(0, code, error)
            wait_until("appends go on", lambda: len(appended) > before + 20)
        done.set()
        for thread in threads:
            thread.join()
        self.assertEqual([], problems)
        self.assertEqual(len(appended), self.payloads(servers))

    def test_a_leader_that_is_asked_to_stop_hands_over(self):
        servers = self.cluster([1, 2, 3])
        leader = servers.leader()
        term = servers.status(leader).groups[0].term
        servers.processes[leader].send_signal(signal.SIGTERM)
        self.assertEqual(0, servers.end(leader))
        next_leader = servers.leader()
        # One hand-over is one term; by timeouts it could be as well, but not without a warning.
        self.assertEqual(term + 1, servers.status(next_leader).groups[0].term)
        self.assertNotIn("leadership was not handed over", servers.log(leader))

    def test_refusals(self):
        servers = self.cluster([1, 2, 3])
        leader = servers.leader()
        follower = next(node for node in (1, 2, 3) if node != leader)
        third = 6 - leader - follower
        add = cluster_pb2.AddMemberRequest(node=9, address="127.0.0.1:1")

        answer = self.call(servers, follower, "AddMember", add)
        self.assertEqual(("NOT_LEADER", servers.addresses[leader]),
                         (answer.reason, answer.metadata.get("leaderAddress")), answer)
        for address in ("", "nowhere", "127.0.0.1:0", "127.0.0.1:77777"):
            answer = self.call(servers, leader, "AddMember",
                               cluster_pb2.AddMemberRequest(node=9, address=address))
            self.assertEqual((grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
                             (answer.code, answer.reason), address)
        answer = self.call(servers, leader, "AddMember", cluster_pb2.AddMemberRequest(
            node=9, address=servers.addresses[1]))
        self.assertEqual((grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MEMBERS"),
                         (answer.code, answer.reason))
        answer = self.call(servers, leader, "RemoveMember",
                           cluster_pb2.RemoveMemberRequest(group=5, node=1))
        self.assertEqual("GROUP_NOT_FOUND", answer.reason)
        code, _, error = servers.cairn("member", "remove", "9")
        self.assertEqual(NOT_FOUND, code, error)

        # A node that does not run: the change is accepted, goes on, and holds up every other one.
        self.assertIsNone(self.call(servers, leader, "AddMember", add).reason)
        self.assertIsNone(self.call(servers, leader, "AddMember", add).reason)
        answer = self.call(servers, leader, "RemoveMember",
                           cluster_pb2.RemoveMemberRequest(node=third))
        self.assertEqual((grpc.StatusCode.FAILED_PRECONDITION, "CONFIG_BUSY", "not_applied"),
                         (answer.code, answer.reason, answer.metadata.get("outcome")), answer)
        code, rows, _ = servers.cairn("member", "list")
        self.assertEqual(["becomes voter"], [row["change"] for row in rows if row["node"] == 9])
        self.assertEqual(0, servers.cairn("member", "cancel")[0])
        code, _, error = servers.cairn("member", "cancel")
        self.assertEqual(PRECONDITION, code, error)
        servers.wait_for([1, 2, 3])

        servers.kill(third)
        target = cluster_pb2.TransferLeadershipRequest(node=third)
        wait_until("the leader misses it", lambda: self.call(
            servers, leader, "TransferLeadership", target).reason == "BAD_TARGET")
        answer = self.call(servers, leader, "RemoveMember",
                           cluster_pb2.RemoveMemberRequest(node=follower))
        self.assertEqual((grpc.StatusCode.FAILED_PRECONDITION, "QUORUM_AT_RISK"),
                         (answer.code, answer.reason), answer)
        self.assertIn(f"needs 2 of 2 voters, only node {leader} answers", answer.text)


if __name__ == "__main__":
    unittest.main()
