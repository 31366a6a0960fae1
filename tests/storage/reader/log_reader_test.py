#!/usr/bin/env python3
"""A reader in Python, made from storage/block/FORMAT.md alone, and the store read the same."""

import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import log_reader  # noqa: E402 (found through the line above)

LOGS = 120
FLIPS = 2000


def named(path):
    """A file that is data of the test."""
    return pathlib.Path(os.environ.get("TEST_SRCDIR", "bazel-bin")) / os.environ.get(
        "TEST_WORKSPACE", "") / path


def from_hexdump(text):
    """The bytes of which `hexdump -C` printed this."""
    data = bytearray()
    repeats = False
    for line in text.splitlines():
        if line == "*":
            repeats = True
            continue
        at = int(line[:8], 16)
        if repeats:
            data += bytes(data[-16:]) * ((at - len(data)) // 16)
            repeats = False
        data += bytes.fromhex(line[8:58].replace(" ", ""))
    return bytes(data)


def files_of_page():
    page = named("storage/block/FORMAT.md").read_text()
    shown = re.findall(r"`(\S+)`, as `hexdump -C` prints it:\n\n```\n(.*?)```", page, re.DOTALL)
    return {name: from_hexdump(dump) for name, dump in shown}


def without_lost_entries(group):
    """What a reader and the store both say of a group, apart from entries that are not there."""
    return {**group, "entries": [row for row in group["entries"] if row[-1] is not None]}


class Made:
    """One log of log_maker, and what the store said of it."""

    def __init__(self, directory, loses=False):
        self.seed = int(directory.name)
        self.loses = loses  # a batch
        self.files = log_reader.read_directory(directory / "log")
        self.recovered = log_reader.read_directory(directory / "recovered")
        self.store = json.loads((directory / "store.json").read_text())

    def read(self, files=None):
        return log_reader.read_files(files or self.files, self.store["boot_id"])

    @property
    def groups(self):
        """As the store says, in the words of the reader."""
        groups = {}
        for name, found in self.store["groups"].items():
            readable = {row[0]: row for row in found["entries"] if row[-1] is not None}
            bodies = [[i, row[1], row[-1]] for i, row in readable.items() if row[2] == 3]
            assert self.loses or not found["hard_state_lost"] and found["faulty"] == 0, found
            assert bodies == found["configurations"], (self.seed, name)
            group = {key: found[key] for key in
                     ("hard_state", "hard_state_lost", "base", "last", "known_commit", "torn_from")}
            group["configurations"] = [at for at, _, _ in found["configurations"]]
            group["entries"] = found["entries"]
            if group["hard_state"] != [0, 0] or group["last"][0] != 0:
                groups[name] = group
        return groups


class LogReaderTest(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls._directory = tempfile.TemporaryDirectory()
        maker = named("tests/storage/reader/log_maker")
        subprocess.run([maker, cls._directory.name, "1", str(LOGS)], check=True)
        cls.logs = [Made(pathlib.Path(cls._directory.name) / str(seed + 1)) for seed in range(LOGS)]

    @classmethod
    def tearDownClass(cls):
        cls._directory.cleanup()

    def test_the_example_of_the_page(self):
        found = log_reader.read_files(files_of_page(), "simulated-0-1")
        self.assertEqual([], found["damage"])
        self.assertEqual({"1", "2"}, set(found["groups"]))
        first, second = found["groups"]["1"], found["groups"]["2"]
        self.assertEqual([2, 1], first["hard_state"])
        self.assertEqual(["", b"hello".hex(), b"again".hex()],
                         [row[-1] for row in first["entries"]])
        self.assertEqual([(b"x" * 3000).hex()], [row[-1] for row in second["entries"]])

    def test_an_encrypted_block_is_no_damage(self):
        files = files_of_page()
        name = "00000000000000000002.block"
        header = bytearray(files[name][:512])
        header[4] = 2
        header[64:72] = (0xABCDEF).to_bytes(8, "little")
        header[504:] = log_reader.checksum(bytes(header[:504])).to_bytes(8, "little")
        files[name] = bytes(header) + files[name][512:]
        with self.assertRaisesRegex(log_reader.Encrypted, "0000000000abcdef"):
            log_reader.read_files(files, "simulated-0-1")

    def compare(self, log, files):
        self.assertEqual("OK", log.store["error"])
        found = log.read(files)
        self.assertEqual([], found["damage"])
        mine = {name: without_lost_entries(group) for name, group in found["groups"].items()}
        theirs = {name: without_lost_entries(group) for name, group in log.groups.items()}
        self.assertEqual(theirs, mine)

    def test_reads_what_the_store_reads(self):
        for log in self.logs:
            with self.subTest(seed=log.seed):
                self.compare(log, log.files)

    def test_reads_what_the_store_has_recovered(self):
        for log in self.logs:
            with self.subTest(seed=log.seed):
                self.compare(log, log.recovered)

    def test_the_logs_are_worth_reading(self):
        """Each thing a log may hold is in some of them."""
        notes = [note for log in self.logs for note in log.read()["notes"]]
        groups = [group for log in self.logs for group in log.groups.values()]
        self.assertGreater(sum("torn" in note for note in notes), 5)
        self.assertGreater(sum(group["torn_from"] != 0 for group in groups), 1)
        self.assertGreater(sum(group["known_commit"] != 0 for group in groups), 20)
        self.assertGreater(sum(group["base"][0] != 0 for group in groups), 20)
        self.assertGreater(sum(len(group["configurations"]) > 1 for group in groups), 20)
        self.assertGreater(sum(len(group["entries"]) for group in groups), 1000)
        sealed = sum(len(log.files) > 5 for log in self.logs)
        self.assertGreater(sealed, LOGS // 2)
        compressed = sum(data[4] == 3 for log in self.logs for name, data in log.files.items()
                         if name.endswith(".block"))
        self.assertGreater(compressed, 20)
        self.assertGreater(sum("00000000000000000001.block" not in log.files
                               for log in self.logs), 20)

    def flipped(self, log, chance, count):
        """The files with some bytes changed in places that are in use."""
        files = dict(log.files)
        for _ in range(count):
            name = chance.choice([name for name in files if name != "LOCK" and ".tmp" not in name])
            data = bytearray(files[name])
            places = [i for i in range(0, len(data), 512) if any(data[i:i + 512])]
            at = chance.choice(places) + chance.randrange(512)
            data[min(at, len(data) - 1)] ^= chance.randrange(1, 256)
            files[name] = bytes(data)
        return files

    def test_damage_is_never_other_data(self):
        chance = random.Random(7)
        logs = [log for log in self.logs
                if log.seed % 3 == 0 and sum(map(len, log.files.values())) < 200_000]
        told = same = 0
        for _ in range(FLIPS):
            log = chance.choice(logs)
            files = self.flipped(log, chance, chance.choice([1, 1, 1, 2, 8]))
            try:
                found = log.read(files)
            except log_reader.Damage:
                told += 1
                continue
            # What is bad is named; the rest is what it was.
            whole = log.groups
            self.assertEqual(set(whole), set(found["groups"]), log.seed)
            lost = 0
            for name, group in found["groups"].items():
                rows = {row[0]: row for row in whole[name].pop("entries")}
                for row in group.pop("entries"):
                    if row[-1] is None:
                        lost += 1
                        self.assertEqual(row[:2], rows[row[0]][:2])
                    else:
                        self.assertEqual(row, rows[row[0]], log.seed)
                self.assertEqual(whole[name], group, log.seed)
            self.assertEqual(lost, len(found["damage"]))
            told += lost > 0
            same += lost == 0
        self.assertGreater(told, FLIPS // 4)
        self.assertGreater(same, FLIPS // 10)

    def test_the_last_batch_is_not_cut_off_when_both_its_names_are_bad(self):
        tried = 0
        for log in self.logs[2::3]:
            identity = log_reader.read_manifest(log.files)
            blocks = [log_reader.Block(name, data, identity)
                      for name, data in log.files.items() if name.endswith(".block")]
            found = [(record.number, block, record) for block in blocks if block.seal is None
                     for at in range(block.first_data, block.first_id_end, block.unit)
                     if (record := log_reader.read_id_record(block, at, block.first_id_end))]
            if not found:
                continue
            _, block, last = max(found, key=lambda each: each[0])
            data = bytearray(block.data)
            for at in (last.data_begin, last.id_begin):
                data[at + 9 + tried % 40] ^= 0x10
            with self.assertRaises(log_reader.Damage):
                log.read({**log.files, block.name: bytes(data)})
            tried += 1
        self.assertGreater(tried, LOGS // 4)

    def test_a_missing_block_is_noticed_or_not_needed(self):
        for log in self.logs[2::3]:
            for name in [name for name in log.files if name.endswith(".block")]:
                files = {other: data for other, data in log.files.items() if other != name}
                try:
                    found = log.read(files)
                except log_reader.Damage:
                    continue
                if found["groups"] != log.groups:
                    # The last blocks: nobody can tell that they were there.
                    self.assertGreaterEqual(name, max(n for n in log.files if "block" in n))


class LostBatchTest(unittest.TestCase):
    """A batch is lost, both copies of its id record: what follows for each group is the same."""

    maxDiff = 4000

    def test_reads_what_the_store_reads(self):
        with tempfile.TemporaryDirectory() as directory:
            maker = named("tests/storage/reader/log_maker")
            subprocess.run([maker, directory, "1", str(LOGS), "lose"], check=True)
            logs = [Made(pathlib.Path(directory) / str(seed + 1), loses=True)
                    for seed in range(LOGS)]
        missing = ended = whole = 0
        for log in logs:
            with self.subTest(seed=log.seed):
                self.assertEqual("OK", log.store["error"])
                found = log.read()
                self.assertTrue(any("is lost" in note for note in found["notes"]))
                mine, theirs = found["groups"], log.groups
                self.assertEqual(set(theirs), set(mine))
                for name, group in mine.items():
                    lacks = sum(row[-1] is None for row in group["entries"])
                    self.assertEqual(log.store["groups"][name]["faulty"], lacks, name)
                    missing += lacks > 0
                    ended += group["hard_state_lost"]
                    whole += not lacks and not group["hard_state_lost"]
                    self.assertEqual(without_lost_entries(theirs[name]),
                                     without_lost_entries(group))
        self.assertGreater(missing, 1)
        self.assertGreater(ended, 20)
        self.assertGreater(whole, 20)


if __name__ == "__main__":
    unittest.main()
