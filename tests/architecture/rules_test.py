#!/usr/bin/env python3
"""The checks of rules.py find what they are for, and pass what is right."""

import unittest

import rules
from rules import source_tree


def include_problems(path, *headers):
    lines = [f"#include <{h[1:-1]}>" if h[0] == "<" else f'#include "{h}"' for h in headers]
    return rules.check_includes(path, "\n".join(lines))


def target_problems(package, text):
    return [p for target in source_tree.targets(text, package) for p in rules.check_target(target)]


class IncludesTest(unittest.TestCase):
    def assert_bad(self, path, header, text):
        problems = include_problems(path, header)
        self.assertTrue(problems, f"{path} may include {header}")
        self.assertIn(text, problems[0])
        self.assertIn(f"{path}:1: ", problems[0])

    def assert_good(self, path, *headers):
        self.assertEqual([], include_problems(path, *headers))

    def test_directions(self):
        self.assert_bad("base/a.h", "raft/core/raft.h", "base does not know raft/core")
        self.assert_bad("base/a.h", "storage/record.h", "base does not know storage")
        self.assert_bad("raft/core/a.cc", "raft/node.h", "raft/core does not know raft")
        self.assert_bad("raft/core/a.cc", "storage/record.h", "raft/core does not know storage")
        self.assert_bad("storage/a.h", "raft/core/raft.h", "storage does not know raft/core")
        self.assert_bad("storage/a.h", "storage/block/block_log.h", "does not know storage/block")
        self.assert_bad("raft/a.h", "storage/block/block_log.h", "raft does not know storage/block")
        self.assert_bad("raft/a.h", "storage/memory_log_store.h", "knows the interface")
        self.assert_bad("raft/a.h", "storage/rocksdb/a.h", "raft does not know storage/rocksdb")
        self.assert_bad("raft/a.h", "service/wire/wire.h", "raft does not know service")
        self.assert_good("raft/core/a.cc", "base/check.h", "raft/core/raft.h", "<vector>")
        self.assert_good("storage/block/a.h", "storage/record.h", "base/bytes.h", "<memory>")
        self.assert_good("raft/a.h", "raft/core/raft.h", "storage/log_store.h", "<thread>")
        self.assert_good("service/a.cc", "storage/rocksdb/a.h", "raft/node.h", "client/c.h")

    def test_nobody_knows_tests(self):
        self.assert_bad("base/a.cc", "tests/sim/sim.h", "nobody knows tests")
        self.assert_bad("service/a.cc", "bench/load.h", "nobody knows bench")
        self.assert_good("tests/sim/sim.cc", "tests/sim/sim.h", "service/wire/wire.h", "<thread>")
        self.assert_good("bench/load.cc", "bench/load.h", "tests/sim/sim.h")

    def test_libraries(self):
        self.assert_bad("raft/core/a.cc", "google/protobuf/message.h", "does not use protobuf")
        self.assert_bad("raft/a.cc", "grpcpp/grpcpp.h", "raft does not use grpc")
        self.assert_bad("raft/a.cc", "<grpcpp/grpcpp.h>", "raft does not use grpc")
        self.assert_bad("storage/a.cc", "cairn/v1/peer.pb.h", "storage does not know proto")
        self.assert_bad("storage/a.cc", "rocksdb/db.h", "storage does not use rocksdb")
        self.assert_bad("service/a.cc", "rocksdb/db.h", "service does not use rocksdb")
        self.assert_bad("service/a.cc", "gtest/gtest.h", "service does not use gtest")
        self.assert_good("storage/rocksdb/a.cc", "rocksdb/db.h", "xxhash.h")
        self.assert_good("service/a.cc", "grpcpp/grpcpp.h", "cairn/v1/peer.grpc.pb.h")

    def test_banned_headers(self):
        for header in ("<thread>", "<mutex>", "<atomic>", "<chrono>", "<fstream>", "<iostream>",
                       "<random>", "<condition_variable>", "<future>", "<filesystem>", "<cstdlib>",
                       "<ctime>", "<sys/time.h>", "absl/time/clock.h", "<unordered_map>",
                       "absl/container/flat_hash_map.h", "base/mutex.h"):
            self.assertTrue(include_problems("raft/core/raft.cc", header), header)
        self.assert_bad("client/a.cc", "<iostream>", "base/log_sink.h")
        self.assert_bad("service/a.cc", "<mutex>", "base/mutex.h")
        self.assert_bad("storage/a.cc", "absl/synchronization/mutex.h", "base/mutex.h")
        self.assert_bad("storage/a.cc", "<fcntl.h>", "only door to disks")
        self.assert_bad("raft/node.cc", "<chrono>", "clocks come from outside")
        self.assert_good("base/mutex.h", "<mutex>", "<condition_variable>")
        self.assert_good("storage/posix_file_system.cc", "<fcntl.h>", "<sys/stat.h>")
        self.assert_good("service/cli/a.cc", "<iostream>")

    def test_relative_includes(self):
        self.assert_bad("base/a.cc", "check.h", "from the workspace's root")

    def test_unknown_directories(self):
        self.assertIn("has no layer", include_problems("newdir/a.cc", "<vector>")[0])
        self.assert_bad("base/a.cc", "elsewhere/b.h", "no layer")


