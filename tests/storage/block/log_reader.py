#!/usr/bin/env python3
"""usage: log_reader.py DIRECTORY [BOOT_ID]

Reads a block log and prints it as JSON. Written from storage/block/FORMAT.md alone, as somebody
would who has no C++: a section of the page stands behind each name in quotes. It writes nothing.

BOOT_ID is the machine's (default: this one's); it decides what a torn tail may be.
"""

import ctypes
import dataclasses
import json
import pathlib
import re
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import compressed_block  # noqa: E402 (found through the line above)

SECTOR = 512
FILLER = 0x5A
MAX_PAYLOAD = 16 << 20
MAX_NUMBER = 1 << 62
RECORD_HEADER = 112
RECORD_MAGIC = 0xC3A1E5B7
ID_MAGIC = 0x1D4EC04D
ID_HEADER = 88
NO_HASH = (0, 0)  # low half, high half


class Encrypted(Exception):
    """A block is encrypted; this reader is of plain logs."""


class Damage(Exception):
    """The log cannot be put together, and why."""


class NoLog(Exception):
    """There is none in the directory."""


class _Hash128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def _load_xxhash():
    library = ctypes.CDLL("libxxhash.so.0")
    for function, result in (
        (library.XXH3_64bits, ctypes.c_uint64),
        (library.XXH3_128bits, _Hash128),
    ):
        function.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
        function.restype = result
    return library


_XXHASH = _load_xxhash()


def checksum(data):
    return _XXHASH.XXH3_64bits(bytes(data), len(data))


def hash_of(data):
    found = _XXHASH.XXH3_128bits(bytes(data), len(data))
    return (found.low, found.high)


def hash_text(value):
    """High half first."""
    return f"{value[1]:016x}{value[0]:016x}"


def has_zero_sector(data, begin, end):
    """Whether one of the sectors that begin..end touches is all zero."""
    at = begin // SECTOR * SECTOR
    return any(not any(data[i : i + SECTOR]) for i in range(at, end, SECTOR))


class Fields:
    """Takes one field after the other from bytes; Damage where they end."""

    def __init__(self, data):
        self._data = data
        self._at = 0

    def take(self, layout):
        try:
            values = struct.unpack_from("<" + layout, self._data, self._at)
        except struct.error as error:
            raise Damage(f"fields end too early: {error}") from error
        self._at += struct.calcsize("<" + layout)
        return values

    def one(self, layout):
        return self.take(layout)[0]

    def left(self):
        return len(self._data) - self._at


# ---- "Directory", "Header", "Seal"


@dataclasses.dataclass(frozen=True)
class Identity:
    cluster: bytes
    node: int
    incarnation: int


def _one_manifest(data):
    if data is None or len(data) != 48 or struct.unpack_from("<I", data)[0] != 0x3A71F357:
        return None
    if struct.unpack_from("<Q", data, 40)[0] != checksum(data[:40]):
        return None
    _, version, cluster, node, incarnation = struct.unpack_from("<II16sQQ", data)
    if version != 1:
        raise Damage(f"MANIFEST: format version {version}, this reader knows 1")
    return Identity(cluster, node, incarnation)


def read_manifest(files):
    names = ("MANIFEST", "MANIFEST.copy")
    if not any(name in files for name in names):
        raise NoLog()
    good = [found for found in (_one_manifest(files.get(name)) for name in names) if found]
    if not good:
        raise Damage("MANIFEST: both copies are bad")
    if len(set(good)) > 1:
        raise Damage("MANIFEST: the copies differ")
    return good[0]


@dataclasses.dataclass
class Seal:
    undecided: bool  # its last batch, if entries of it are bad
    first_batch: int
    last_batch: int
    data_end: int
    id_begin: int
    last_hash: tuple


