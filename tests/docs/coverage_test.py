#!/usr/bin/env python3
"""docs/seed-coverage.md: every row is there once, and every test it names exists."""

import ast
import collections
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tree"))
import source_tree  # noqa: E402 (found through the path above)

PAGE = "docs/seed-coverage.md"
SCENARIOS = "tests/core/testdata/"

# The seed's tests of codecs and plumbing that guard against no known loss.
LEFT_OUT = {3, 4, 5, 6, 9, 15, 19, 23, 36, 50, 53, 72, 73, 143, 146, 147}


def numbered(letter, last, left_out=()):
    return [f"{letter}{i}" for i in range(1, last + 1) if i not in left_out]


# Features of the seed by its files, and its tests.
FEATURES = (numbered("A", 20) + numbered("B", 19) + numbered("C", 13) + numbered("D", 21) +
            numbered("T", 157, LEFT_OUT))
# What went wrong there and elsewhere. Each needs a test that would have caught it.
PROBLEMS = numbered("P", 15) + numbered("L", 7) + numbered("N", 23)

TEST = re.compile(r"^\s*TEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)", re.MULTILINE)
COUNT = re.compile(r"^\| (built|in part|not yet|not needed) \| (\d+) \|$", re.MULTILINE)


def rows(text):
    """(id, last cell) of every row of the tables that have ids."""
    found = []
    in_table = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        if not cells:
            in_table = False
        elif cells[0] == "id":
            in_table = True
        elif in_table and not set(cells[0]) <= {"-", ":"}:
            found.append((cells[0], cells[-1]))
    return found


def verdict(cell):
    for start in ("in part", "not yet", "not needed"):
        if cell.startswith(start):
            return start
    return "built"


def citations(cell):
    return re.findall(r"`([^`]+)`", cell)


def tests_in(path, text):
    """The tests a file holds, as Suite.Test or Class.test."""
    if path.endswith(".py"):
        return {f"{node.name}.{each.name}" for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.ClassDef) for each in node.body
                if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}
    return {f"{suite}.{name}" for suite, name in TEST.findall(source_tree.code_only(text))}


def what_is_wrong(citation, read):
    """Why the citation names no test, or None. `read` gives a file's text, or None."""
    path, colon, test = citation.partition(": ")
    text = read(path)
    if text is None:
        return f"{citation}: there is no such file"
    if not colon:
        if not path.startswith(SCENARIOS) or "\n----\n" not in text:
            return f"{citation}: no scenario"
    elif not path.startswith("tests/") or not path.endswith((".cc", ".py")):
        return f"{citation}: no file of tests"
    elif test not in tests_in(path, text):
        return f"{citation}: the file has no such test"
    return None


def faults(text, features, problems, read):
    """Everything that is wrong with the page."""
    table = rows(text)
    times = collections.Counter(row for row, _ in table)
    said = [f"{row}: {times[row]} rows" for row in features + problems if times[row] != 1]
    said += [f"{row}: nobody knows this row" for row in times if row not in features + problems]
    for row, cell in table:
        cited = citations(cell)
        said += [f"{row}: {fault}" for fault in (what_is_wrong(each, read) for each in cited)
                 if fault is not None]
        says_why = re.match(r"(in part|not yet|not needed): \w", cell)
        if verdict(cell) in ("built", "in part") and not cited:
            said.append(f"{row}: names no test")
        if verdict(cell) in ("not yet", "not needed") and (cited or row in problems):
            said.append(f"{row}: {verdict(cell)}, and either has tests or needs one")
        if verdict(cell) != "built" and not says_why:
            said.append(f"{row}: does not say why")
    counted = collections.Counter(verdict(cell) for _, cell in table)
    claimed = {name: int(number) for name, number in COUNT.findall(text)}
    if claimed != dict(counted):
        said.append(f"the page counts {claimed}, and has {dict(counted)}")
    return said


