#!/usr/bin/env python3
"""The checks of checks.py find what they are for, and pass what is right."""

import unittest

import checks
import cpp_blocks
from checks import source_tree


def functions(text):
    found, _ = cpp_blocks.measure(source_tree.code_only(text))
    return [(function.line, function.lines) for function in found]


def classes(text):
    _, found = cpp_blocks.measure(source_tree.code_only(text))
    return [(one.line, one.members) for one in found]


class TextTest(unittest.TestCase):
    def test_whitespace(self):
        self.assertEqual([], checks.check_whitespace("a", "x\n\ny\n"))
        self.assertEqual([], checks.check_whitespace("a", ""))
        self.assertEqual(["a:2: tab"], checks.check_whitespace("a", "x\n\ty\n"))
        self.assertEqual(["a:1: carriage return"], checks.check_whitespace("a", "x\r\n"))
        self.assertEqual(["a:1: space at the end of the line"],
                         checks.check_whitespace("a", "x \n"))
        self.assertEqual(["a: no newline at the end"], checks.check_whitespace("a", "x"))
        self.assertEqual(["a: empty line at the end"], checks.check_whitespace("a", "x\n\n"))

    def test_notes(self):
        for word in ("TO" + "DO", "FIX" + "ME"):
            self.assertIn("a.md:2: ", checks.check_notes("a.md", f"x\n// {word}: y\n")[0])
        self.assertEqual([], checks.check_notes("a.md", "to do, MASTO" + "DON\n"))

    def test_columns(self):
        self.assertEqual([], checks.check_columns("a.cc", "x" * 100 + "\n"))
        self.assertEqual(["a.cc:1: 101 columns, 100 at most"],
                         checks.check_columns("a.cc", "x" * 101 + "\n"))
        self.assertEqual([], checks.check_columns("a.cc", "// https://" + "x" * 101 + "\n"))

    def test_length(self):
        self.assertEqual([], checks.check_length("base/a.cc", "\n" * 500))
        self.assertEqual(["base/a.cc: 501 lines, 500 at most"],
                         checks.check_length("base/a.cc", "\n" * 501))
        self.assertEqual([], checks.check_length("tests/base/a_test.cc", "\n" * 800))
        self.assertTrue(checks.check_length("tests/base/a_test.cc", "\n" * 801))

    def test_what_is_code(self):
        self.assertTrue(checks.is_code("tools/test", "#!/bin/bash\n"))
        self.assertTrue(checks.is_code("base/BUILD.bazel", ""))
        self.assertFalse(checks.is_code("README.md", "# x\n"))

    def test_test_data_is_free(self):
        self.assertEqual([], checks.check_file("tests/core/testdata/a.txt", "x \t", []))
        self.assertTrue(checks.check_file("tests/core/a.txt", "x \t", []))


class CppFileTest(unittest.TestCase):
    def test_name(self):
        self.assertEqual([], checks.check_name("base/term_run.h"))
        self.assertTrue(checks.check_name("base/TermRun.h"))
        self.assertTrue(checks.check_name("base/term-run.cc"))

    def test_guard(self):
        good = "// x\n#ifndef A_B_H_\n#define A_B_H_\n\n#endif  // A_B_H_\n"
        self.assertEqual([], checks.check_guard("a/b.h", good))
        self.assertEqual([], checks.check_guard("a/b.cc", "// x\n"))
        self.assertTrue(checks.check_guard("a/c.h", good))
        self.assertTrue(checks.check_guard("a/b.h", good.replace("#endif  //", "#endif //")))
        self.assertTrue(checks.check_guard("a/b.h", good.replace("define A", "define X")))
        self.assertTrue(checks.check_guard("a/b.h", "#include <x>\n" + good))
        self.assertTrue(checks.check_guard("a/b.h", "#pragma once\n"))

    def test_own_header_first(self):
        paths = ["a/b.h", "a/b.cc", "a/main.cc"]
        bad = '#include <vector>\n#include "a/b.h"\n'
        self.assertEqual([], checks.check_own_header_first("a/b.cc", '#include "a/b.h"\n', paths))
        self.assertTrue(checks.check_own_header_first("a/b.cc", bad, paths))
        self.assertEqual([], checks.check_own_header_first("a/main.cc", bad, paths))

    def test_headers_that_need_compiling(self):
        source = '#include "a/b.h"\n#include "a/c.h"\n'
        texts = {"a/b.h": "", "a/c.h": "", "tests/a/b_test.cc": source}
        self.assertEqual(["a/c.h"], checks.headers_not_first(texts))


