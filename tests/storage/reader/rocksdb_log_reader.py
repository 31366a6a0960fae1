#!/usr/bin/env python3
"""usage: rocksdb_log_reader.py DIRECTORY

Reads a log in RocksDB and prints it as JSON. Written from storage/rocksdb/FORMAT.md alone; a
section of the page stands behind each name in quotes. What the database holds `ldb` tells (Debian's
rocksdb-tools), of a log that no process has open.
"""

import dataclasses
import json
import pathlib
import re
import struct
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from log_format import (  # noqa: E402 (found through the line above)
    MAX_NUMBER,
    Damage,
    Fields,
    NoLog,
    checksum,
    decode_record,
    hash_text,
)

LEDGER_MAGIC = 0x4B434143
LEDGER_UNIT = 4096
CONFIGURATION = 3


def read_database(directory):
    """Keys to values."""
    done = subprocess.run(
        ["ldb", f"--db={directory}", "scan", "--hex"], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise Damage(f"ldb: {done.stdout[-300:]}{done.stderr[-300:]}")
    pairs = {}
    for line in done.stdout.splitlines():
        found = re.fullmatch(r"0x([0-9A-F]*) (?:==>|:) 0x([0-9A-F]*)", line)
        if not found:
            raise Damage(f"ldb says: {line[:100]}")
        pairs[bytes.fromhex(found[1])] = bytes.fromhex(found[2])
    return pairs


# ---- "Keys and values"


def checked(key, value, versions=(1,)):
    """The fields of a value that has a version and a checksum, and the version."""
    if len(value) < 9 or struct.unpack_from("<Q", value, len(value) - 8)[0] != checksum(
        key + value[:-8]
    ):
        raise Damage(f"the value of {key!r} is bad")
    if value[0] not in versions:
        raise Damage(f"the value of {key!r} has version {value[0]}")
    return Fields(value[1:-8]), value[0]


@dataclasses.dataclass
class Head:
    change: int
    hard_state: tuple
    base: tuple  # index, term, hash
    last: tuple
    commit: int
    torn_from: int
    unsure: bool


def read_head(key, value):
    fields, version = checked(key, value, (1, 2))
    change, term, vote = fields.take("QQQ")
    positions = []
    for _ in range(2):
        index, at_term, low, high = fields.take("QQQQ")
        positions.append((index, at_term, (low, high)))
    commit, torn_from = fields.take("QQ")
    base, last = positions
    sane = base[0] <= last[0] and base[1] <= last[1] and max(*base[:2], *last[:2]) <= MAX_NUMBER
    if fields.left() or not sane or torn_from and not base[0] < torn_from <= last[0]:
        raise Damage(f"the head {key!r} makes no sense")
    return Head(change, (term, vote), base, last, commit, torn_from, version == 2)


def read_terms(key, value):
    fields, _ = checked(key, value)
    terms = []
    while fields.left():
        terms.append(fields.take("QQ"))
    if terms != sorted(terms):
        raise Damage(f"the terms {key!r} are not in order")
    return terms


def term_at(terms, index):
    return max(([first, term] for first, term in terms if first <= index), default=[0, 0])[1]


# ---- "The ledger"


@dataclasses.dataclass
class Ledger:
    groups: dict = dataclasses.field(default_factory=dict)  # of those not dropped: (head, terms)
    identity: bytes = b""
    records: int = 0


def read_ledger(files):
    ledger = Ledger()
    for data in files:
        at = 0
        while at + 17 <= len(data):
            magic, version, length = struct.unpack_from("<IBI", data, at)
            end = at + 9 + length
            if magic != LEDGER_MAGIC or end + 8 > len(data):
                break
            if version != 2:
                raise Damage(f"a record of the ledger has version {version}")
            if struct.unpack_from("<Q", data, end)[0] != checksum(data[at:end]):
                raise Damage(f"a record of the ledger, at {at}, is bad")
            _read_ledger_record(Fields(data[at + 9 : end]), data[at + 9 : end], ledger)
            at = -(-(end + 8) // LEDGER_UNIT) * LEDGER_UNIT
        if any(data[at:]):
            raise Damage(f"the ledger has something at {at}")
    return ledger


def _read_ledger_record(fields, body, ledger):
    def text():
        size = fields.one("I")
        begin = len(body) - fields.left()
        fields.take(f"{size}s")
        return body[begin : begin + size]

    number, _boot, of_all = fields.take("QQB")
    if of_all:
        ledger.groups = {}
    identity = text()
    if ledger.identity not in (b"", identity):
        raise Damage("the ledger is of two logs")
    ledger.identity = identity
    if ledger.records and number != ledger.records + 1:
        raise Damage(f"the ledger goes on with record {number} behind {ledger.records}")
    ledger.records = number
    while fields.left():
        group, dropped, _durable = fields.take("QBQ")
        head, terms = text(), text()
        if dropped:
            ledger.groups.pop(group, None)
        else:
            ledger.groups[group] = (head, terms)


# ---- "Reading"


def read_group(group, pairs):
    """One group as plain data."""
    prefix = b"l" + struct.pack(">Q", group)
    head = read_head(prefix + b"h", pairs[prefix + b"h"])
    terms = read_terms(prefix + b"t", pairs.get(prefix + b"t"))
    rows = []
    configurations = []
    before = head.base[2]
    for index in range(head.base[0] + 1, head.last[0] + 1):
        record = pairs.get(prefix + b"z" + struct.pack(">Q", index))
        if record is None:
            raise Damage(f"group {group}: entry {index} is not there")
        entry = decode_record(record, group, index, term_at(terms, index))
        if isinstance(entry, str):
            raise Damage(f"group {group}, index {index}: {entry}")
        if entry.previous != before:
            raise Damage(f"group {group}, index {index}: does not follow {index - 1}")
        before = entry.hash
        if entry.type == CONFIGURATION:
            configurations.append(index)
        rows.append([
            index, entry.term, entry.type, entry.session, entry.number, entry.flags,
            entry.timestamp, entry.version, hash_text(entry.hash), entry.payload.hex(),
        ])
    if before != head.last[2]:
        raise Damage(f"group {group}: ends with another entry than its head says")
    return head, {
        "hard_state": list(head.hard_state),
        "hard_state_lost": head.unsure,
        "base": [*head.base[:2], hash_text(head.base[2])],
        "last": [*head.last[:2], hash_text(head.last[2])],
        "known_commit": head.commit,
        "torn_from": head.torn_from,
        "configurations": configurations,
        "entries": rows,
    }


def read_log(directory):
    directory = pathlib.Path(directory)
    if not (directory / "db" / "CURRENT").exists():
        raise NoLog()
    pairs = read_database(directory / "db")
    ledger = read_ledger([path.read_bytes() for path in sorted(directory.glob("acks.*"))])
    fields, _ = checked(b"i", pairs[b"i"])
    cluster, node, incarnation = fields.take("16sQQ")
    if ledger.identity != pairs[b"i"]:
        raise Damage("the ledger is of another log")
    groups = {}
    for key in pairs:
        if len(key) != 10 or key[:1] != b"l" or key[9:] != b"h":
            continue
        group = struct.unpack(">Q", key[1:9])[0]
        head, groups[str(group)] = read_group(group, pairs)
        # "Recovery": what the ledger says was there is there.
        if group in ledger.groups:
            told = read_head(key, ledger.groups[group][0])
            if told.change > head.change:
                raise Damage(f"group {group}: the ledger knows change {told.change}")
    missing = [group for group in ledger.groups if str(group) not in groups]
    if missing:
        raise Damage(f"groups {missing} are in the ledger alone")
    return {
        "cluster": cluster.hex(),
        "node": node,
        "incarnation": incarnation,
        "ledger_records": ledger.records,
        "groups": groups,
    }


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 1
    try:
        found = read_log(arguments[1])
    except NoLog:
        print("error: there is no log", file=sys.stderr)
        return 3
    except Damage as damage:
        print(f"error: {damage}", file=sys.stderr)
        return 10
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
