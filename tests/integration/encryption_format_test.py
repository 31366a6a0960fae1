#!/usr/bin/env python3
"""Encrypted blocks and files, opened by storage/block/FORMAT.md and storage/encrypted/FORMAT.md
alone: HMAC from Python, ciphers from libcrypto."""

import ctypes
import ctypes.util
import dataclasses
import hashlib
import hmac
import pathlib
import signal
import socket
import struct
import subprocess
import tempfile
import unittest

RUNFILES = pathlib.Path.cwd()
CAIRND = RUNFILES / "service/cairnd"
CAIRN = RUNFILES / "service/cli/cairn"
CIPHERS = {"aes-256-gcm": 1, "chacha20-poly1305": 2}
SET_TAG = 0x11
MESSAGES = 200
SECRET = b"attack at dawn"

_CRYPTO = ctypes.CDLL(ctypes.util.find_library("crypto"))
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_256_gcm", "EVP_chacha20_poly1305"):
    getattr(_CRYPTO, _name).restype = ctypes.c_void_p


def open_sealed(cipher, key, nonce, also, sealed, tag):
    """The plain text; None if the tag does not fit."""
    algorithm = {1: _CRYPTO.EVP_aes_256_gcm, 2: _CRYPTO.EVP_chacha20_poly1305}[cipher]
    context = ctypes.c_void_p(_CRYPTO.EVP_CIPHER_CTX_new())
    length = ctypes.c_int()
    plain = ctypes.create_string_buffer(len(sealed) + 16)
    _CRYPTO.EVP_DecryptInit_ex(context, ctypes.c_void_p(algorithm()), None, key, nonce)
    _CRYPTO.EVP_DecryptUpdate(context, None, ctypes.byref(length), also, len(also))
    _CRYPTO.EVP_DecryptUpdate(context, plain, ctypes.byref(length), sealed, len(sealed))
    _CRYPTO.EVP_CIPHER_CTX_ctrl(context, SET_TAG, 16, tag)
    good = _CRYPTO.EVP_DecryptFinal_ex(context, plain, ctypes.byref(length)) == 1
    _CRYPTO.EVP_CIPHER_CTX_free(context)
    return plain.raw[:len(sealed)] if good else None


