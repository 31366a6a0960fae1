"""Clusters whose members come and go, for tests in Python."""

import json
import pathlib
import subprocess
import sys

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from servers import PATIENCE, Servers, free_ports, wait_until  # noqa: E402 (through the path above)
import grpc  # noqa: E402 (Debian's)
from cairn.v1 import cluster_pb2, cluster_pb2_grpc  # noqa: E402

CAIRN = RUNFILES / "service/cli/cairn"


class Members(Servers):
    """Servers of which some form the cluster and others join it."""

    def __init__(self, directory, initial, joiners=()):
        super().__init__(directory)
        self.initial = initial
        nodes = [*initial, *joiners]
        self.addresses = {node: f"127.0.0.1:{port}"
                          for node, port in zip(nodes, free_ports(len(nodes)))}
        self.extra = {}  # flags a node joins with

    def members(self):
        return ",".join(f"{node}={self.addresses[node]}" for node in self.initial)

    def command(self, node):
        command = super().command(node)
        if node in self.initial:
            return command
        known = ",".join(self.addresses[other] for other in self.processes if other != node)
        command = [part for part in command if not part.startswith("--initial_cluster")]
        return [*command, f"--join={known}", *self.extra.get(node, ())]

    def start_ready(self, *nodes):
        for node in nodes:
            self.start(node)
        for node in nodes:
            self.wait_ready(node)

    def end(self, node, patience=PATIENCE):
        """Waits for the process to end by itself; its exit code."""
        process = self.processes.pop(node)
        code = process.wait(patience)
        process.stdout.close()
        return code

    def cairn(self, *arguments):
        """Exit code, the JSON objects on stdout, stderr."""
        endpoints = ",".join(self.addresses[node] for node in self.processes)
        done = subprocess.run([CAIRN, f"--endpoints={endpoints}", "-o", "json", "--timeout=30s",
                               *arguments], capture_output=True, text=True, timeout=2 * PATIENCE)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def roles(self):
        """node -> role, by the leader's log; a voter is a follower or the leader."""
        code, rows, _ = self.cairn("member", "list")
        return {row["node"]: row["role"] for row in rows} if code == 0 else {}

    def joint(self):
        """Whether a change is under way that both the old and the new voters decide."""
        with grpc.insecure_channel(self.addresses[self.leader()]) as channel:
            stub = cluster_pb2_grpc.ClusterStub(channel)
            try:
                return stub.ListMembers(cluster_pb2.ListMembersRequest(), timeout=PATIENCE).joint
            except grpc.RpcError:
                return True

    def wait_for(self, voters, learners=()):
        """Until they are the members, and not jointly with others: a change may follow."""
        def there():
            if self.joint():
                return False
            roles = self.roles()
            learn = sorted(node for node, role in roles.items() if role == "learner")
            vote = sorted(node for node, role in roles.items() if role != "learner")
            return vote == sorted(voters) and learn == sorted(learners)

        wait_until(f"voters {voters} and learners {learners}", there)
