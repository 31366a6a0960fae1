#!/usr/bin/env python3
"""A reader in Python, made from storage/rocksdb/FORMAT.md alone, and the store read the same."""

import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import rocksdb_log_reader  # noqa: E402 (found through the line above)

LOGS = 30
FLIPS = 400


def named(path):
    """A file that is data of the test."""
    return pathlib.Path(os.environ.get("TEST_SRCDIR", "bazel-bin")) / os.environ.get(
        "TEST_WORKSPACE", "") / path


def groups_of(store):
    """As the store says, in the words of the reader."""
    groups = {}
    for name, found in store["groups"].items():
        assert found["faulty"] == 0, found
        group = {key: found[key] for key in ("hard_state", "hard_state_lost", "base", "last",
                                             "known_commit", "torn_from", "entries")}
        group["configurations"] = [at for at, _, _ in found["configurations"]]
        groups[name] = group
    return groups


class RocksDbLogReaderTest(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls._directory = tempfile.TemporaryDirectory()
        maker = named("tests/storage/reader/rocksdb_log_maker")
        subprocess.run([maker, cls._directory.name, "1", str(LOGS)], check=True)
        cls.logs = {}
        for seed in range(1, LOGS + 1):
            directory = pathlib.Path(cls._directory.name) / str(seed)
            store = json.loads((directory / "store.json").read_text())
            assert store["error"] == "OK", store["error"]
            cls.logs[seed] = directory / "log", groups_of(store)

    @classmethod
    def tearDownClass(cls):
        cls._directory.cleanup()

    def test_reads_what_the_store_reads(self):
        for seed, (directory, groups) in self.logs.items():
            with self.subTest(seed=seed):
                found = rocksdb_log_reader.read_log(directory)
                self.assertEqual((7, seed), (found["node"], found["incarnation"]))
                self.assertEqual(groups, found["groups"])

    def test_the_logs_are_worth_reading(self):
        """Each thing a log may hold is in some of them."""
        groups = [group for _, log in self.logs.values() for group in log.values()]
        self.assertGreater(len(groups), LOGS)
        self.assertGreater(sum(len(group["entries"]) for group in groups), 1000)
        self.assertGreater(sum(group["base"][0] != 0 for group in groups), 20)
        self.assertGreater(sum(len(group["configurations"]) > 1 for group in groups), 10)
        self.assertGreater(sum(group["known_commit"] != 0 for group in groups), 20)
        tables = sum(len(list(directory.glob("db/*.sst"))) > 0
                     for directory, _ in self.logs.values())
        self.assertGreater(tables, LOGS // 3)

    def test_a_changed_value_is_damage(self):
        chance = random.Random(7)
        directory, groups = self.logs[3]
        pairs = rocksdb_log_reader.read_database(directory / "db")
        for _ in range(FLIPS):
            group = int(chance.choice(sorted(groups)))
            prefix = b"l" + struct.pack(">Q", group)
            # A mark is for the store's own starts.
            key = chance.choice([key for key in pairs
                                 if key.startswith(prefix) and key[9:] != b"v"])
            value = bytearray(pairs[key])
            value[chance.randrange(len(value))] ^= chance.randrange(1, 256)
            changed = {**pairs, key: bytes(value)}
            try:
                _, found = rocksdb_log_reader.read_group(group, changed)
            except rocksdb_log_reader.Damage:
                continue
            # An entry that was dropped or truncated, and is deleted later.
            self.assertEqual(groups[str(group)], found, key)

    def test_a_changed_ledger_is_damage(self):
        chance = random.Random(8)
        directory, _ = self.logs[4]
        data = [path.read_bytes() for path in sorted(directory.glob("acks.*"))]
        whole = rocksdb_log_reader.read_ledger(data)
        self.assertGreater(whole.records, 10)
        for _ in range(FLIPS):
            last = bytearray(data[-1])
            at = chance.choice([i for i in range(0, len(last), 4096) if any(last[i:i + 4096])])
            at += chance.randrange(150)
            last[at] ^= chance.randrange(1, 256)
            with self.assertRaises(rocksdb_log_reader.Damage, msg=at):
                found = rocksdb_log_reader.read_ledger([*data[:-1], bytes(last)])
                # What ends it too early.
                if found.records < whole.records:
                    raise rocksdb_log_reader.Damage("ends early")


if __name__ == "__main__":
    unittest.main()
