#!/usr/bin/env python3
"""docs/operations.md names each metric there is, and no other."""

import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tree"))
import source_tree  # noqa: E402 (found through the path above)

IN_CODE = re.compile(r'"(cairn_[a-z_]+)"')
IN_PAGE = re.compile(r"^\| `(cairn_[a-z_]+)", re.MULTILINE)


class MetricsTest(unittest.TestCase):
    def test_every_metric_has_a_row(self):
        code = source_tree.read("service/monitoring/metrics_page.cc")
        page = source_tree.read("docs/operations.md")
        there = set(IN_CODE.findall(code))
        self.assertGreater(len(there), 40)
        rows = IN_PAGE.findall(page)
        self.assertEqual(sorted(there), sorted(rows))


if __name__ == "__main__":
    unittest.main()
