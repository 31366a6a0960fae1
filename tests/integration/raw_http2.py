"""One gRPC call as bytes on a socket, for what no gRPC library would send.

RFC 9113 and 7541, as far as a test needs them: headers are sent without compression; of what comes
back, strings in Huffman's code stay unread.
"""

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 1, 4, 1
INITIAL_WINDOW_SIZE = 4  # a setting
FIRST_WINDOW = 65535
ENHANCE_YOUR_CALM = 11  # what gRPC takes for RESOURCE_EXHAUSTED
STATIC_ENTRIES = 61


def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream) + payload


def settings(payload):
    """What a SETTINGS frame says: values by name."""
    return {name: value for name, value in struct.iter_unpack(">HI", payload)}


def _integer(data, at, bits):
    """An integer of RFC 7541 5.1, and where it ends."""
    value = data[at] & ((1 << bits) - 1)
    at += 1
    if value < (1 << bits) - 1:
        return value, at
    shift = 0
    while True:
        value += (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def _string(data, at):
    length, end = _integer(data, at, 7)
    text = data[end:end + length]
    return ("?" if data[at] & 128 else text.decode("latin-1")), end + length


class HeaderDecoder:
    """Decodes the header blocks of one connection."""

    def __init__(self):
        self.table = []  # newest first

    def decode(self, data):
        headers = []
        at = 0
        while at < len(data):
            first = data[at]
            if first & 128:
                index, at = _integer(data, at, 7)
                headers.append(self._entry(index))
            elif first & 0xe0 == 0x20:
                _, at = _integer(data, at, 5)
            else:
                index, at = _integer(data, at, 6 if first & 64 else 4)
                name = self._entry(index)[0]
                if index == 0:
                    name, at = _string(data, at)
                value, at = _string(data, at)
                headers.append((name, value))
                if first & 64:
                    self.table.insert(0, (name, value))
        return headers

    def _entry(self, index):
        if index <= STATIC_ENTRIES:
            return (f"static {index}", f"static {index}")
        return self.table[index - STATIC_ENTRIES - 1]


class RawCall:
    """A call on a connection of its own. `wait` tells how it ended."""

    def __init__(self, address, method, timeout=None, patience=30):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=patience)
        self.decoder = HeaderDecoder()
        self.windows = {0: FIRST_WINDOW, 1: FIRST_WINDOW}  # of the connection, of the call
        self.headers = {}
        self.body = b""
        self.reset = None  # RFC 9113's error code if the call was reset
        self.ended = False
        self.socket.sendall(PREFACE + self._frame(SETTINGS, 0, 0, b""))
        headers = [(":method", "POST"), (":scheme", "http"), (":path", method),
                   (":authority", address), ("te", "trailers"),
                   ("content-type", "application/grpc")]
        if timeout is not None:
            headers.append(("grpc-timeout", timeout))
        block = b"".join(b"\0" + self._text(name) + self._text(value) for name, value in headers)
        self.socket.sendall(self._frame(HEADERS, END_HEADERS, 1, block))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def _text(text):
        return bytes([len(text)]) + text.encode()

    @staticmethod
    def _frame(kind, flags, stream, payload):
        return frame(kind, flags, stream, payload)

    def send(self, data, end=False):
        """Bytes of the call's body, as they are; waits until the server takes them."""
        while not self.ended and min(self.windows.values()) < len(data):
            self._take_frame()
        if not self.ended:
            self.windows = {each: left - len(data) for each, left in self.windows.items()}
            self.socket.sendall(self._frame(DATA, END_STREAM if end else 0, 1, data))

    def wait_for_window(self, size):
        """True once the call's window is that large; false if the call ended before."""
        while not self.ended and self.windows[1] < size:
            self._take_frame()
        return self.windows[1] >= size

    def send_message(self, message, end=False):
        self.send(b"\0" + struct.pack(">I", len(message)) + message, end)

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _take_frame(self):
        try:
            head = self._exactly(9)
            payload = self._exactly(int.from_bytes(head[:3], "big"))
        except (EOFError, ConnectionError):
            self.ended = True
            return
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
        if kind == HEADERS:
            self.headers.update(self.decoder.decode(payload))
        elif kind == DATA:
            self.body += payload
        elif kind == WINDOW_UPDATE:
            self.windows[stream] += int.from_bytes(payload, "big")
        elif kind == RST_STREAM:
            self.reset = int.from_bytes(payload, "big")
        elif kind == SETTINGS and not flags & ACK:
            said = settings(payload)
            self.windows[1] += said.get(INITIAL_WINDOW_SIZE, FIRST_WINDOW) - FIRST_WINDOW
            self.socket.sendall(self._frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self.socket.sendall(self._frame(PING, ACK, 0, payload))
        self.ended = kind in (RST_STREAM, GOAWAY) or (kind in (DATA, HEADERS)
                                                      and bool(flags & END_STREAM))

    def wait(self):
        """The grpc-status when the server has ended the call; None if it gave none."""
        while not self.ended:
            self._take_frame()
        status = self.headers.get("grpc-status")
        return None if status is None else int(status)
