#!/usr/bin/env python3
"""What monitoring sees of a member that goes, comes back and catches up: by HTTP and by cairn."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

RUNFILES = pathlib.Path.cwd()
sys.path.insert(0, str(RUNFILES / "tests/integration"))

from servers import NODES, Servers, free_ports, wait_until  # noqa: E402 (found as above)

CAIRN = RUNFILES / "service/cli/cairn"
MESSAGES = 3000


class Monitored(Servers):
    def __init__(self, directory):
        super().__init__(directory)
        self.http = dict(zip(NODES, free_ports(len(NODES))))

    def command(self, node):
        return [*super().command(node), f"--http_listen=127.0.0.1:{self.http[node]}"]

    def get(self, node, path):
        """Status and body; status 0 if nobody answers."""
        try:
            url = f"http://127.0.0.1:{self.http[node]}{path}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, node, name):
        """The value of a metric of the group."""
        for line in self.get(node, "/metrics")[1].splitlines():
            if line.startswith(name + "{"):
                return float(line.rsplit(" ", 1)[1])
        return None


class MonitoringTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.servers = Monitored(pathlib.Path(directory.name))
        self.addCleanup(self.servers.kill_all)
        self.servers.start_all()

    def cairn(self, *words, code=0, stdin=None):
        command = [str(CAIRN), *words, "--endpoints", ",".join(self.servers.addresses.values())]
        done = subprocess.run(command, capture_output=True, timeout=120, input=stdin)
        self.assertEqual(code, done.returncode, done.stderr)
        return done

    def ready(self, node):
        return self.servers.get(node, "/readyz")[0] == 200

    def test_a_member_that_lags_is_not_ready(self):
        self.cairn("wait", "--healthy", "--timeout=60s")
        for node in NODES:
            self.assertEqual((200, "ok\n"), self.servers.get(node, "/readyz"))
            self.assertEqual(1, self.servers.metric(node, "cairn_healthy"))
        leader = self.servers.leader()
        away = leader % 3 + 1
        self.servers.kill(away)
        self.cairn("wait", "--healthy", "--timeout=2s", code=7)
        self.cairn("stream", "create", "kept", "--timeout=60s")
        lines = b"".join(b"%d %s\n" % (i, b"x" * 200) for i in range(MESSAGES))
        self.cairn("append", "kept", "--file=-", "--lines", "--timeout=60s", stdin=lines)
        self.servers.start(away)
        self.servers.wait_ready(away)
        self.cairn("wait", "--healthy", "--max_lag=0", "--timeout=60s")
        # Healthy is who has all of it.
        committed = self.servers.status(leader).groups[0].commit_index
        self.assertGreaterEqual(self.servers.status(away).groups[0].applied_index, committed)
        wait_until("it is ready", lambda: self.ready(away))
        status = json.loads(self.servers.get(away, "/api/status.json")[1])
        self.assertEqual(away, int(status["node"]))
        self.assertTrue(status["groups"][0]["health"]["healthy"])
        self.assertEqual(MESSAGES, self.read_back())

    def read_back(self):
        return len(self.cairn("read", "kept", "--raw", "--timeout=60s").stdout.splitlines())


if __name__ == "__main__":
    unittest.main()
