"""Tests of the core with one deliberate fault (raft/core/mutants.h), which have to fail."""

def core_mutant_tests(test, mutants, deps):
    """Makes <mutant>_test for each mutant, and <test>_without_test: the same binary is well.

    Args:
      test: the name of a test of //tests/core, whose source is compiled again
      mutants: the mutants' names -> their numbers
      deps: those of the test
    """
    binary = test + "_with_mutants"
    native.cc_binary(
        name = binary,
        testonly = True,
        srcs = [
            "mutant_main.cc",
            "//tests/core:%s.cc" % test,
            "//raft/core:mutated_sources",
        ],
        local_defines = ["CAIRN_MUTANTS_BY_FLAG"],
        deps = deps + [
            "//base:chosen_mutant",
            "//third_party:abseil",
            "//third_party:gtest",
        ],
    )
    tests = {test + "_without": 0}
    tests.update(mutants)
    for name, number in tests.items():
        native.sh_test(
            name = name + "_test",
            size = "medium",
            srcs = ["mutant_test.py"],
            args = ["$(rootpath :%s)" % binary, str(number)],
            data = [":" + binary],
        )