class RulesTest(unittest.TestCase):
    FILES = {
        "tests/a_test.cc": "TEST(OneTest, Works) {\n}\n// TEST(OneTest, IsGone) {}\n"
                           "TEST_F(TwoTest,\n       Breaks) {}\nTEST_P(ThreeTest, Runs) {}\n",
        "tests/b_test.py": "class BTest(Base):\n    def test_it(self):\n        pass\n\n"
                           "    def helper(self):\n        pass\n",
        SCENARIOS + "c.txt": "# What.\nstart\n----\n",
        SCENARIOS + "d.txt": "",
        "raft/e.cc": "TEST(OneTest, Works) {}\n",
    }
    COUNTS = "| built | 2 |\n| in part | 1 |\n| not yet | 1 |\n\n"
    GOOD = (COUNTS +
            "| id | what | tests |\n|--|--|--|\n"
            "| A1 | x | `tests/a_test.cc: OneTest.Works` |\n"
            "| A2 | x | in part: y is missing<br>`tests/b_test.py: BTest.test_it` |\n"
            "| A3 | x | not yet: later |\n\n"
            "text\n\n"
            "| id | tests |\n|--|--|\n"
            f"| P1 | `{SCENARIOS}c.txt`<br>`tests/a_test.cc: TwoTest.Breaks` |\n")

    def faults(self, text):
        return faults(text, ["A1", "A2", "A3"], ["P1"], self.FILES.get)

    def assert_fault(self, fault, before, after):
        self.assertIn(before, self.GOOD)
        self.assertEqual([fault], self.faults(self.GOOD.replace(before, after)))

    def test_finds_the_tests_of_a_file(self):
        path = "tests/a_test.cc"
        self.assertEqual({"OneTest.Works", "TwoTest.Breaks", "ThreeTest.Runs"},
                         tests_in(path, self.FILES[path]))
        path = "tests/b_test.py"
        self.assertEqual({"BTest.test_it"}, tests_in(path, self.FILES[path]))

    def test_a_good_page(self):
        self.assertEqual([], self.faults(self.GOOD))

    def test_a_name_that_is_no_test(self):
        self.assert_fault("A1: tests/a_test.cc: OneTest.Wroks: the file has no such test",
                          "OneTest.Works", "OneTest.Wroks")
        self.assert_fault("A1: tests/a_test.cc: OneTest.IsGone: the file has no such test",
                          "OneTest.Works", "OneTest.IsGone")
        self.assert_fault("A2: tests/b_test.py: BTest.helper: the file has no such test",
                          "BTest.test_it", "BTest.helper")
        self.assert_fault(f"P1: {SCENARIOS}e.txt: there is no such file", "c.txt", "e.txt")
        self.assert_fault(f"P1: {SCENARIOS}d.txt: no scenario", "c.txt", "d.txt")
        self.assert_fault("A1: raft/e.cc: OneTest.Works: no file of tests",
                          "tests/a_test.cc: OneTest.Works", "raft/e.cc: OneTest.Works")

    def test_rows_that_are_missing_or_twice(self):
        line = "| A1 | x | `tests/a_test.cc: OneTest.Works` |\n"
        self.assertEqual(["A1: 0 rows"], self.faults(
            self.GOOD.replace(line, "").replace("built | 2", "built | 1")))
        self.assertEqual(["A1: 2 rows"], self.faults(
            self.GOOD.replace(line, line + line).replace("built | 2", "built | 3")))
        self.assertIn("B9: nobody knows this row", self.faults(self.GOOD.replace("A1", "B9")))

    def test_rows_that_claim_too_much(self):
        self.assert_fault("A1: names no test", "`tests/a_test.cc: OneTest.Works`", "of course")
        self.assert_fault("A3: does not say why", "not yet: later", "not yet")
        self.assert_fault("A2: does not say why", "in part: y is missing<br>", "in part ")
        self.assertIn("P1: not yet, and either has tests or needs one", self.faults(
            re.sub(r"\| P1 .*", "| P1 | not yet: later |", self.GOOD)))

    def test_counts(self):
        self.assertEqual(
            ["the page counts {'built': 3, 'in part': 1, 'not yet': 1}, "
             "and has {'built': 2, 'in part': 1, 'not yet': 1}"],
            self.faults(self.GOOD.replace("built | 2", "built | 3")))


class CoverageTest(unittest.TestCase):
    def test_page(self):
        there = set(source_tree.files())
        texts = {}

        def read(path):
            if path in there and path not in texts:
                texts[path] = source_tree.read(path)
            return texts.get(path)

        said = faults(source_tree.read(PAGE), FEATURES, PROBLEMS, read)
        self.assertEqual([], said, "\n" + "\n".join(said))


if __name__ == "__main__":
    unittest.main()
