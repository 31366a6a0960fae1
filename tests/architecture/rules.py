"""Who may know whom, and the checks that hold it. The tables are the rules; change them with a
reason in docs/decisions.md.

A layer is a directory with all below it that is not a layer of its own.
"""

import dataclasses
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tree"))
import source_tree  # noqa: E402 (found through the line above)


@dataclasses.dataclass(frozen=True)
class Layer:
    directory: str
    layers: frozenset  # other layers it may know
    libraries: frozenset  # targets of //third_party it may use


def _layer(directory, layers="", libraries=""):
    return Layer(directory, frozenset(layers.split()), frozenset(libraries.split()))


_STORAGE_LIBRARIES = "abseil isal openssl pthread xxhash zstd"
_SERVICE_LIBRARIES = (
    "abseil cli11 grpc grpc_reflection httplib mimalloc openssl prometheus protobuf pthread spdlog"
    " zstd"
)
# The outermost ring: everything inside it, and each other.
_STORAGE = "storage storage/block storage/offline storage/rocksdb storage/stream"
_INSIDE = f"base raft raft/core raft/snapshots {_STORAGE} proto"
_OUTER = f"{_INSIDE} cairn client service service/cli"

LAYERS = [
    _layer("base", "", "abseil pthread"),
    _layer("raft/core", "base", "abseil"),
    _layer("storage", "base", _STORAGE_LIBRARIES),
    _layer("storage/block", "base storage", _STORAGE_LIBRARIES),
    _layer("storage/rocksdb", "base storage storage/block", _STORAGE_LIBRARIES + " rocksdb"),
    # Tools that look at a log while no node runs on it.
    _layer("storage/offline", "base storage storage/block storage/rocksdb", _STORAGE_LIBRARIES),
    _layer("storage/stream", "base storage storage/block", _STORAGE_LIBRARIES),
    # One ring: a host's groups and what moves their snapshots.
    _layer("raft", "base raft/core raft/snapshots storage", "abseil pthread"),
    _layer("raft/snapshots", "base raft raft/core storage", "abseil"),
    _layer("proto", "", "protobuf grpc"),
    _layer("cairn", _OUTER, _SERVICE_LIBRARIES),
    _layer("client", _OUTER, _SERVICE_LIBRARIES),
    _layer("service", _OUTER, _SERVICE_LIBRARIES),
    _layer("service/cli", _OUTER, _SERVICE_LIBRARIES),
]

# These may know anything; nothing but they may know them. The root package names what others use.
FREE = ("tests", "bench", "examples", "")
HIDDEN_FROM_LAYERS = ("tests", "bench", "examples")

# Implementations that a layer, which may know the interfaces beside them, does not see.
HIDDEN = {
    "raft": ("memory_log_store", "posix_file_system"),
}

# Which library of //third_party a header belongs to, by how its path begins.
HEADERS_OF_LIBRARIES = {
    "absl/": "abseil",
    "benchmark/": "benchmark",
    "CLI/": "cli11",
    "fmt/": "spdlog",
    "gmock/": "gtest",
    "google/protobuf/": "protobuf",
    "grpc/": "grpc",
    "grpcpp/": "grpc",
    "gtest/": "gtest",
    "httplib.h": "httplib",
    "isa-l": "isal",
    "mimalloc": "mimalloc",
    "openssl/": "openssl",
    "prometheus/": "prometheus",
    "rocksdb/": "rocksdb",
    "spdlog/": "spdlog",
    "xxhash.h": "xxhash",
    "zstd": "zstd",
}


@dataclasses.dataclass(frozen=True)
class Ban:
    """Headers that some layers do not include; one ending in / or * bans what begins so."""

    layers: str
    headers: str
    why: str
    but: str = ""  # nouns that may

    def matches(self, layer, noun, header):
        if layer not in self.layers.split() or noun in self.but.split():
            return False
        return any(
            header == name or (name[-1] in "/*" and header.startswith(name.rstrip("*")))
            for name in self.headers.split()
        )


_BELOW_SERVICE = f"base raft raft/core {_STORAGE}"
_LIBRARY = f"{_BELOW_SERVICE} cairn client service"
_NO_THREADS = "it has no threads"

BANS = [
    Ban("raft/core", "thread stop_token future atomic semaphore latch barrier", _NO_THREADS),
    Ban("raft/core", "pthread.h mutex shared_mutex condition_variable base/mutex.h", _NO_THREADS),
    Ban("raft/core", "chrono ctime time.h sys/* absl/time/clock.h", "time comes in events"),
    Ban("raft/core", "random absl/random/", "randomness comes from outside"),
    Ban("raft/core", "cstdlib stdlib.h", "it has no process: rand, time, getenv, exit"),
    Ban("raft/core", "fstream filesystem cstdio stdio.h fcntl.h unistd.h", "it has no disk"),
    Ban("raft/core", "iostream syncstream print", "it has no console"),
    Ban(
        "raft/core",
        "unordered_map unordered_set absl/container/flat_hash* absl/container/node_hash*",
        "the order of a hash map differs from run to run",
    ),
    Ban(
        _LIBRARY,
        "iostream syncstream",
        "a library has no console: base/log_sink.h",
        but="service/server_main",
    ),
    Ban(
        _BELOW_SERVICE,
        "fstream filesystem fcntl.h sys/stat.h",
        "storage/file_system.h is the only door to disks",
        but="storage/posix_file_system",
    ),
    Ban(_LIBRARY, "random", "base/random.h is seeded from outside", but="base/random"),
    Ban(_LIBRARY, "regex", "it recurses over its input"),
    Ban(
        _LIBRARY,
        "mutex shared_mutex condition_variable absl/synchronization/",
        "base/mutex.h is annotated, and the thread sanitizer understands it",
        but="base/mutex",
    ),
    Ban(
        f"raft {_STORAGE}",
        "chrono ctime time.h absl/time/clock.h",
        "clocks come from outside",
    ),
]

