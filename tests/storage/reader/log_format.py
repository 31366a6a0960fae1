"""The parts of a block log, as storage/block/FORMAT.md describes them byte by byte: manifest,
header, seal, id record, record. Written from that page alone. A section of it stands behind each
name in quotes.
"""

import ctypes
import dataclasses
import pathlib
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
    lost: bool = False
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
    section = Section(group, (term, vote), durable, commit, dropped=bool(flags & 0x10),
                      lost=bool(flags & 0x20))
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
    if len(record) != place.length:
        return "is cut off"
    entry = decode_record(record, group, index, place.term)
    if not isinstance(entry, str) and entry.hash[0] & 0xFFFFFFFF != place.short_hash:
        return "another entry stands there, by its hash"
    return entry


def decode_record(record, group, index, term_there):
    """The entry whose record this is, or why it is not that of this place in the log."""
    if len(record) < RECORD_HEADER:
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
    if (its_group, its_index, term) != (group, index, term_there):
        return "another entry stands there"
    if length > MAX_PAYLOAD or RECORD_HEADER + length != len(record):
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