class CodeTest(unittest.TestCase):
    def test_finds_banned_code(self):
        for path, code in (("service/a.cc", "std::random_device seed;"),
                           ("client/a.h", "absl::optional<int> x;"),
                           ("raft/core/a.cc", "int x = rand ();"),
                           ("tests/raft/a_test.cc", "std::this_thread::sleep_for(x);")):
            self.assertIn(f"{path}:2: ", "".join(rules.check_code(path, f"int y;\n{code}\n")))

    def test_passes_the_rest(self):
        for path, code in (("service/a.cc", '// random_device\nauto s = "random_device";'),
                           ("service/a.cc", "absl::any_invocable x; absl::AnyInvocable<void()> y;"),
                           ("raft/core/a.cc", "Elapsed(start_time(x)); randomized(y);"),
                           ("tests/integration/a_test.cc", "std::this_thread::sleep_for(x);")):
            self.assertEqual([], rules.check_code(path, code))


class TargetsTest(unittest.TestCase):
    def assert_bad(self, package, dep, text, name="a"):
        problems = target_problems(package, f'cc_library(name = "{name}", deps = ["{dep}"])')
        self.assertIn(text, "".join(problems))

    def assert_good(self, package, dep, name="a"):
        text = f'cc_library(name = "{name}", deps = ["{dep}"])'
        self.assertEqual([], target_problems(package, text))

    def test_directions(self):
        self.assert_bad("base", "//storage:record", "base does not know storage")
        self.assert_bad("raft/core", "//raft:node", "raft/core does not know raft")
        self.assert_bad("raft", "//storage/block:block_log", "raft does not know storage/block")
        self.assert_bad("raft", "//storage:memory_log_store", "knows the interface")
        self.assert_bad("service", "//tests/sim", "nobody knows tests")
        self.assert_bad("newdir", "//base:check", "has no layer")
        self.assert_bad("base", "//elsewhere:b", "no package of the project")
        self.assert_good("raft", "//storage:log_store")
        self.assert_good("raft", ":node")
        self.assert_good("tests/raft", "//storage/block:block_log")

    def test_libraries(self):
        self.assert_bad("raft", "//third_party:grpc", "raft does not use it")
        self.assert_bad("storage", "//third_party:rocksdb", "storage does not use it")
        self.assert_bad("service", "//third_party:gtest", "service does not use it")
        self.assert_good("storage/rocksdb", "//third_party:rocksdb")
        self.assert_good("service", "//third_party:grpc")

    def test_instrumentation(self):
        text = ('cc_library(name = "lib", deps = ["//third_party:grpc"])\n'
                'cc_test(name = "a_test", deps = [":lib"])\n'
                'cc_test(name = "b_test", deps = [":lib"], tags = ["no-tsan"])\n'
                'cc_test(name = "c_test", deps = ["//third_party:gtest"])\n')
        targets = source_tree.targets(text, "tests/raft")
        self.assertEqual(['//tests/raft:a_test links //third_party:grpc: tag it "no-tsan"'],
                         rules.check_instrumentation(targets))
        targets = source_tree.targets(text, "tests/service")
        self.assertEqual([], rules.check_instrumentation(targets))


if __name__ == "__main__":
    unittest.main()
