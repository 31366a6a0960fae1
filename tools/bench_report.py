#!/usr/bin/env python3
"""usage: bench_report.py DIRECTORY

Merges DIRECTORY/SUITE.json and DIRECTORY/SUITE.PART.json into DIRECTORY/results.json, writes
DIRECTORY/results.md and prints it. A suite's file is Google Benchmark's JSON, or

  {"context": {"any": "text"},
   "results": [{"case": "append, 1 KiB, 64 in flight", "system": "cairn",
                "metrics": {"operations_per_second": 51234.5, "p99_us": 812.0}}]}

The name of a metric says what is better: more of *_per_second, less of the rest. Ratios are how
many times better: Cairn than each other system of the case, or, where Cairn is alone, than the
newest earlier run beside DIRECTORY that has the case.
"""

import json
import pathlib
import sys

OURS = "cairn"
# What Google Benchmark says about a benchmark that is not a measurement of it.
_NOT_METRICS = frozenset(
    "aggregate_name aggregate_unit cpu_time family_index iterations name per_family_instance_index "
    "real_time repetition_index repetitions run_name run_type threads time_unit".split()
)
_NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


def from_google_benchmark(report):
    """Medians where there are repetitions, else the single runs."""
    results = []
    for run in report["benchmarks"]:
        if run.get("error_occurred"):
            raise ValueError(f"{run['name']}: {run.get('error_message')}")
        if run.get("run_type") == "aggregate" and run.get("aggregate_name") != "median":
            continue
        scale = _NANOSECONDS[run.get("time_unit", "ns")]
        metrics = {"ns": run["real_time"] * scale, "cpu_ns": run["cpu_time"] * scale}
        metrics.update(
            (name, value)
            for name, value in run.items()
            if name not in _NOT_METRICS and isinstance(value, (int, float))
        )
        case = run.get("run_name", run["name"])
        results.append({"case": case, "system": OURS, "metrics": metrics})
    return results


def read_suite_file(path):
    report = json.loads(path.read_text(encoding="utf-8"))
    if "benchmarks" in report:
        return report.get("context", {}), from_google_benchmark(report)
    return report.get("context", {}), report["results"]


def merge(directory):
    """{suite: {"context": …, "results": […]}} of the suites' files in a directory."""
    suites = {}
    for path in sorted(directory.glob("*.json")):
        if path.name == "results.json":
            continue
        context, results = read_suite_file(path)
        suite = suites.setdefault(path.name.split(".")[0], {"context": {}, "results": []})
        suite["context"].update(context)
        suite["results"] += results
    return suites


def earlier_metrics(directory):
    """{(suite, case): metrics of Cairn} from the runs before, the newest of each."""
    found = {}
    for path in sorted(directory.parent.glob("*/results.json")):
        if path.parent.name >= directory.name:
            continue
        for suite, content in json.loads(path.read_text(encoding="utf-8")).items():
            for result in content["results"]:
                if result["system"] == OURS:
                    found[suite, result["case"]] = result["metrics"]
    return found


def times_better(metric, ours, theirs):
    """How many times better `ours` is; None where that cannot be said."""
    if not ours or not theirs:
        return None
    return ours / theirs if metric.endswith("_per_second") else theirs / ours


def number(value):
    """Three significant digits, thousands apart."""
    if value is None:
        return ""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value):
    return "" if value is None else f"{value:.2f}×"


def table(header, rows):
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def suite_table(suite, results, earlier):
    """One row per case and metric; columns for Cairn, the others, and the ratios to them."""
    cases = {}
    for result in results:
        cases.setdefault(result["case"], {})[result["system"]] = result["metrics"]
    others = list(dict.fromkeys(r["system"] for r in results if r["system"] != OURS))
    # Alone, Cairn is compared with itself, earlier.
    alone = [case for case, systems in cases.items() if list(systems) == [OURS]]
    compared = others + (["before"] if alone else [])
    rows = []
    for case, systems in cases.items():
        if case in alone:
            systems["before"] = earlier.get((suite, case), {})
        for metric in dict.fromkeys(metric for found in systems.values() for metric in found):
            ours = systems.get(OURS, {}).get(metric)
            theirs = [systems.get(other, {}).get(metric) for other in compared]
            ratios = [times_better(metric, ours, value) for value in theirs]
            rows.append(
                [case.replace("|", "\\|"), metric, number(ours)]
                + [number(value) for value in theirs]
                + [ratio(value) for value in ratios]
            )
    header = ["case", "metric", OURS, *compared, *(f"{OURS} : {other}" for other in compared)]
    return table(header, rows)


def markdown(suites, earlier):
    parts = ["# Benchmark results"]
    parts.append("Ratios say how many times better Cairn is; below 1 it is worse.")
    for suite, content in suites.items():
        parts.append(f"## {suite}")
        said = [
            f"{key}: {value}"
            for key, value in content["context"].items()
            if isinstance(value, (str, int, float))
        ]
        if said:
            parts.append("; ".join(said))
        parts.append(suite_table(suite, content["results"], earlier))
    return "\n\n".join(parts) + "\n"


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 64
    directory = pathlib.Path(arguments[0]).resolve()
    suites = merge(directory)
    if not suites:
        print(f"bench_report.py: no results in {directory}", file=sys.stderr)
        return 1
    (directory / "results.json").write_text(json.dumps(suites, indent=1) + "\n", encoding="utf-8")
    text = markdown(suites, earlier_metrics(directory))
    (directory / "results.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