class Block:
    """A file named a block: its header, and its seal if it has one."""

    def __init__(self, name, data, identity):
        self.name = name
        self.data = data
        self.number = int(name.split(".")[0])
        self.length, self.unit, compression = self._read_header(identity)
        self.tag = checksum(
            identity.cluster
            + struct.pack("<QQQ", identity.node, identity.incarnation, self.number)
        )
        expanded = compression and compressed_block.expand(data, compression, self, checksum)
        self.data = expanded.data if expanded else data
        self.seal = self._read_seal(self.unit) or self._read_seal(self.length - 2 * self.unit)
        if expanded and expanded.seal and not self.seal:
            self.seal = self._seal_of(expanded.seal)
        if compression and not self.seal:
            raise Damage(f"{self.name}: it is compressed, and no copy of its seal is good")

    @property
    def first_data(self):
        return 2 * self.unit

    @property
    def first_id_end(self):
        return self.length - 2 * self.unit

    def round_up(self, length):
        return -(-length // self.unit) * self.unit

    def _read_header(self, identity):
        for at in (0, len(self.data) - 4096, len(self.data) - 512):
            sector = self.data[at : at + SECTOR] if at >= 0 else b""
            if len(sector) != SECTOR or sector[:4] != struct.pack("<I", 0xB10CDA7A):
                continue
            if struct.unpack_from("<Q", sector, 504)[0] != checksum(sector[:504]):
                continue
            _, version, cluster, node, incarnation, number, length, unit, key = (
                struct.unpack_from("<II16sQQQQQQ", sector)
            )
            if version == 2 or version == 3 and key != 0:
                raise Encrypted(f"{self.name}: encrypted with key {key:016x}, not read here")
            if version not in (1, 3) or key != 0:
                raise Damage(f"{self.name}: format version {version}, key {key}")
            compression = struct.unpack_from("<QQQQQQ", sector, 160) if version == 3 else None
            file_length = compression[0] if compression else length
            if at != 0 and at != file_length - unit:
                continue
            if Identity(cluster, node, incarnation) != identity or number != self.number:
                raise Damage(f"{self.name}: is of another log, or another block")
            if (
                unit not in (512, 4096)
                or length % 4096 != 0
                or length < 16 * unit
                or file_length > len(self.data)
            ):
                raise Damage(f"{self.name}: length {length}, unit {unit}")
            return length, unit, compression
        raise Damage(f"{self.name}: neither header can be read")

    def _read_seal(self, at):
        return self._seal_of(self.data[at : at + SECTOR])

    def _seal_of(self, sector):
        if struct.unpack_from("<Q", sector, len(sector) - 8)[0] != checksum(sector[:-8]):
            return None
        magic, bad, tag, first, last, data_end, id_begin, low, high = struct.unpack_from(
            "<IIQQQQQQQ", sector
        )
        if magic != 0x5EA1B10C or bad > 7 or tag != self.tag:
            return None
        return Seal(bad in (1, 2, 3), first, last, data_end, id_begin, (low, high))


# ---- "Id record"


@dataclasses.dataclass
class Ids:
    """Where consecutive entries stand, and what they must be."""

    block: Block
    first: int
    previous_hash: tuple
    last_hash: tuple
    begin: int  # offset of the first record
    runs: list  # (term, last index)
    configurations: list
    entries: list  # (length of the record, low 32 bits of its hash)

    @property
    def last(self):
        return self.first + len(self.entries) - 1

    def places(self):
        """The entries as (index, Place)."""
        at = self.begin
        run = 0
        for i, (length, short_hash) in enumerate(self.entries):
            index = self.first + i
            while self.runs[run][1] < index:
                run += 1
            yield index, Place(self.block, at, length, self.runs[run][0], short_hash)
            at += length


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one entry stands."""

    block: Block
    offset: int
    length: int
    term: int
    short_hash: int


@dataclasses.dataclass
class Bounds:
    base: tuple  # index, term, hash
    last: tuple  # index, term, hash
    torn_from: int


@dataclasses.dataclass
class Section:
    """What a batch does to one group."""

    group: int
    hard_state: tuple
    durable: int
    commit: int
    bounds: Bounds = None
    copies: list = dataclasses.field(default_factory=list)
    dropped: bool = False
    truncation: tuple = None  # from, hash before it
    entries: Ids = None
    base: tuple = None
    torn_from: int = 0  # not read, but decided


@dataclasses.dataclass
class IdRecord:
    number: int
    checkpoint: bool
    boot: int
    data_begin: int
    data_bytes: int
    id_begin: int
    length: int
    previous: tuple
    live_blocks: list
    sections: list
    hash: tuple

    def all_ids(self):
        for section in self.sections:
            yield from ((section.group, ids) for ids in section.copies)
            if section.entries:
                yield section.group, section.entries


def _read_position(fields):
    index, term, low, high = fields.take("QQQQ")
    return (index, term, (low, high))


def _read_ids(fields, block, records_begin):
    first, *hashes = fields.take("QQQQQ")
    begin, runs, configurations, count = fields.take("QIII")
    if max(16 * runs, 8 * configurations, 8 * count) > fields.left() or not count or not runs:
        raise Damage("counts of entry ids")
    ids = Ids(
        block,
        first,
        tuple(hashes[:2]),
        tuple(hashes[2:]),
        records_begin + begin,
        [fields.take("QQ") for _ in range(runs)],
        [fields.one("Q") for _ in range(configurations)],
        [fields.take("II") for _ in range(count)],
    )
    ends = [last for _, last in ids.runs]
    if ends != sorted(set(ends)) or ends[0] < first or ends[-1] != ids.last or first == 0:
        raise Damage("term runs of entry ids")
    return ids


def _read_section(fields, block, records_begin):
    group, flags, zero, copies = fields.take("QHHI")
    if flags & ~0x3F != 0x8000 or zero != 0 or group == 0:
        raise Damage(f"flags {flags:x} of a section")
    term, vote, durable, commit = fields.take("QQQQ")
    section = Section(group, (term, vote), durable, commit, dropped=bool(flags & 0x10))
    if flags & 1:
        base, last = _read_position(fields), _read_position(fields)
        section.bounds = Bounds(base, last, fields.one("Q"))
    section.copies = [_read_ids(fields, block, records_begin) for _ in range(copies)]
    if flags & 2:
        at, low, high = fields.take("QQQ")
        section.truncation = (at, (low, high))
    if flags & 4:
        section.entries = _read_ids(fields, block, records_begin)
    if flags & 8:
        section.base = _read_position(fields)
    return section


def read_id_record(block, at, end):
    """The good id record, or copy of one, that stands at `at` and ends before `end`; or None."""
    head = block.data[at : min(at + ID_HEADER, end)]
    if len(head) < ID_HEADER:
        return None
    magic, version, flags, number, tag, boot, data_begin, data_bytes, id_begin, length = (
        struct.unpack_from("<IHHQQQQQQQ", head)
    )
    if magic != ID_MAGIC or version != 1 or flags & ~1 != 0x8000 or tag != block.tag:
        return None
    if length < ID_HEADER + 8 or at + length > end:
        return None
    data = block.data[at : at + length]
    if struct.unpack_from("<Q", data, length - 8)[0] != checksum(data[:-8]):
        return None
    low, high, sections, live = struct.unpack_from("<QQII", head, 64)
    try:
        fields = Fields(data[ID_HEADER:-8])
        live_blocks = [fields.one("Q") for _ in range(live)]
        read = [_read_section(fields, block, data_begin + length) for _ in range(sections)]
        if fields.left() != 0:
            raise Damage("bytes behind the sections")
    except Damage:
        return None
    return IdRecord(
        number,
        bool(flags & 1),
        boot,
        data_begin,
        data_bytes,
        id_begin,
        length,
        (low, high),
        live_blocks,
        read,
        hash_of(data),
    )


# ---- "Record"


@dataclasses.dataclass(frozen=True)
class Entry:
    index: int
    term: int
    type: int
    flags: int
    timestamp: int
    session: int
    number: int
    version: int
    previous: tuple
    hash: tuple
    payload: bytes


def unmask(payload, mask):
    """None if the masked payload has what masking is there to prevent."""
    if mask == 0:
        return payload
    if bytes(384) in payload:
        return None
    pattern = struct.pack("<Q", mask) * (len(payload) // 8 + 1)
    size = len(payload)
    return (
        int.from_bytes(payload, "little") ^ int.from_bytes(pattern[:size], "little")
    ).to_bytes(size, "little")


def read_entry(group, index, place):
    """The entry, or why there is none."""
    record = place.block.data[place.offset : place.offset + place.length]
    if len(record) != place.length or place.length < RECORD_HEADER:
        return "is cut off"
    magic, version, kind, codec, flags, its_group, its_index, term, timestamp = (
        struct.unpack_from("<IBBBBQQQq", record)
    )
    session, number, mask, payload_checksum, low, high = struct.unpack_from("<QQQQQQ", record, 40)
    apply_version, zero16, length, zero64, header_checksum = struct.unpack_from(
        "<HHIQQ", record, 88
    )
    own = hash_of(record[:104])
    if magic != RECORD_MAGIC or own[0] != header_checksum:
        return "its header is bad"
    if version != 1 or not 1 <= kind <= 6 or codec != 0 or flags & ~1 or zero16 or zero64:
        return "this reader does not know its version, type, codec or flags"
    if (its_group, its_index, term) != (group, index, place.term):
        return "another entry stands there"
    if own[0] & 0xFFFFFFFF != place.short_hash:
        return "another entry stands there, by its hash"
    if length > MAX_PAYLOAD or RECORD_HEADER + length != place.length:
        return "its length is bad"
    masked = record[RECORD_HEADER:]
    if checksum(masked) != payload_checksum:
        return "its payload is bad"
    payload = unmask(masked, mask)
    if payload is None:
        return "its mask is bad"
    return Entry(
        index, term, kind, flags, timestamp, session, number, apply_version, (low, high), own,
        payload,
    )


# ---- "Reading", "Decisions"


@dataclasses.dataclass
class GroupLog:
    """How one group's log stands after the sections that were carried out."""

    hard_state: tuple = (0, 0)
    commit: int = 0
    base: tuple = (0, 0, NO_HASH)
    last: tuple = (0, 0, NO_HASH)
    torn_from: int = 0
    places: dict = dataclasses.field(default_factory=dict)
    hashes: dict = dataclasses.field(default_factory=dict)  # of some entries
    configurations: set = dataclasses.field(default_factory=set)

    def keep(self, first, last):
        for known in (self.places, self.hashes):
            for index in [i for i in known if not first <= i <= last]:
                del known[index]
        self.configurations = {i for i in self.configurations if first <= i <= last}
        if self.torn_from > last:
            self.torn_from = 0

    def take(self, ids):
        for index, place in ids.places():
            self.places[index] = place
            self.hashes.pop(index, None)
            self.configurations.discard(index)
        self.configurations.update(ids.configurations)
        self.hashes[ids.last] = ids.last_hash
        if ids.first - 1 > self.base[0]:
            self.hashes[ids.first - 1] = ids.previous_hash

    def carry_out(self, section):
        if section.bounds:
            self.base, self.last = section.bounds.base, section.bounds.last
            self.keep(self.base[0] + 1, self.last[0])
            self.commit = 0
            self.torn_from = section.bounds.torn_from
        for ids in section.copies:
            self.take(ids)
        if section.dropped:
            self.__init__()
        self.hard_state = section.hard_state
        self.commit = max(self.commit, section.commit)
        if section.truncation:
            self.cut(section.truncation[0], section.truncation[1])
        if section.entries:
            ids = section.entries
            self.cut(ids.first, ids.previous_hash)
            if section.base and section.base[0] + 1 >= ids.first:
                # All before them goes, whether they follow it or a base that came between.
                self.keep(ids.first, ids.first)
                self.last = (ids.first - 1, 0, ids.previous_hash)
            if ids.first != self.last[0] + 1:
                raise Damage(f"entries from {ids.first} do not follow {self.last[0]}")
            self.take(ids)
            self.last = (ids.last, ids.runs[-1][0], ids.last_hash)
        if section.base:
            self.base = section.base
            if self.last[0] <= self.base[0]:
                self.last = self.base
            self.keep(self.base[0] + 1, self.last[0])
        self.torn_from = self.torn_from or section.torn_from

    def cut(self, at, hash_before):
        if at > self.last[0]:
            return
        before = at - 1
        place = self.places.get(before)
        term = self.base[1] if before <= self.base[0] else place.term if place else 0
        self.keep(self.base[0] + 1, before)
        self.last = (before, term, hash_before) if before > self.base[0] else self.base


class Reader:
    """`files`: name to content of a log's directory."""

    def __init__(self, files, boot_id):
        self.notes = []
        self.damage = []  # of single entries: text
        self.groups = {}
        self._files = files
        self._boot = checksum(boot_id.encode())
        self._identity = read_manifest(files)
        self._expected = None  # number of the next batch, hash of the id record before it
        self._read_blocks()
        self._check_groups()

    def _read_blocks(self):
        names = sorted(n for n in self._files if re.fullmatch(r"[0-9]{20}\.block", n))
        blocks = [Block(name, self._files[name], self._identity) for name in names]
        if not blocks:
            raise Damage("there is a manifest and no block")
        before = None
        at_end = False
        for block in blocks:
            if at_end:
                self._check_is_empty(block)
                continue
            if block.number == 1:
                self._expected = (1, NO_HASH)
            elif before is None or block.number != before.number + 1:
                self._expected = None  # a block between was released
            self._read_block(block)
            at_end = block.seal is None
            before = block

    @staticmethod
    def _check_is_empty(block):
        # What stands here was written after the block before was sealed, and synced.
        if block.seal or any(block.data[block.first_data : block.first_id_end]):
            raise Damage(f"{block.name}: is in use, and the block before is not sealed")

    def _read_block(self, block):
        data_end, id_end = block.first_data, block.first_id_end
        seal = block.seal
        first = None
        while seal is None or (data_end, id_end) != (seal.data_end, seal.id_begin):
            batch, good_id = self._next_batch(block, data_end, id_end)
            if batch is None:
                if seal is not None:
                    raise Damage(f"{block.name} at {data_end}: a batch is lost")
                self._check_end(block, data_end, id_end)
                return
            self._check_number(block, batch)
            first = first or batch.number
            next_data = block.round_up(data_end + batch.data_bytes)
            if seal is None or (seal.undecided and batch.number == seal.last_batch):
                proved = self._stands_behind(block, next_data, batch)
                if not proved and not self._decide(block, batch, good_id or seal is not None):
                    return
            data_end, id_end = next_data, batch.id_begin
            for section in batch.sections:
                self.groups.setdefault(section.group, GroupLog()).carry_out(section)
        self._check_seal(block, first)

    def _check_seal(self, block, first):
        seal = block.seal
        if (first or 0) != seal.first_batch:
            raise Damage(f"{block.name}: its first batch is {first}")
        if self._expected is not None:
            if self._expected[0] != seal.last_batch + 1:
                raise Damage(f"{block.name}: the seal names batch {seal.last_batch}")
            if seal.last_batch and self._expected[1] != seal.last_hash:
                raise Damage(f"{block.name}: the seal names another last batch")
        self._expected = (seal.last_batch + 1, seal.last_hash)

    def _next_batch(self, block, data_end, id_end):
        """The batch, and whether its id record is good, too (if not, it was the head's copy)."""

        def fits(record):
            return (
                record is not None
                and record.data_begin == data_end
                and record.id_begin + block.round_up(record.length) == id_end
                and record.length <= record.data_bytes
                and data_end + record.data_bytes <= record.id_begin
            )

        head = read_id_record(block, data_end, id_end)
        if fits(head):
            record = read_id_record(block, head.id_begin, id_end)
            return head, fits(record) and record.hash == head.hash
        for at in range(id_end - block.unit, data_end, -block.unit):
            record = read_id_record(block, at, id_end)
            if fits(record) and record.id_begin == at:
                return record, True
        return None, False

    def _check_number(self, block, batch):
        if self._expected is not None and (batch.number, batch.previous) != self._expected:
            raise Damage(f"{block.name}: batch {batch.number} does not follow the one before")
        self._expected = (batch.number + 1, batch.hash)

    @staticmethod
    def _records_above(block, begin, end, number):
        for at in range(begin, end, block.unit):
            record = read_id_record(block, at, end)
            if record is not None and record.number > number:
                return True
        return False

    def _stands_behind(self, block, data_end, batch):
        """Whether anything was written later in the block, which proves that this was synced."""
        if block.seal:  # the footer stands there
            return self._records_above(block, data_end, batch.id_begin, batch.number)
        return any(block.data[data_end : batch.id_begin])

    def _decide(self, block, batch, good_id):
        """What is to be done with the last batch: True keeps it."""
        bad = [
            (group, index, place)
            for group, ids in batch.all_ids()
            for index, place in ids.places()
            if isinstance(read_entry(group, index, place), str)
        ]
        if not bad:
            return True

        def zero(place):
            return has_zero_sector(block.data, place.offset, place.offset + place.length)

        if any(section.copies for section in batch.sections):
            self.notes.append(f"{block.name}: copies in batch {batch.number} are torn")
            return False
        if not good_id:
            if zero(min((place for _, _, place in bad), key=lambda place: place.offset)):
                self.notes.append(f"{block.name}: batch {batch.number} is torn")
                return False
            return True
        if self._may_have_holes(batch):
            for section in batch.sections:
                torn = [i for group, i, place in bad if group == section.group and zero(place)]
                if torn:
                    section.torn_from = min(torn)
                    self.notes.append(f"group {section.group} may be torn from {min(torn)}")
        return True

    def _may_have_holes(self, batch):
        if batch.boot != self._boot:
            return True
        mark = self._files.get("FAILED_SYNC", b"")
        if len(mark) != 28 or checksum(mark[:20]) != struct.unpack_from("<Q", mark, 20)[0]:
            return False
        return struct.unpack_from("<IQQ", mark) == (0x5FA11E0D, self._boot, batch.number)

    def _check_end(self, block, data_end, id_end):
        """No batch is good at the end of the log: is there one that must have been?"""
        number = self._expected[0] - 1 if self._expected else 0
        if self._records_above(block, data_end, id_end, number):
            raise Damage(f"{block.name} at {data_end}: a batch is lost")
        gap = block.data[data_end:id_end]
        if not any(gap):
            return
        torn = not any(gap[:SECTOR])
        if not torn and struct.unpack_from("<I", gap)[0] == ID_MAGIC:
            length = struct.unpack_from("<Q", gap, 56)[0]
            torn = has_zero_sector(gap, 0, min(length, len(gap)))
        if not torn:
            raise Damage(f"{block.name} at {data_end}: nobody can tell what stood there")
        self.notes.append(f"{block.name} at {data_end}: a torn batch is cut off")

    def _check_groups(self):
        self.groups = {
            group: log
            for group, log in sorted(self.groups.items())
            if log.hard_state != (0, 0) or log.last[0] or log.base[0]
        }
        for group, log in self.groups.items():
            for index in range(log.base[0] + 1, log.last[0] + 1):
                if index not in log.places:
                    raise Damage(f"group {group}: entry {index} is nowhere, a block is missing")

    def entries(self, group):
        """The entries of the group in order: an Entry each, or why it cannot be read."""
        log = self.groups[group]
        before = log.base[2]  # None where it is not known
        end = log.torn_from or log.last[0] + 1
        for index in range(log.base[0] + 1, end):
            entry = read_entry(group, index, log.places[index])
            if isinstance(entry, str):
                self.damage.append(f"group {group}, index {index}: {entry}")
                before = log.hashes.get(index)
            else:
                if before is not None and entry.previous != before:
                    raise Damage(f"group {group}, index {index}: does not follow {index - 1}")
                before = entry.hash
                if log.hashes.get(index, before) != before:
                    raise Damage(f"group {group}, index {index}: is named with another hash")
                if (entry.type == 3) != (index in log.configurations):
                    raise Damage(f"group {group}, index {index}: is named with another type")
            yield index, entry
        if not log.torn_from and before is not None and before != log.last[2]:
            raise Damage(f"group {group}: ends with another entry than its log says")


def read_files(files, boot_id):
    """All of a log as plain data; damage of single entries is in `damage`."""
    reader = Reader(files, boot_id)
    groups = {}
    for group, log in reader.groups.items():
        rows = []
        for index, entry in reader.entries(group):
            if isinstance(entry, str):
                rows.append([index, log.places[index].term, None])
                continue
            rows.append([
                index, entry.term, entry.type, entry.session, entry.number, entry.flags,
                entry.timestamp, entry.version, hash_text(entry.hash), entry.payload.hex(),
            ])
        groups[str(group)] = {
            "hard_state": list(log.hard_state),
            "base": [log.base[0], log.base[1], hash_text(log.base[2])],
            "last": [log.last[0], log.last[1], hash_text(log.last[2])],
            "known_commit": log.commit,
            "torn_from": log.torn_from,
            "configurations": [i for i in sorted(log.configurations)
                               if i < (log.torn_from or MAX_NUMBER)],
            "entries": rows,
        }
    return {"groups": groups, "damage": reader.damage, "notes": reader.notes}


def read_directory(directory):
    return {
        path.name: path.read_bytes()
        for path in sorted(pathlib.Path(directory).iterdir())
        if path.suffix != ".spare" and path.is_file()
    }


def main(arguments):
    if len(arguments) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 1
    boot_id = (
        arguments[2]
        if len(arguments) == 3
        else pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().rstrip("\n")
    )
    try:
        found = read_files(read_directory(arguments[1]), boot_id)
    except NoLog:
        print("error: there is no log", file=sys.stderr)
        return 3
    except Encrypted as encrypted:
        print(f"error: {encrypted}", file=sys.stderr)
        return 4
    except Damage as damage:
        print(f"error: {damage}", file=sys.stderr)
        return 10
    print(json.dumps(found))
    return 10 if found["damage"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
