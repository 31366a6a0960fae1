#!/usr/bin/env python3
"""Requires that the simulator finds the fault of a mutant, or none without one (mutant 0):
mutant_test.py BINARY MUTANT SEEDS SEED_TRIED_FIRST..."""

import subprocess
import sys
import unittest

binary, mutant, seeds = sys.argv[1:4]
tried_first = sys.argv[4:]
WRONG_COMMAND_LINE = 64


class MutantTest(unittest.TestCase):
    def failed(self, first_seed, count):
        command = [binary, f"--mutant={mutant}", f"--first_seed={first_seed}", f"--seeds={count}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(done.stdout)
        self.assertNotEqual(done.returncode, WRONG_COMMAND_LINE, "the command line is wrong")
        return done.returncode != 0

    def fails(self):
        return any(self.failed(seed, 1) for seed in tried_first) or self.failed(1, seeds)

    @unittest.skipUnless(mutant == "0", "has a mutant")
    def test_without_one_all_is_well(self):
        self.assertFalse(self.fails())

    @unittest.skipIf(mutant == "0", "has none")
    def test_is_found(self):
        self.assertTrue(self.fails(), f"the mutant survives {seeds} seeds")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
