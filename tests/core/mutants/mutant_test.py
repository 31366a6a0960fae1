#!/usr/bin/env python3
"""Requires that a test finds the fault of a mutant, or none without one (mutant 0):
mutant_test.py BINARY MUTANT."""

import os
import subprocess
import sys
import unittest

binary, mutant = sys.argv[1:]


class MutantTest(unittest.TestCase):
    def environment(self):
        """Without what would make its failures those of this test."""
        return {name: value for name, value in os.environ.items()
                if name not in ("XML_OUTPUT_FILE", "GTEST_OUTPUT")}

    def run_it(self):
        done = subprocess.run([binary, "--gtest_brief=1"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True,
                              env={**self.environment(), "CAIRN_CHOSEN_MUTANT": mutant})
        print(done.stdout[-2000:])
        return done

    @unittest.skipUnless(mutant == "0", "has a mutant")
    def test_without_one_all_is_well(self):
        self.assertEqual(self.run_it().returncode, 0)

    @unittest.skipIf(mutant == "0", "has none")
    def test_is_found(self):
        done = self.run_it()
        self.assertNotEqual(done.returncode, 0, "the mutant survives")
        self.assertRegex(done.stdout, "FAILED|check failed")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
