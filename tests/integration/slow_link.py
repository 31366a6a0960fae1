"""A link of little bandwidth, in front of a server on loopback."""

import socket
import threading
import time

SEGMENT = 1460
BUFFER = 8192  # what the link holds, so that it is the sender that waits


class SlowLink:
    """Carries connections to `target`; what goes there, all together, at `bytes_per_second` (None:
    as fast as it comes). What comes back is not held up."""

    def __init__(self, address, target):
        self.bytes_per_second = None
        self.carried = 0
        self._target = target
        self._lock = threading.Lock()
        self._free = 0.0
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.bind(address)
        self._server.listen()
        self._start(self._accept)

    def close(self):
        self._server.close()

    def _start(self, what, *arguments):
        threading.Thread(target=what, args=arguments, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return  # closed
            try:
                far = socket.create_connection(self._target)
            except OSError:
                near.close()
                continue
            for each in (near, far):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._start(self._carry, near, far, self._wait)
            self._start(self._carry, far, near, lambda bytes: None)

    def _wait(self, bytes):
        """Until the link has carried so many bytes more."""
        with self._lock:
            self.carried += bytes
            if self.bytes_per_second is None:
                return
            now = time.monotonic()
            self._free = max(self._free, now) + bytes / self.bytes_per_second
            wait = self._free - now
        time.sleep(wait)

    def _carry(self, source, sink, wait):
        try:
            while data := source.recv(SEGMENT):
                wait(len(data))
                sink.sendall(data)
        except OSError:
            pass  # one of them is gone, and so is the connection
        for each in (source, sink):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
