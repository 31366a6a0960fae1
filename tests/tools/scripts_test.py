#!/usr/bin/env python3
"""Every shell script of the project parses, can be run, explains itself and refuses nonsense."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tree"))
import source_tree  # noqa: E402 (found through the line above)


def run(*command):
    return subprocess.run(command, cwd=source_tree.ROOT, capture_output=True, text=True, timeout=60)


def scripts():
    """Paths of the shell scripts, by their first line."""
    return [
        path
        for path in source_tree.files()
        if (source_tree.read(path) or "").startswith(("#!/bin/bash", "#!/bin/sh"))
    ]


class ScriptsTest(unittest.TestCase):
    def test_parse(self):
        for path in [*scripts(), "tools/lib.sh"]:
            done = run("bash", "-n", path)
            self.assertEqual("", done.stderr, path)

    def test_can_be_run(self):
        for path in scripts():
            self.assertTrue(os.access(source_tree.ROOT / path, os.X_OK), path)

    def test_expected_scripts_are_there(self):
        for path in (".ci/run", "tools/bench", "tools/install_packages", "tools/quickstart",
                     "tools/test", "tools/tidy"):
            self.assertIn(path, scripts())


class ArgumentsTest(unittest.TestCase):
    tools = ("tools/bench", "tools/install_packages", "tools/quickstart", "tools/test")

    def test_help(self):
        for path in (*self.tools, "tools/tidy"):
            done = run(path, "--help")
            self.assertEqual(0, done.returncode, path)
            self.assertTrue(done.stdout.startswith(f"usage: {path}"), done.stdout)
            self.assertNotIn("set -euo", done.stdout)

    def test_unknown_argument(self):
        for path in self.tools:
            done = run(path, "--nonsense")
            self.assertEqual(64, done.returncode, path)
            self.assertIn("unknown argument: --nonsense", done.stderr)
            self.assertIn(f"usage: {path}", done.stderr)

    def test_values_of_test(self):
        for arguments in (["--seeds"], ["--seeds", "many"], ["--seeds=0"], ["--config"],
                          ["--config", "nonsense"]):
            done = run("tools/test", *arguments)
            self.assertEqual(64, done.returncode, arguments)


if __name__ == "__main__":
    unittest.main()