class BlocksTest(unittest.TestCase):
    def test_too_long_a_function(self):
        body = "  x();\n" * 68
        self.assertEqual([], checks.check_blocks("a.cc", "void F() {\n" + body + "}\n"))
        problems = checks.check_blocks("a.cc", "\nvoid F() {\n" + body + "  y();\n}\n")
        self.assertEqual(["a.cc:2: 71 lines, 70 at most: void F()"], problems)

    def test_finds_functions_in_namespaces_and_classes(self):
        self.assertEqual([(1, 2)], functions("void F() {\n}\n"))
        self.assertEqual([(2, 3)], functions("namespace a::b {\nint F(int x,\n  int y) {\n}\n}\n"))
        self.assertEqual([(3, 2)], functions("class A : public B {\n public:\n  A() {\n}\n};\n"))
        self.assertEqual([(1, 3)], functions("template <typename T = X<1>>\nT F() {\n}\n"))
        self.assertEqual([(1, 2)], functions("TEST(A, B) {\n}\n"))
        self.assertEqual([(2, 1)], functions('struct CAIRN_X("m") A {\n  int F() const { }\n};'))
        self.assertEqual([(1, 2)], functions("bool operator==(A a, B b) {\n}\n"))
        self.assertEqual([(1, 2)], functions("auto F(int x = 3) -> int {\n}\n"))
        self.assertEqual([(2, 1)], functions('extern "C" {\nvoid F() { }\n}\n'))
        self.assertEqual([(1, 2)], functions("struct Point Middle() {\n}\n"))

    def test_counts_a_constructor_with_its_initializers(self):
        text = "A::A()\n    : a_{1},\n      b_{2} {\n  x();\n}\n"
        self.assertEqual([(1, 5)], functions(text)[-1:])

    def test_counts_blocks_within_as_part(self):
        text = "void F() {\n  if (x) {\n  }\n  auto f = [] {\n  };\n}\nvoid G() {}\n"
        self.assertEqual([(1, 6), (7, 1)], functions(text))

    def test_tables_and_enums_are_no_functions(self):
        self.assertEqual([], functions("const int kTable[] = {\n 1,\n 2,\n};\n"))
        self.assertEqual([], functions("enum class A : int {\n kA,\n};\n"))

    def test_braces_that_are_no_code(self):
        self.assertEqual([(1, 4)], functions("void F() {\n  g('{', \"{\");  // {\n  /* { */\n}\n"))
        self.assertEqual([(2, 1)], functions("#define X {\nvoid F() { }\n"))

    def test_counts_data_members(self):
        text = ("class A {\n public:\n  int a() const { return a_; }\n  void Set(int b_);\n"
                "  static int s_;\n  using T_ = int;\n private:\n"
                "  int a_;\n  int b_ = 1;\n  X c_{2, 3};\n"
                "  int d_ CAIRN_GUARDED_BY(mutex_) = 4;\n  std::function<void(int)> e_;\n};\n")
        self.assertEqual([(1, 5)], classes(text))

    def test_too_many_data_members(self):
        text = "struct A {\n" + "".join(f"  int a{n}_;\n" for n in range(21)) + "};\n"
        self.assertEqual(["a.h:1: 21 data members, 20 at most: struct A"],
                         checks.check_blocks("a.h", text))


if __name__ == "__main__":
    unittest.main()
