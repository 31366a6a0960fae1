#!/usr/bin/env python3
"""The pages for people: what they link to is there, and the C++ they show is code that is built."""

import os
import pathlib
import re
import sys
import textwrap
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tree"))
import source_tree  # noqa: E402 (found through the path above)

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```cpp\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def broken_links(page, text, exists):
    """Relative links of the page that lead to nothing."""
    targets = (link.split("#")[0] for link in LINK.findall(text) if "://" not in link)
    return [
        target for target in targets
        if target and not exists(os.path.normpath(os.path.join(os.path.dirname(page), target)))
    ]


def is_shown_in(block, source):
    """Whether the block is a run of the source's lines, apart from where they begin."""
    wanted = textwrap.dedent(block).splitlines()
    lines = source.splitlines()
    return any(
        textwrap.dedent("\n".join(lines[at:at + len(wanted)])).splitlines() == wanted
        for at in range(len(lines) - len(wanted) + 1))


class RulesTest(unittest.TestCase):
    def test_links(self):
        there = {"docs/a.md", "README.md", "raft"}
        text = "[a](a.md#part) [up](../README.md) [dir](../raft) [web](https://x.y) [in](#part)"
        self.assertEqual([], broken_links("docs/b.md", text, there.__contains__))
        self.assertEqual(["a.md"], broken_links("b.md", text, there.__contains__)[:1])

    def test_blocks(self):
        source = "class A {\n  int f() {\n    return 1;\n  }\n};\n"
        self.assertTrue(is_shown_in("int f() {\n  return 1;\n}\n", source))
        self.assertFalse(is_shown_in("int f() {\n  return 2;\n}\n", source))
        self.assertFalse(is_shown_in("int f() {\n    return 1;\n}\n", source))


class PagesTest(unittest.TestCase):
    def setUp(self):
        self.pages = {page: source_tree.read(page) for page in source_tree.files(".md")}

    def test_links_lead_somewhere(self):
        self.assertIn("README.md", self.pages)
        broken = [f"{page}: {target}" for page, text in self.pages.items()
                  for target in broken_links(page, text,
                                             lambda path: (source_tree.ROOT / path).exists())]
        self.assertEqual([], broken)

    def test_code_is_built(self):
        sources = [source_tree.read(path) for path in source_tree.files(".cc", ".h")
                   if path.startswith(("examples/", "tests/docs/"))]
        self.assertTrue(BLOCK.findall(self.pages["docs/embedding.md"]))
        unknown = [f"{page}:\n{block}" for page, text in self.pages.items()
                   for block in BLOCK.findall(text)
                   if not any(is_shown_in(block, source) for source in sources)]
        self.assertEqual([], unknown, "\n".join(unknown))


if __name__ == "__main__":
    unittest.main()
