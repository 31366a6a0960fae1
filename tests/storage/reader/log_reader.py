#!/usr/bin/env python3
"""usage: log_reader.py DIRECTORY [BOOT_ID]

Reads a block log and prints it as JSON. Written from storage/block/FORMAT.md alone, as somebody
would who has no C++ (log_format.py has the parts): a section of the page stands behind each name in
quotes. It writes nothing.

BOOT_ID is the machine's (default: this one's); it decides what a torn tail may be.
"""

import dataclasses
import json
import pathlib
import re
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from log_format import (  # noqa: E402 (found through the line above)
    ID_MAGIC,
    MAX_NUMBER,
    NO_HASH,
    SECTOR,
    Block,
    Damage,
    Encrypted,
    NoLog,
    checksum,
    has_zero_sector,
    hash_text,
    read_entry,
    read_id_record,
    read_manifest,
)


# ---- "Reading", "Decisions"

MAX_GAP = 1 << 20  # entries


@dataclasses.dataclass
class GroupLog:
    """How one group's log stands after the sections that were carried out."""

    hard_state: tuple = (0, 0)
    commit: int = 0
    base: tuple = (0, 0, NO_HASH)
    last: tuple = (0, 0, NO_HASH)
    torn_from: int = 0
    lost: bool = False  # the flag
    # A batch is lost, and no section has told since where the log ended.
    untold: bool = False
    # Entries from before the base on were told of then: its next life, of which it ends.
    ended: bool = False
    places: dict = dataclasses.field(default_factory=dict)
    hashes: dict = dataclasses.field(default_factory=dict)  # of some entries
    missing: dict = dataclasses.field(default_factory=dict)  # entries in no block: their terms
    configurations: set = dataclasses.field(default_factory=set)

    def keep(self, first, last):
        for known in (self.places, self.hashes, self.missing):
            for index in [i for i in known if not first <= i <= last]:
                del known[index]
        self.configurations = {i for i in self.configurations if first <= i <= last}
        if self.torn_from > last:
            self.torn_from = 0

    def take(self, ids):
        for index, place in ids.places():
            self.places[index] = place
            self.hashes.pop(index, None)
            self.missing.pop(index, None)
            self.configurations.discard(index)
        self.configurations.update(ids.configurations)
        self.hashes[ids.last] = ids.last_hash
        if ids.first - 1 > self.base[0]:
            self.hashes[ids.first - 1] = ids.previous_hash

    def carry_out(self, section):
        tells = section.bounds or section.dropped or section.truncation or section.entries
        self.ended = self.ended and not section.bounds and not section.dropped
        self.ended = self.ended or self.untold and self._begins_before_the_base(section)
        if self.ended:
            self.keep(0, -1)
            self.hard_state, self.last, self.untold = section.hard_state, self.base, False
            return
        if section.bounds:
            self.base, self.last = section.bounds.base, section.bounds.last
            self.keep(self.base[0] + 1, self.last[0])
            self.commit = 0
            self.torn_from = section.bounds.torn_from
            self.fill_gaps()
        for ids in section.copies:
            self.take(ids)
        if section.dropped:
            self.__init__()
        self.hard_state = section.hard_state
        self.lost = section.lost
        self.commit = max(self.commit, section.commit)
        if section.truncation:
            self.cut(section.truncation[0], section.truncation[1])
        if section.entries:
            ids = section.entries
            lacks_some = self.untold and ids.first > self.last[0] + 1
            self.cut(ids.first, ids.previous_hash)
            if section.base and section.base[0] + 1 >= ids.first:
                # All before them goes, whether they follow it or a base that came between.
                self.keep(ids.first, ids.first)
                self.last = (ids.first - 1, 0, ids.previous_hash)
            if ids.first != self.last[0] + 1:
                raise Damage(f"entries from {ids.first} do not follow {self.last[0]}")
            self.take(ids)
            self.last = (ids.last, ids.runs[-1][0], ids.last_hash)
            if lacks_some:
                self.fill_gaps()
        if section.base:
            self.base = section.base
            if self.last[0] <= self.base[0]:
                self.last = self.base
            self.keep(self.base[0] + 1, self.last[0])
            self.fill_gaps()
        self.torn_from = self.torn_from or section.torn_from
        self.untold = self.untold and not tells

    def _begins_before_the_base(self, section):
        ids = section.entries
        if section.bounds or section.dropped or section.base or not ids:
            return False
        return ids.first <= self.base[0]

    def cut(self, at, hash_before):
        if self.untold and at > self.last[0] + 1:
            self.last = (at - 1, 0, hash_before)
        if at > self.last[0]:
            return
        before = at - 1
        term = self.base[1] if before <= self.base[0] else self.term_at(before)
        self.keep(self.base[0] + 1, before)
        self.last = (before, term, hash_before) if before > self.base[0] else self.base

    def term_at(self, index):
        """0: not known."""
        place = self.places.get(index)
        return place.term if place else self.missing.get(index, 0)

    def fill_gaps(self):
        """"A batch is lost": what is missing is of one term with what stands on both sides now,
        and stays that."""
        before = (self.base[0], max(self.base[1], 1))  # no entry is of a term before 1
        known = sorted({*self.places, *self.missing, self.last[0] + 1})
        for index in known:
            term = self.last[1] if index > self.last[0] else self.term_at(index)
            if 0 < index - before[0] - 1 <= MAX_GAP and term == before[1]:
                for missing in range(before[0] + 1, index):
                    self.missing[missing] = term
            before = (index, term)

    def end_before_a_loss(self, group):
        """"A batch is lost": the log ends before what is missing and of no term that is known."""
        before = self.base
        for index in range(self.base[0] + 1, self.last[0] + 1):
            if index in self.missing:
                before = (index, self.missing[index], None)
                continue
            if index not in self.places:
                return self.end_at(group, before)
            place = self.places[index]
            entry = read_entry(group, index, place)
            if isinstance(entry, str):
                raise Damage(f"group {group}, index {index}: {entry}, beside a lost batch")
            if before[2] is not None and entry.previous != before[2]:
                return self.end_at(group, before)
            before = (index, place.term, entry.hash)
        if before[2] is not None and before[2] != self.last[2]:
            return self.end_at(group, before)
        return None

    def end_at(self, group, last):
        """Nobody can tell what stood behind it: an older state, and nothing known of commits."""
        # Of one that is missing nobody knows the hash.
        while last[0] in self.missing:
            at = last[0] - 1
            place = self.places.get(at)
            entry = read_entry(group, at, place) if place else None
            last = (at, place.term, entry.hash) if place else (at, 0, None)
        last = last if last[0] > self.base[0] else self.base
        self.keep(self.base[0] + 1, last[0])
        self.hashes.pop(last[0], None)  # of another one that stood there later
        self.last = last
        self.commit = 0
        self.lost = True


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
        self._lost = False  # a batch is
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
                if seal is not None:  # its footer would tell, which is not read here
                    raise Damage(f"{block.name} at {data_end}: a batch is lost")
                behind = self._behind_a_loss(block, data_end, id_end)
                if behind is None:
                    self._check_end(block, data_end, id_end)
                    return
                self._lose(block, data_end)
                data_end, id_end = behind
                continue
            self._check_number(block, batch)
            first = first or batch.number
            next_data = block.round_up(data_end + batch.data_bytes)
            if seal is None or (seal.undecided and batch.number == seal.last_batch):
                proved = self._stands_behind(block, next_data, batch)
                if not proved and not self._decide(block, batch, good_id or seal is not None):
                    return
            data_end, id_end = next_data, batch.id_begin
            for section in batch.sections:
                self._log_of(section.group).carry_out(section)
        self._check_seal(block, first)

    def _log_of(self, group):
        # A group that is told of only behind a lost batch may have been in that.
        return self.groups.setdefault(group, GroupLog(untold=self._lost))

    def _behind_a_loss(self, block, data_end, id_end):
        """Where the next batch stands, if one is lost here; None where the block ends."""
        number = self._expected[0] - 1 if self._expected else 0
        found = [record for at in range(data_end, id_end, block.unit)
                 if (record := read_id_record(block, at, id_end))
                 and record.number > number and record.data_begin > data_end]
        if not found:
            return None
        batch = min(found, key=lambda record: record.number)
        return batch.data_begin, batch.id_begin + block.round_up(batch.length)

    def _lose(self, block, data_end):
        self.notes.append(f"{block.name} at {data_end}: a batch is lost")
        self._lost = True
        self._expected = None
        for log in self.groups.values():
            log.untold = True

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
            if self._lost:
                log.end_before_a_loss(group)
                log.lost = log.lost or log.untold or log.ended
                log.commit = 0 if log.ended else log.commit
                continue
            for index in range(log.base[0] + 1, log.last[0] + 1):
                if index not in log.places:
                    raise Damage(f"group {group}: entry {index} is nowhere, a block is missing")

    def entries(self, group):
        """The entries of the group in order: an Entry each, or why it cannot be read."""
        log = self.groups[group]
        before = log.base[2]  # None where it is not known
        end = log.torn_from or log.last[0] + 1
        for index in range(log.base[0] + 1, end):
            if index in log.missing:
                self.damage.append(f"group {group}, index {index}: is in no block")
                before = log.hashes.get(index)
                yield index, "is in no block"
                continue
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
                term = log.missing.get(index) or log.places[index].term
                rows.append([index, term, None])
                continue
            rows.append([
                index, entry.term, entry.type, entry.session, entry.number, entry.flags,
                entry.timestamp, entry.version, hash_text(entry.hash), entry.payload.hex(),
            ])
        groups[str(group)] = {
            "hard_state": list(log.hard_state),
            "hard_state_lost": log.lost,
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
