#!/usr/bin/env python3
"""Holds the project to the checks of checks.py, to clang-format and to headers that stand alone."""

import concurrent.futures
import os
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


def compile_alone(header):
    """What the compiler says to a file that only includes `header`."""
    source = f'#include "{header}"\n'
    command = ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-iquote.", "-xc++", "-"]
    done = subprocess.run(
        command, cwd=source_tree.ROOT, input=source, capture_output=True, text=True
    )
    return f"{header}: does not compile on its own:\n{done.stderr}" if done.returncode else ""


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

    def test_headers_stand_alone(self):
        """Most are the first include of a source; the rest is compiled here."""
        alone = checks.headers_not_first(self.cpp)
        generated = [
            header
            for header in alone
            if any(i.path.endswith(".pb.h") for i in source_tree.includes(self.cpp[header]))
        ]
        self.hold([f"{header}: no source includes it first" for header in generated])
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
            self.hold([said for said in workers.map(compile_alone, alone) if said])


if __name__ == "__main__":
    unittest.main()
