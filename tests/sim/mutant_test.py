#!/usr/bin/env python3
"""Requires that the simulator finds the fault of a mutant, or none without one (mutant 0):
mutant_test.py BINARY MUTANT SEEDS."""

import subprocess
import sys
import unittest

binary, mutant, seeds = sys.argv[1:]
WRONG_COMMAND_LINE = 64


class MutantTest(unittest.TestCase):
    def simulate(self):
        command = [binary, f"--mutant={mutant}", "--first_seed=1", f"--seeds={seeds}"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(done.stdout)
        self.assertNotEqual(done.returncode, WRONG_COMMAND_LINE, "the command line is wrong")
        return done.returncode

    @unittest.skipUnless(mutant == "0", "has a mutant")
    def test_without_one_all_is_well(self):
        self.assertEqual(self.simulate(), 0)

    @unittest.skipIf(mutant == "0", "has none")
    def test_is_found(self):
        self.assertNotEqual(self.simulate(), 0, f"the mutant survives {seeds} seeds")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
