#!/usr/bin/env python3
"""Holds the project to the checks of checks.py and to clang-format."""

import subprocess
import unittest

import checks
from checks import source_tree

# The licence is its authors' text.
EXEMPT = ("LICENSE",)


def run(command):
    """The output of a command if it fails, else ""."""
    done = subprocess.run(command, cwd=source_tree.ROOT, capture_output=True, text=True)
    return (done.stdout + done.stderr) if done.returncode else ""


class TidyTest(unittest.TestCase):
    def setUp(self):
        texts = {path: source_tree.read(path) for path in source_tree.files()}
        self.texts = {path: text for path, text in texts.items() if text is not None}
        self.assertIn("base/check.h", self.texts)
        self.cpp = {path: text for path, text in self.texts.items() if path.endswith(checks.CPP)}

    def hold(self, problems):
        if problems:
            self.fail("\n" + "\n".join(problems))

    def test_files(self):
        self.hold([
            problem
            for path, text in self.texts.items()
            if path not in EXEMPT
            for problem in checks.check_file(path, text, self.texts)
        ])

    def test_format(self):
        said = run(["clang-format", "--dry-run", "-Werror", "--style=file", *self.cpp])
        self.hold([said] if said else [])


if __name__ == "__main__":
    unittest.main()