_SLEEP = r"\b(sleep_for|sleep_until|usleep|nanosleep|SleepFor)\b"
_UNIT_TESTS = ("tests/base", "tests/core", "tests/raft", "tests/sim", "tests/storage")

# (where, what, why): code, without comments and literals, in which a pattern does not occur.
BANNED_CODE = [
    ("", r"\brandom_device\b", "every seed is given and printed"),
    ("", r"\babsl::(optional|variant|any)\b(?!_)", "the std types serve"),
    ("raft/core", r"\b(rand|srand|random|time|clock)\s*\(", "time and chance come in events"),
    *((directory, _SLEEP, "tests do not sleep") for directory in _UNIT_TESTS),
]

# Tests below these run in the thread sanitizer unless tagged; these libraries are not instrumented.
TSAN_DIRECTORIES = ("tests/base", "tests/raft", "tests/storage")
NOT_INSTRUMENTED = ("//third_party:grpc", "//third_party:rocksdb")


def _is_below(path, directory):
    return directory == "" or path == directory or path.startswith(directory + "/")


def layer_of(path):
    """The Layer of a directory or file, None if it is free, a KeyError if the tables miss it."""
    known = [layer for layer in LAYERS if _is_below(path, layer.directory)]
    if known:
        return max(known, key=lambda layer: len(layer.directory))
    if "/" not in path or path.split("/")[0] in (*FREE, "third_party", "tools", "docs"):
        return None
    raise KeyError(path)


def noun_of(path):
    """storage/record for storage/record.h."""
    return re.sub(r"\.(h|cc)$", "", path)


def _library_of(header):
    for start, library in HEADERS_OF_LIBRARIES.items():
        if header.startswith(start):
            return library
    return None


def _knows(layer, target_path):
    """None if `layer` may know the noun or file `target_path` of the project, else why not."""
    top = target_path.split("/")[0]
    if top in HIDDEN_FROM_LAYERS:
        return f"nobody knows {top}"
    other = layer_of(target_path)
    if other is None or other == layer:
        return None
    if other.directory not in layer.layers:
        return f"{layer.directory} does not know {other.directory}"
    name = pathlib.PurePath(noun_of(target_path)).name
    if name in HIDDEN.get(layer.directory, ()):
        return f"{layer.directory} knows the interface, not {name}"
    return None


def check_includes(path, text):
    """What is wrong with the includes of one C++ file, as lines for people."""
    try:
        layer = layer_of(path)
    except KeyError:
        return [f"{path}: its directory has no layer in tests/architecture/rules.py"]
    if layer is None:
        return []
    problems = []
    noun = noun_of(path)
    for include in source_tree.includes(text):
        where = f"{path}:{include.line}: {include.path}"
        problems += [
            f"{where}: {ban.why}"
            for ban in BANS
            if ban.matches(layer.directory, noun, include.path)
        ]
        library = _library_of(include.path)
        if library is not None:
            if library not in layer.libraries:
                problems.append(f"{where}: {layer.directory} does not use {library}")
        elif include.quoted:
            target = include.path
            if "/" not in target:
                problems.append(f"{where}: includes are written from the workspace's root")
                continue
            if target.endswith(".pb.h"):
                target = f"proto/{target}"
            try:
                refusal = _knows(layer, target)
            except KeyError:
                refusal = "no layer of the project, no library of third_party"
            if refusal:
                problems.append(f"{where}: {refusal}")
    return problems


def check_code(path, text):
    """What a C++ file says that it must not."""
    problems = []
    code = None
    for directory, pattern, why in BANNED_CODE:
        if not _is_below(path, directory):
            continue
        code = code or source_tree.code_only(text)
        for match in re.finditer(pattern, code):
            line = code.count("\n", 0, match.start()) + 1
            problems.append(f"{path}:{line}: {match.group().strip()}: {why}")
    return problems


def check_target(target):
    """What is wrong with the dependencies of one target of a BUILD file."""
    try:
        layer = layer_of(f"{target.package}/BUILD.bazel" if target.package else "BUILD.bazel")
    except KeyError:
        return [f"{target.label}: its package has no layer in tests/architecture/rules.py"]
    if layer is None:
        return []
    problems = []
    for dep in target.deps:
        package, name = dep[2:].split(":") if dep.startswith("//") else (dep, "")
        if package == "third_party":
            if name not in layer.libraries:
                problems.append(f"{target.label} -> {dep}: {layer.directory} does not use it")
            continue
        try:
            refusal = _knows(layer, f"{package}/{name}")
        except KeyError:
            refusal = "no package of the project"
        if refusal:
            problems.append(f"{target.label} -> {dep}: {refusal}")
    return problems


def check_instrumentation(targets):
    """Tests that the thread sanitizer would run although they link what it does not see into."""
    deps = {target.label: target.deps for target in targets}

    def reaches(label, seen):
        if label in NOT_INSTRUMENTED:
            return label
        if label in seen:
            return None
        seen.add(label)
        return next((found for dep in deps.get(label, ()) if (found := reaches(dep, seen))), None)

    problems = []
    for target in targets:
        if not target.rule.endswith("_test") or "no-tsan" in target.tags:
            continue
        if any(_is_below(target.package, directory) for directory in TSAN_DIRECTORIES):
            found = reaches(target.label, set())
            if found:
                problems.append(f'{target.label} links {found}: tag it "no-tsan"')
    return problems
