"""Simulations of a Cairn with one deliberate fault, and tests that require them to fail."""

def mutant_tests(name, mutants, sources, seeds):
    """Makes simulate_mutants, <mutant>_test for each mutant, and the suite `name` of the tests.

    Args:
      name: of the test_suite
      mutants: the mutants' names -> their numbers (raft/core/mutants.h, storage/mutants.h)
      sources: every source that includes one of these headers. They alone are compiled again: as
        sources of the binary they come before the libraries, whose copies the linker then leaves
        out.
      seeds: how many seeds a mutant may survive
    """
    binary = "simulate_mutants"
    native.cc_binary(
        name = binary,
        testonly = True,
        srcs = ["simulate_main.cc"] + sources,
        copts = ["-O2"],
        local_defines = ["CAIRN_MUTANTS_BY_FLAG"],
        deps = [
            ":simulation",
            "//base:chosen_mutant",
            "//third_party:abseil",
        ],
    )
    for mutant, number in mutants.items():
        native.sh_test(
            name = mutant + "_test",
            size = "medium",
            srcs = ["mutant_test.py"],
            args = ["$(rootpath :%s)" % binary, str(number), str(seeds)],
            data = [":" + binary],
        )
    native.test_suite(
        name = name,
        tests = [":" + mutant + "_test" for mutant in mutants],
    )
