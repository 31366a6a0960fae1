#!/usr/bin/env python3
"""Every header compiles on its own. Most are the first include of a source; this compiles the rest.
"""

import concurrent.futures
import os
import subprocess
import tempfile
import unittest

import checks
from checks import source_tree


def compile_alone(header):
    """What the compiler says to a file that only includes `header`."""
    source = f'#include "{header}"\n'
    command = ["g++", "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-iquote.", "-xc++", "-"]
    done = subprocess.run(
        command, cwd=source_tree.ROOT, input=source, capture_output=True, text=True
    )
    return f"{header}: does not compile on its own:\n{done.stderr}" if done.returncode else ""


class HeadersTest(unittest.TestCase):
    def hold(self, problems):
        if problems:
            self.fail("\n" + "\n".join(problems))

    def test_headers_stand_alone(self):
        texts = {path: source_tree.read(path) for path in source_tree.files(*checks.CPP)}
        self.assertIn("base/check.h", texts)
        alone = checks.headers_not_first(texts)
        generated = {
            header
            for header in alone
            if any(i.path.endswith(".pb.h") for i in source_tree.includes(texts[header]))
        }
        # Only Bazel knows where generated headers are.
        self.hold([f"{header}: no source includes it first" for header in sorted(generated)])
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as workers:
            self.hold([said for said in workers.map(compile_alone, alone) if said])

    def test_a_header_that_needs_another_is_found(self):
        with tempfile.NamedTemporaryFile("w", suffix=".h") as header:
            header.write("inline std::string F();\n")
            header.flush()
            self.assertIn("does not compile on its own", compile_alone(header.name))


if __name__ == "__main__":
    unittest.main()
