#!/usr/bin/env python3
"""tools/test_report.py counts what Bazel's events say."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import test_report  # noqa: E402 (found through the line above)

FINISHED = {"id": {"buildFinished": {}}, "finished": {"exitCode": {"name": "SUCCESS"}}}


def finished(code, name):
    return {"id": {"buildFinished": {}}, "finished": {"exitCode": {"name": name, "code": code}}}


class ReportTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def result(self, label, status, xml=None):
        """The event of a test's end, and its files."""
        outputs = [{"name": "test.log", "uri": "file:///log%20of"}]
        if xml is not None:
            path = self.directory / f"{label.replace('/', '_')}.xml"
            path.write_text(xml)
            outputs.append({"name": "test.xml", "uri": path.as_uri()})
        return {
            "id": {"testResult": {"label": label}},
            "testResult": {"status": status, "testActionOutput": outputs},
        }

    def report(self, *events, name="opt"):
        """(exit code, lines printed) of a report on one configuration."""
        path = self.directory / f"{name}.json"
        path.write_text("".join(json.dumps(event) + "\n" for event in events))
        return self.run_main(path)

    def run_main(self, *paths):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = test_report.main([str(path) for path in paths])
        return code, out.getvalue().splitlines()

    def test_counts_cases(self):
        xml = (
            '<testsuites><testsuite><testcase name="A" status="run"/><testcase name="B"/>'
            '<testcase name="C" status="notrun"/><testcase name="D"><skipped/></testcase>'
            "</testsuite></testsuites>"
        )
        code, lines = self.report(self.result("//a:b", "PASSED", xml), FINISHED)
        self.assertEqual(0, code)
        self.assertEqual(["opt: 2 passed, 0 failed, 2 skipped", "2 passed, 0 failed"], lines)

    def test_names_failed_cases_and_the_log(self):
        xml = (
            '<testsuite><testcase name="A" classname="S"><failure/></testcase>'
            '<testcase name="B"/></testsuite>'
        )
        events = [self.result("//a:b", "FAILED", xml), finished(3, "TESTS_FAILED")]
        code, lines = self.report(*events)
        self.assertEqual(1, code)
        self.assertEqual("FAILED opt: //a:b S.A", lines[0])
        self.assertEqual("    log: /log of", lines[1])
        self.assertEqual("1 passed, 1 failed", lines[-1])

    def test_a_failed_test_without_a_failed_case_counts(self):
        events = [
            self.result("//a:b", "TIMEOUT", '<testsuite><testcase name="A"/></testsuite>'),
            self.result("//a:c", "FAILED", "<testsuite><testc"),
            self.result("//a:d", "FAILED"),
            finished(3, "TESTS_FAILED"),
        ]
        code, lines = self.report(*events)
        self.assertEqual(1, code)
        self.assertIn("FAILED opt: //a:b timeout", lines)
        self.assertEqual("1 passed, 3 failed", lines[-1])

    def test_what_was_not_built_counts(self):
        events = [
            {"id": {"targetCompleted": {"label": "//a:b"}}, "completed": {}},
            {"id": {"targetCompleted": {"label": "//a:c"}}, "completed": {"success": True}},
            {"id": {"targetCompleted": {"label": "//a:d"}}, "aborted": {"reason": "SKIPPED"}},
            {"id": {"targetCompleted": {"label": "//a:e"}}, "aborted": {"reason": "ANALYSIS"}},
            finished(1, "BUILD_FAILURE"),
        ]
        code, lines = self.report(*events)
        self.assertEqual(1, code)
        self.assertEqual(
            ["FAILED opt: //a:b was not built", "FAILED opt: //a:e was not built"], lines[:2])
        self.assertEqual("0 passed, 2 failed", lines[-1])

    def test_a_build_that_fails_without_a_target_counts(self):
        self.assertEqual("0 passed, 1 failed", self.report(finished(1, "BUILD_FAILURE"))[1][-1])
        self.assertEqual("0 passed, 1 failed", self.report(finished(37, "INTERNAL"))[1][-1])

    def test_no_tests_are_no_failure(self):
        code, lines = self.report(finished(4, "NO_TESTS_FOUND"))
        self.assertEqual(0, code)
        self.assertEqual(["opt: built, no tests", "0 passed, 0 failed"], lines)

    def test_bazel_that_did_not_finish_counts(self):
        self.assertEqual(1, self.run_main(self.directory / "missing.json")[0])
        self.assertEqual(1, self.report()[0])

    def test_sums_configurations(self):
        xml = '<testsuite><testcase name="A"/></testsuite>'
        self.report(self.result("//a:b", "PASSED", xml), FINISHED, name="asan")
        self.report(self.result("//a:b", "PASSED", xml), FINISHED, name="opt")
        code, lines = self.run_main(self.directory / "opt.json", self.directory / "asan.json")
        self.assertEqual(0, code)
        self.assertEqual(
            ["opt: 1 passed, 0 failed", "asan: 1 passed, 0 failed", "2 passed, 0 failed"], lines)


if __name__ == "__main__":
    unittest.main()
