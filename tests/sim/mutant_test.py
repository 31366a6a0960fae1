#!/usr/bin/env python3
"""Requires that the simulator finds the fault of a mutant: mutant_test.py BINARY SEEDS."""

import subprocess
import sys
import unittest

binary, seeds = sys.argv[1:]


class MutantTest(unittest.TestCase):
    def test_is_found(self):
        command = [binary, "--first_seed=1", f"--seeds={seeds}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(done.stdout)
        self.assertNotEqual(done.returncode, 64, "the command line is wrong")
        self.assertNotEqual(done.returncode, 0, f"the mutant survives {seeds} seeds")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
