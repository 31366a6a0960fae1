"""A compressed block, made what it was before: FORMAT.md, "Compressed blocks"."""

import ctypes
import dataclasses
import struct

FRAME = 65536
UNREADABLE = 0xEE


def _load_zstd():
    library = ctypes.CDLL("libzstd.so.1")
    library.ZSTD_decompress.argtypes = (
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_char_p,
        ctypes.c_size_t,
    )
    library.ZSTD_decompress.restype = ctypes.c_size_t
    return library


_ZSTD = _load_zstd()


@dataclasses.dataclass
class Expanded:
    data: bytes
    seal: bytes  # as it stands in the frame table; None if neither copy is good


def _plain_text(frame, length):
    """None if it is no frame of this length."""
    if len(frame) == length:
        return frame
    plain = ctypes.create_string_buffer(length)
    found = _ZSTD.ZSTD_decompress(plain, length, bytes(frame), len(frame))
    return plain.raw if found == length else None


def expand(stored, places, block, checksum):
    """`stored`: the file. `places`: what its header says at 160. `block`: length, unit, tag."""
    file_length, data_end, footer_begin, footer_length, id_begin, frames_length = places
    data_begin = 2 * block.unit
    count = -(-(data_end - data_begin) // FRAME)
    table_length = 120 + 12 * count
    frames_at = data_begin + block.round_up(table_length)
    footer_at = frames_at + block.round_up(frames_length)

    def is_table(table):
        return struct.unpack_from("<Q", table, len(table) - 8)[0] == checksum(
            table[:-8]
        ) and struct.unpack_from("<IIQ", table) == (0xF4A3E7AB, count, block.tag)

    tables = [stored[at : at + table_length] for at in (data_begin, footer_at + footer_length)]
    table = next((table for table in tables if is_table(table)), None)
    data = bytearray(stored[:data_begin])
    begin = frames_at
    for i in range(count):
        length = min(FRAME, data_end - data_begin - i * FRAME)
        plain = None
        if table:
            size, hashed = struct.unpack_from("<IQ", table, 112 + 12 * i)
            frame = stored[begin : begin + size]
            plain = _plain_text(frame, length) if checksum(frame) == hashed else None
            begin += size
        data += plain if plain is not None else bytes([UNREADABLE]) * length
    data += bytes(id_begin - len(data))
    data += stored[file_length - (block.length - id_begin) : file_length]
    if footer_length:
        footer = stored[footer_at : footer_at + footer_length]
        data[footer_begin : footer_begin + footer_length] = footer
    return Expanded(bytes(data), table[16:112] if table else None)
