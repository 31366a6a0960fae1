#!/usr/bin/env python3
"""The readers of source_tree.py on small examples, and its list of files on this project."""

import unittest

import source_tree


class FilesTest(unittest.TestCase):
    def test_lists_this_file_and_no_build_outputs(self):
        listed = source_tree.files()
        self.assertIn("tests/tree/source_tree_test.py", listed)
        self.assertFalse([path for path in listed if path.startswith("bazel-")])

    def test_selects_by_suffix(self):
        self.assertIn("WORKSPACE", source_tree.files("WORKSPACE"))
        sources = source_tree.files(".h", ".cc")
        self.assertIn("base/check.h", sources)
        self.assertFalse([path for path in sources if path.endswith(".py")])

    def test_reads_without_git_what_git_lists(self):
        root = source_tree.ROOT
        walked = {str(path.relative_to(root)) for path in source_tree._walk(root)}
        self.assertIn("tests/tree/source_tree_test.py", walked)
        self.assertFalse([path for path in walked if path.startswith((".git/", "bazel-"))])


class IncludesTest(unittest.TestCase):
    def test_finds_both_kinds(self):
        text = '#include <vector>\n\n#  include "base/check.h"\n// #include <x>\n'
        found = source_tree.includes(text)
        self.assertEqual([(1, "vector", False), (3, "base/check.h", True)],
                         [(include.line, include.path, include.quoted) for include in found])


class CodeOnlyTest(unittest.TestCase):
    def test_blanks_what_is_not_code(self):
        for text in ("// x {", "/* x\n{ */", '"x { \\" {"', "'{'", "'\\''", 'R"(x " { )"',
                     'R"a( )" { )a"', "#define X { \\\n  {"):
            code = source_tree.code_only(text)
            self.assertEqual("", code.strip(), text)
            self.assertEqual(len(text), len(code), text)
            self.assertEqual(text.count("\n"), code.count("\n"), text)

    def test_keeps_code(self):
        for text in ("int x = 10'000'000; {", "a / b * c", "x = y;  # z"):
            self.assertEqual(text, source_tree.code_only(text))

    def test_keeps_what_is_between_literals(self):
        self.assertEqual("f(   , x,    )", source_tree.code_only("f('a', x, '{')"))


class TargetsTest(unittest.TestCase):
    def test_reads_deps_and_tags(self):
        (target,) = source_tree.targets(
            'cc_test(name = "a_test", tags = ["slow"], deps = [":b", "//c", "//d:e", "@f//g"])',
            "x/y",
        )
        self.assertEqual("//x/y:a_test", target.label)
        self.assertEqual("x/y", target.package)
        self.assertEqual("cc_test", target.rule)
        self.assertEqual(("//x/y:b", "//c:c", "//d:e", "@f//g"), target.deps)
        self.assertEqual(("slow",), target.tags)

    def test_reads_sums_selects_variables_and_comprehensions(self):
        found = source_tree.targets(
            'COMMON = ["//a:b"]\n'
            'cc_library(name = "x", deps = COMMON + select({"//cond": ["//c:d"], "default": []}))\n'
            '[cc_test(name = n + "_test", deps = [":x"]) for n in ["one", "two"]]\n'
            'alias(name = "y", actual = ":x")\n', "p")
        self.assertEqual([("//a:b", "//c:d"), ("//p:x",), ("//p:x",)],
                         [target.deps for target in sorted(found, key=lambda target: target.line)])


if __name__ == "__main__":
    unittest.main()