def hmac_of(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


@dataclasses.dataclass
class Opened:
    cipher: int
    plain: bytes
    unit: int
    written: int
    bad: int


def open_block(data, master):
    """As "Header" and "Encryption" say."""
    magic, version = struct.unpack_from("<II", data)
    assert (magic, version) == (0xB10CDA7A, 2), "no header of an encrypted block"
    number, length, unit, key_id = struct.unpack_from("<QQQQ", data, 40)
    wanted_id, = struct.unpack("<Q", hmac_of(master, b"cairn master key id 1")[:8])
    assert key_id == wanted_id
    assert data[72:88] == hmac_of(master, b"cairn master key check 1")[:16]
    cipher, _ = struct.unpack_from("<II", data, 88)
    salt, sealed, tag = data[96:112], data[112:144], data[144:160]
    place = data[8:64] + struct.pack("<I", cipher)
    wrapping = hmac_of(master, b"cairn block key 1" + salt + place)
    data_key = open_sealed(1, wrapping, bytes(12), place, sealed, tag)
    assert data_key is not None, "the wrapped key does not open"
    assert data[:512] == data[length - unit:length - unit + 512], "the headers differ"
    found = Opened(cipher, bytes(unit - 20), unit - 20, 0, 0)
    for at in range(1, length // unit - 1):
        stored = data[at * unit:(at + 1) * unit]
        if not any(stored):
            found.plain += bytes(unit - 20)
            continue
        revision, = struct.unpack_from("<I", stored)
        plain = open_sealed(cipher, data_key, struct.pack("<IQ", revision, at),
                            struct.pack("<QQI", number, at, revision), stored[4:unit - 16],
                            stored[unit - 16:])
        found.written += 1
        found.bad += plain is None
        found.plain += plain or b"\xee" * (unit - 20)
    return found


def open_file(data, master):
    """Cipher and text, as storage/encrypted/FORMAT.md says."""
    assert data[:512] == data[4096:4608], "the headers differ"
    assert data[:12] == b"cairnenc" + struct.pack("<I", 1), "no header of an encrypted file"
    cipher, = struct.unpack_from("<I", data, 12)
    wanted_id, = struct.unpack("<Q", hmac_of(master, b"cairn master key id 1")[:8])
    assert struct.unpack_from("<Q", data, 32) == (wanted_id,)
    assert data[40:56] == hmac_of(master, b"cairn master key check 1")[:16]
    place, salt, sealed, tag = data[:32], data[56:72], data[72:104], data[104:120]
    wrapping = hmac_of(master, b"cairn block key 1" + salt + place)
    data_key = open_sealed(1, wrapping, bytes(12), place, sealed, tag)
    assert data_key is not None, "the wrapped key does not open"
    text = bytearray()
    for unit, at in enumerate(range(8192, len(data) - 511, 512)):
        stored = data[at:at + 512]
        if any(stored):
            plain = open_sealed(cipher, data_key, stored[:12], struct.pack("<Q", unit),
                                stored[12:496], stored[496:])
        else:
            plain = struct.pack("<H482x", 482)
        assert plain is not None, f"unit {unit} does not open"
        length, = struct.unpack_from("<H", plain)
        text += bytes(unit * 482 - len(text)) + plain[2:2 + length]
    return cipher, bytes(text)


class EncryptionFormatTest(unittest.TestCase):
    def run_node(self, directory, cipher, *store, snapshot=False):
        """A node's data directory after some appends."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        keys = directory / "keys"
        keys.touch(mode=0o600)
        keys.write_text("5a" * 32)
        server = subprocess.Popen(
            [str(CAIRND), "--node_id=1", f"--data_dir={directory}/data", f"--listen={address}",
             f"--initial_cluster=1={address}", "--insecure",
             f"--encryption_key_file={keys}", f"--encryption_cipher={cipher}", *store],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            self.assertIn(b"ready", server.stdout.readline())
            lines = b"".join(b"%s %d\n" % (SECRET, i) for i in range(MESSAGES))
            for words, stdin in ((["stream", "create", "kept"], None),
                                 (["append", "kept", "--file=-", "--lines"], lines),
                                 *(((["snapshot"], None),) if snapshot else ())):
                subprocess.run([str(CAIRN), *words, f"--endpoints={address}", "--timeout=60s"],
                               input=stdin, check=True, timeout=120, stdout=subprocess.DEVNULL)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)
            server.stdout.close()
        return directory / "data"

    def assert_secret_is_nowhere(self, data):
        files = [path for path in data.rglob("*") if path.is_file()]
        self.assertGreater(len(files), 4)
        self.assertEqual([], [path for path in files if SECRET in path.read_bytes()])

    def test_files_are_as_the_page_says(self):
        for cipher, number in CIPHERS.items():
            with self.subTest(cipher=cipher), tempfile.TemporaryDirectory() as directory:
                data = self.run_node(pathlib.Path(directory), cipher, "--log_store=rocksdb",
                                     snapshot=True)
                self.assert_secret_is_nowhere(data)
                found = {}
                for root in ("groups", "log"):
                    for path in (data / root).rglob("*"):
                        if path.is_file() and path.name != "LOCK":
                            found[path] = open_file(path.read_bytes(), b"\x5a" * 32)
                self.assertEqual({number}, {of for of, _ in found.values()})
                streams = [text for path, (_, text) in found.items() if path.suffix == ".block"]
                self.assertEqual(MESSAGES, sum(text.count(SECRET) for text in streams))
                self.assertEqual(b"\x0c\xb1\xe4\x57", streams[0][:4])

    def test_blocks_are_as_the_page_says(self):
        for cipher, number in CIPHERS.items():
            with self.subTest(cipher=cipher), tempfile.TemporaryDirectory() as directory:
                data = self.run_node(pathlib.Path(directory), cipher, "--block_bytes=65536")
                self.assert_secret_is_nowhere(data)
                blocks = [path.read_bytes() for path in sorted((data / "log").glob("*.block"))]
                opened = [open_block(data, b"\x5a" * 32) for data in blocks]
                self.assertEqual({number}, {block.cipher for block in opened})
                self.assertEqual([0] * len(opened), [block.bad for block in opened])
                self.assertGreater(sum(block.written for block in opened), 4)
                self.assertEqual(MESSAGES, sum(block.plain.count(SECRET) for block in opened))
                # The first batch stands at the third unit, and its head says so.
                unit = opened[0].unit
                self.assertEqual(b"\x4d\xc0\x4e\x1d", opened[0].plain[2 * unit:2 * unit + 4])
                at, = struct.unpack_from("<Q", opened[0].plain, 2 * unit + 32)
                self.assertEqual(2 * unit, at)


if __name__ == "__main__":
    unittest.main()
