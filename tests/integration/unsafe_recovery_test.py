#!/usr/bin/env python3
"""A majority of a real cluster is lost for good, and the survivor goes on: the whole drill."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from members import CAIRN, Members  # noqa: E402 (found through the path above)
from rpc_errors import answer_of  # noqa: E402
from servers import PATIENCE, wait_until  # noqa: E402
import grpc  # noqa: E402 (Debian's)
from cairn.v1 import cluster_pb2, cluster_pb2_grpc  # noqa: E402

PRECONDITION, USAGE = 4, 1  # exit codes of cairn


class UnsafeRecoveryTest(unittest.TestCase):
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

    def lose(self, servers, *nodes):
        """Processes and data are gone."""
        for node in nodes:
            servers.kill(node)
            shutil.rmtree(servers.data(node))

    def group(self, servers, node):
        return servers.status(node).groups[0]

    def wait_leaderless(self, servers, *nodes):
        for node in nodes:
            wait_until(f"node {node} knows no leader",
                       lambda node=node: self.group(servers, node).leader == 0)

    def unsafe_recoveries(self, servers):
        """node -> the field of cairn status, of all that answer."""
        _, rows, _ = servers.cairn("status")
        return {row["node"]: row["unsafe_recoveries"] for row in rows
                if row["role"] != "unreachable"}

    def test_two_of_three_are_lost(self):
        servers = self.cluster([1, 2, 3], [4, 5])
        for payload in ("one", "two", "three"):
            self.append(servers, payload)
        self.assertEqual({1: 0, 2: 0, 3: 0}, self.unsafe_recoveries(servers))

        # With a leader there is nothing to recover from.
        code, _, error = servers.cairn("member", "unsafe-evict", "3", "--plan")
        self.assertEqual(PRECONDITION, code, error)
        self.assertIn("node 3 answers: it is not lost", error)

        self.lose(servers, 2, 3)
        self.wait_leaderless(servers, 1)
        term = self.group(servers, 1).term

        # Node 1 counts as many as decide only with both gone.
        code, _, error = servers.cairn("member", "unsafe-evict", "3")
        self.assertEqual(PRECONDITION, code, error)
        self.assertIn("node 2 does not answer and is not to be evicted", error)

        # The plan, which is what comes without flags, does nothing.
        code, rows, error = servers.cairn("member", "unsafe-evict", "2,3")
        self.assertEqual(0, code, error)
        self.assertEqual([1], [row["node"] for row in rows if "last_index" in row])
        estimate = rows[-1]
        self.assertEqual((1, 1, 2), (estimate["longest_log"], estimate["votes_needed"],
                                     estimate["majority"]))
        self.assertIn("is lost; how much that is nobody left can know", estimate["may_be_lost"])
        self.assertRegex(estimate["may_be_lost"], r"A leader was last heard \d+\.\d s ago")
        self.assertEqual((term, 0), (self.group(servers, 1).term, self.group(servers, 1).leader))

        code, rows, error = servers.cairn("member", "unsafe-evict", "2,3", "--unsafe-really")
        self.assertEqual(0, code, error)
        self.assertEqual({"leader": 1, "outcome": "done", "unsafe_recoveries": 1}, rows[-1])
        self.append(servers, "alone")
        self.assertEqual(4, self.payloads(servers))
        group = self.group(servers, 1)
        self.assertEqual([1], [member.node for member in group.members])
        self.assertEqual(([2, 3], 0), (list(group.unsafe_recoveries.evicted),
                                       group.unsafe_recoveries.quorum))
        self.assertGreater(group.unsafe_recoveries.asked.seconds, 0)
        self.assertLess(group.unsafe_recoveries.index, group.last_index)

        # Whole again, and started anew by all: it is not forgotten.
        servers.start_ready(4, 5)
        servers.wait_for([1, 4, 5])
        self.append(servers, "whole")
        for node in (1, 4, 5):
            servers.kill(node)
        servers.start_ready(1, 4, 5)
        self.assertEqual(0, servers.cairn("wait", "--healthy")[0])
        self.assertEqual({1: 1, 4: 1, 5: 1}, self.unsafe_recoveries(servers))
        code, _, error = servers.cairn("status")
        self.assertIn("the group was recovered unsafely 1 time, last without node 2, node 3", error)
        self.assertEqual(5, self.payloads(servers))

    def test_a_lost_one_comes_back(self):
        servers = self.cluster([1, 2, 3])
        self.append(servers, "one")
        servers.kill(2)
        servers.kill(3)
        self.wait_leaderless(servers, 1)
        code, _, error = servers.cairn("member", "unsafe-evict", "2,3", "--unsafe-really")
        self.assertEqual(0, code, error)
        self.append(servers, "two")
        # Not lost after all: they are told that they are no members, and disturb nobody. One after
        # the other: together they are the old majority, and may go on before they are told.
        term = self.group(servers, 1).term
        for node in (2, 3):
            servers.start(node)
            self.assertEqual(0, servers.end(node))
            self.assertIn("MEMBER_REMOVED", servers.log(node))
        self.append(servers, "three")
        self.assertEqual((term, 1), (self.group(servers, 1).term, self.group(servers, 1).leader))
        self.assertEqual(3, self.payloads(servers))

    def test_those_who_know_more_come_back_and_stop(self):
        servers = self.cluster([1, 2, 3])
        self.append(servers, "one")
        survivor = next(node for node in (1, 2, 3) if node != servers.leader())
        others = [node for node in (1, 2, 3) if node != survivor]
        servers.kill(survivor)
        for payload in ("gone", "gone", "gone"):
            self.append(servers, payload)
        for node in others:
            servers.kill(node)
        servers.start_ready(survivor)
        names = ",".join(map(str, others))
        # It may have promised a vote just before it was killed.
        wait_until("a leader may not be live any more", lambda: servers.cairn(
            "member", "unsafe-evict", names)[0] == 0)
        code, rows, error = servers.cairn("member", "unsafe-evict", names, "--unsafe-really")
        self.assertEqual(0, code, error)
        self.assertIn("No leader was heard since this member started",
                      next(row["may_be_lost"] for row in rows if "may_be_lost" in row))
        self.assertEqual(1, self.payloads(servers))
        # The others hold three entries that were acknowledged. They are not merged and not
        # overwritten; who holds them takes part no more. A killed process knows that they were
        # committed only if its state has them or the two elect a leader before they hear.
        for node in others:
            servers.start(node)
        for node in others:
            wait_until(f"node {node} stops", lambda node=node: re.search(
                "evicted unsafely|MEMBER_REMOVED", servers.log(node)))
        self.append(servers, "two")
        self.assertEqual(2, self.payloads(servers))
        self.assertEqual(survivor, self.group(servers, survivor).leader)

    def test_a_lower_quorum(self):
        servers = self.cluster([1, 2, 3])
        self.append(servers, "one")
        self.lose(servers, 2, 3)
        self.wait_leaderless(servers, 1)
        code, rows, error = servers.cairn("member", "unsafe-rescue-quorum", "1", "--unsafe-really",
                                          "--expiry=60s")
        self.assertEqual(0, code, error)
        self.assertEqual(("done", 1), (rows[-1]["outcome"], rows[-1]["unsafe_recoveries"]))
        group = self.group(servers, 1)
        self.assertEqual(cluster_pb2.MEMBER_STATE_DEGRADED, group.state)
        self.assertRegex(group.reason, r"unsafe override: 1 voter is enough, until \d{4}-")
        self.append(servers, "two")
        for node in (2, 3):
            code, _, error = servers.cairn("member", "remove", str(node), "--wait")
            self.assertEqual(0, code, error)
        wait_until("it is over with the last one",
                   lambda: self.group(servers, 1).state == cluster_pb2.MEMBER_STATE_SERVING)
        self.assertEqual({1: 1}, self.unsafe_recoveries(servers))
        self.assertEqual(2, self.payloads(servers))

    def test_refusals(self):
        servers = self.cluster([1, 2, 3])
        leader = servers.leader()

        def ask(node, **fields):
            request = cluster_pb2.UnsafeRecoverRequest(**fields)
            with grpc.insecure_channel(servers.addresses[node]) as channel:
                stub = cluster_pb2_grpc.ClusterStub(channel)
                return answer_of(lambda: stub.UnsafeRecover(request, timeout=PATIENCE), False)

        for node in (1, 2, 3):
            others = [other for other in (1, 2, 3) if other != node]
            answer = ask(node, evicted=others)
            self.assertEqual((grpc.StatusCode.FAILED_PRECONDITION, "MAJORITY_NOT_LOST",
                              "not_applied"),
                             (answer.code, answer.reason, answer.metadata.get("outcome")), answer)
            self.assertIn("leads", answer.text)
        self.assertEqual("GROUP_NOT_FOUND", ask(leader, group=7, evicted=[2]).reason)

        survivor = next(node for node in (1, 2, 3) if node != leader)
        lost = [node for node in (1, 2, 3) if node != survivor]
        self.lose(servers, *lost)
        self.wait_leaderless(servers, survivor)
        for fields, text in (
                ({"evicted": lost[:1]}, None),
                ({"evicted": [survivor]}, "does not evict itself"),
                ({"evicted": [9, *lost]}, "node 9 is no member"),
                ({"evicted": lost + lost}, "is named twice"),
                ({}, "nobody is to be evicted"),
                ({"quorum": 2}, "is not less than 2"),
                ({"quorum": 1, "evicted": lost}, "either")):
            answer = ask(survivor, **fields)
            if text is None:
                self.assertEqual("MAJORITY_NOT_LOST", answer.reason, answer)
                self.assertIn("2 of 3 voters are left, and 2 decide", answer.text)
            else:
                self.assertEqual((grpc.StatusCode.INVALID_ARGUMENT, "INVALID_MEMBERS"),
                                 (answer.code, answer.reason), (fields, answer))
                self.assertIn(text, answer.text)
        for seconds in (0, -1, 3601, 1 << 50):
            request = {"evicted": lost, "expiry": {"seconds": seconds}}
            self.assertEqual(grpc.StatusCode.INVALID_ARGUMENT, ask(survivor, **request).code)
        done = subprocess.run([CAIRN, "member", "unsafe-evict", "2", "--plan", "--unsafe-really"],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(USAGE, done.returncode, done.stderr)
        self.assertEqual(0, self.group(servers, survivor).leader)


if __name__ == "__main__":
    unittest.main()
