#!/usr/bin/env python3
"""tools/bench_report.py merges what benchmarks write and says ratios the right way round."""

import contextlib
import io
import json
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import bench_report  # noqa: E402 (found through the line above)


def google_benchmark(name, real_time, **more):
    run = {"name": name, "run_name": name, "run_type": "iteration", "real_time": real_time,
           "cpu_time": real_time, "time_unit": "ns", "iterations": 10, "threads": 1}
    return {**run, **more}


def measured(case, system, **metrics):
    return {"case": case, "system": system, "metrics": metrics}


class BenchReportTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.runs = pathlib.Path(directory.name)

    def report(self, run, **suites):
        """The Markdown lines of one run; a suite is given as the content of its file."""
        directory = self.runs / run
        directory.mkdir()
        for suite, content in suites.items():
            (directory / f"{suite}.json").write_text(json.dumps(content))
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(0, bench_report.main([str(directory)]))
        return (directory / "results.md").read_text().splitlines()

    def test_reads_google_benchmark(self):
        results = bench_report.from_google_benchmark({"benchmarks": [
            google_benchmark("a", 2.0, time_unit="us", bytes_per_second=5.0, label="x"),
            google_benchmark("b_mean", 9.0, run_name="b", run_type="aggregate",
                             aggregate_name="mean"),
            google_benchmark("b_median", 8.0, run_name="b", run_type="aggregate",
                             aggregate_name="median"),
        ]})
        self.assertEqual([
            measured("a", "cairn", ns=2000.0, cpu_ns=2000.0, bytes_per_second=5.0),
            measured("b", "cairn", ns=8.0, cpu_ns=8.0),
        ], results)

    def test_refuses_a_benchmark_that_failed(self):
        with self.assertRaises(ValueError):
            bench_report.from_google_benchmark({"benchmarks": [
                google_benchmark("a", 0.0, error_occurred=True, error_message="no disk")]})

    def test_compares_with_other_systems(self):
        lines = self.report("1", compare={"context": {"cpus": 2}, "results": [
            measured("append", "cairn", operations_per_second=3000.0, p99_us=500.0),
            measured("append", "etcd", operations_per_second=1000.0, p99_us=250.0),
            measured("read", "cairn", operations_per_second=10.0),
        ]})
        self.assertIn("cpus: 2", lines)
        header = "| case | metric | cairn | etcd | before | cairn : etcd | cairn : before |"
        self.assertIn(header, lines)
        self.assertIn("| append | operations_per_second | 3,000 | 1,000 |  | 3.00× |  |", lines)
        self.assertIn("| append | p99_us | 500 | 250 |  | 0.50× |  |", lines)
        self.assertIn("| read | operations_per_second | 10 |  |  |  |  |", lines)

    def test_compares_a_case_of_cairn_alone_with_the_run_before(self):
        alone = measured("read", "cairn", operations_per_second=10.0)
        beside = [measured("append", "cairn", p99_us=1.0), measured("append", "etcd", p99_us=2.0)]
        self.report("1", compare={"results": [alone]})
        lines = self.report("2", compare={"results": [alone, *beside]})
        self.assertIn("| read | operations_per_second | 10 |  | 10 |  | 1.00× |", lines)
        self.assertIn("| append | p99_us | 1 | 2 |  | 2.00× |  |", lines)

    def test_compares_with_the_run_before(self):
        first = self.report("1", micro={"benchmarks": [google_benchmark("a", 100.0)]})
        self.assertIn("| a | ns | 100 |  |  |", first)
        self.report("2", micro={"benchmarks": [google_benchmark("b", 1.0)]})
        third = self.report("3", micro={"benchmarks": [google_benchmark("a", 50.0)]})
        self.assertIn("| a | ns | 50 | 100 | 2.00× |", third)

    def test_merges_parts_and_suites(self):
        self.report("1", **{
            "micro.core": {"benchmarks": [google_benchmark("a", 1.0)]},
            "micro.storage": {"benchmarks": [google_benchmark("b", 2.0)]},
            "cluster": {"results": [measured("c", "cairn", p99_us=1.0)]},
        })
        merged = json.loads((self.runs / "1" / "results.json").read_text())
        self.assertEqual(["a", "b"], [result["case"] for result in merged["micro"]["results"]])
        self.assertEqual(["cluster", "micro"], sorted(merged))

    def test_fails_without_results(self):
        (self.runs / "1").mkdir()
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(1, bench_report.main([str(self.runs / "1")]))


if __name__ == "__main__":
    unittest.main()
