"""Simulations of a Cairn with one deliberate fault, and tests that require them to fail."""

def mutant_tests(name, mutants, sources, seeds, control_seeds):
    """Makes simulate_mutants, <mutant>_test for each mutant, no_mutant_test, and the suite `name`.

    Args:
      name: of the test_suite
      mutants: the mutants' names -> their numbers (raft/core/mutants.h, storage/mutants.h), and the
        seed that found each of them when this was last looked at. It is tried first, so that the
        suite takes seconds; where it does not find it any more, the others are.
      sources: every source that includes one of these headers. They alone are compiled again: as
        sources of the binary they come before the libraries, whose copies the linker then leaves
        out.
      seeds: how many more seeds, from 1 on, a mutant may survive
      control_seeds: how many of these have to be well without a mutant, as has each that is tried
        first
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

    # What fails with a mutant fails because of it: this very binary is well without one.
    found_at = [seed for _, seed in mutants.values()]
    tests = {"no_mutant_test": (0, control_seeds, found_at)}
    for mutant, (number, seed) in mutants.items():
        tests[mutant + "_test"] = (number, seeds, [seed])
    for test, (number, count, first) in tests.items():
        native.sh_test(
            name = test,
            size = "medium",
            srcs = ["mutant_test.py"],
            args = ["$(rootpath :%s)" % binary, str(number), str(count)] + [
                str(seed)
                for seed in first
            ],
            data = [":" + binary],
        )
    native.test_suite(
        name = name,
        tests = [":" + test for test in tests],
    )
