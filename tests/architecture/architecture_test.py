#!/usr/bin/env python3
"""Holds the project to the rules of rules.py: includes, code and the build graph."""

import unittest

import rules
from rules import source_tree


def build_targets():
    found = []
    for path in source_tree.files("BUILD.bazel", "BUILD"):
        package = path.rpartition("/")[0]
        found += source_tree.targets(source_tree.read(path), package)
    return found


class ArchitectureTest(unittest.TestCase):
    def hold(self, problems):
        if problems:
            self.fail("\n" + "\n".join(problems))

    def test_includes(self):
        paths = source_tree.files(".h", ".cc")
        self.assertTrue(paths)
        self.hold([p for path in paths for p in rules.check_includes(path, source_tree.read(path))])

    def test_code(self):
        paths = source_tree.files(".h", ".cc")
        self.hold([p for path in paths for p in rules.check_code(path, source_tree.read(path))])

    def test_dependencies(self):
        targets = build_targets()
        self.assertIn("//base:check", [target.label for target in targets])
        self.hold([p for target in targets for p in rules.check_target(target)])

    def test_what_the_thread_sanitizer_runs(self):
        self.hold(rules.check_instrumentation(build_targets()))


if __name__ == "__main__":
    unittest.main()
