"""A link of much delay, or one that breaks, in front of a server on loopback: that it sleeps is
what it is for."""

import collections
import socket
import struct
import threading
import time

CHUNK = 65536


class DelayedLink:
    """Carries connections to `target`, as much as comes, and everything `seconds` later, each way.
    In one process with the interpreter: some hundred megabytes a second are the most it carries."""

    def __init__(self, address, target, seconds):
        self.carried = 0  # towards the target
        self._target = target
        self._seconds = seconds
        self._lock = threading.Lock()
        self._open = []  # both ends of each connection
        self._server = socket.create_server(address)
        self._start(self._accept)

    def close(self):
        # A thread in accept holds the socket until it returns.
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def cut(self):
        """Ends all connections at once; what was on its way is lost. New ones are taken."""
        with self._lock:
            ends, self._open = self._open, []
        for each in ends:
            # Unsent data goes with a reset.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended by itself
            each.close()

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
            with self._lock:
                self._open += [near, far]
            self._carry(near, far, counted=True)
            self._carry(far, near, counted=False)

    def _carry(self, source, sink, counted):
        under_way = collections.deque()
        changed = threading.Condition()

        def take():
            data = b"?"
            while data:
                try:
                    data = source.recv(CHUNK)
                except OSError:
                    data = b""
                if counted:
                    self.carried += len(data)
                with changed:
                    under_way.append((time.monotonic() + self._seconds, data))
                    changed.notify()

        def give():
            data = b"?"
            while data:
                with changed:
                    while not under_way:
                        changed.wait()
                    due, data = under_way.popleft()
                time.sleep(max(0, due - time.monotonic()))
                try:
                    sink.sendall(data) if data else sink.shutdown(socket.SHUT_RDWR)
                except OSError:
                    return

        self._start(take)
        self._start(give)
