#!/usr/bin/env python3
"""usage: test_report.py EVENTS.json...

Reads what Bazel wrote with --build_event_json_file, one file per configuration, and prints what
failed, a line per configuration, and last "N passed, M failed". Exits 0 only if nothing failed.

A test case is a testcase of a test's XML. A target that was not built, and a test that failed
without a failed case in its XML (a crash, a timeout), counts as one failure.
"""

import json
import pathlib
import sys
import urllib.parse
import xml.etree.ElementTree


class Tally:
    """What one configuration came to."""

    def __init__(self, name):
        self.name = name
        self.passed = 0
        self.skipped = 0
        self.failures = []  # text for people
        self.finished = False

    def fail(self, what):
        self.failures.append(f"{self.name}: {what}")


def read_cases(path):
    """(passed, skipped, names of failed cases) of a test's XML; nothing if it cannot be read."""
    passed, skipped, failed = 0, 0, []
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return passed, skipped, failed
    for case in root.iter("testcase"):
        name = case.get("name", "?")
        if case.get("classname"):
            name = f"{case.get('classname')}.{name}"
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
    return passed, skipped, failed


def local_path(uri):
    return urllib.parse.unquote(urllib.parse.urlparse(uri).path)


def add_test_result(tally, event_id, result):
    files = {output["name"]: output.get("uri", "") for output in result.get("testActionOutput", [])}
    cases = read_cases(local_path(files["test.xml"])) if "test.xml" in files else (0, 0, [])
    passed, skipped, failed = cases
    label = event_id["label"]
    status = result.get("status", "NO_STATUS")
    tally.passed += passed
    tally.skipped += skipped
    for name in failed:
        tally.fail(f"{label} {name}")
    if status != "PASSED" and not failed:
        tally.fail(f"{label} {status.lower()}")
    if status != "PASSED" and "test.log" in files:
        tally.failures[-1] += f"\n    log: {local_path(files['test.log'])}"


def add_event(tally, event):
    event_id = event.get("id", {})
    if "testResult" in event_id:
        add_test_result(tally, event_id["testResult"], event.get("testResult", {}))
    elif "targetCompleted" in event_id:
        label = event_id["targetCompleted"]["label"]
        if "aborted" in event:
            # A tag filter leaves a target out with SKIPPED; all else is a target without a result.
            if event["aborted"].get("reason") != "SKIPPED":
                tally.fail(f"{label} was not built")
        elif not event.get("completed", {}).get("success", False):
            tally.fail(f"{label} was not built")
    elif "buildFinished" in event_id:
        code = event["finished"].get("exitCode", {})
        # SUCCESS, TESTS_FAILED, NO_TESTS_FOUND and BUILD_FAILURE come with what they are about.
        if code.get("code", 0) not in (0, 1, 3, 4):
            tally.fail(f"bazel ended with {code.get('name')}")
        elif code.get("code", 0) == 1 and not tally.failures:
            tally.fail("the build failed")
        tally.finished = True


def read_configuration(path):
    tally = Tally(pathlib.Path(path).stem)
    try:
        with open(path, encoding="utf-8") as events:
            for line in events:
                add_event(tally, json.loads(line))
    except (OSError, json.JSONDecodeError):
        pass  # Bazel did not start, or ended in the middle of a line.
    if not tally.finished:
        tally.fail("bazel did not finish")
    return tally


def summary(tally):
    """One configuration in a few words."""
    if not tally.passed and not tally.skipped and not tally.failures:
        return "built, no tests"
    skipped = f", {tally.skipped} skipped" if tally.skipped else ""
    return f"{tally.passed} passed, {len(tally.failures)} failed{skipped}"


def main(paths):
    tallies = [read_configuration(path) for path in paths]
    for tally in tallies:
        for failure in tally.failures:
            print(f"FAILED {failure}")
    for tally in tallies:
        print(f"{tally.name}: {summary(tally)}")
    failed = sum(len(tally.failures) for tally in tallies)
    print(f"{sum(tally.passed for tally in tallies)} passed, {failed} failed")
    return 1 if failed or not tallies else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
