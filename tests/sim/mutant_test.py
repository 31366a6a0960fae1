#!/usr/bin/env python3
"""Requires that the simulator finds the fault of a mutant: mutant_test.py BINARY MUTANT SEEDS."""

import subprocess
import sys
import unittest

binary, mutant, seeds = sys.argv[1:]


class MutantTest(unittest.TestCase):
    def simulate(self, number, count):
        command = [binary, f"--mutant={number}", "--first_seed=1", f"--seeds={count}"]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_without_it_all_is_well(self):
        done = self.simulate(0, 5)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_is_found(self):
        done = self.simulate(mutant, seeds)
        print(done.stdout)
        self.assertNotEqual(done.returncode, 64, "the command line is wrong")
        self.assertNotEqual(done.returncode, 0, f"the mutant survives {seeds} seeds")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
