"""A worker whose guest has escaped: it says what it is told, and waits for the end.

    python escaped.py SOCKET < MESSAGES

Messages are hex, one a line; `begin` in between waits for the server's next message.
"""

from __future__ import annotations

import signal
import socket
import sys


def main() -> None:
    """Speak for a worker."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    for each in sys.stdin.read().split():
        if each == "begin":
            _receive(sock)
        elif each == "close":
            sock.shutdown(socket.SHUT_RDWR)
        elif each == "flood":
            _flood(sock)
        else:
            sock.sendall(bytes.fromhex(each))
    while True:
        if not sock.recv(1 << 16):
            # The server must end it, not wait until it is so kind.
            signal.pause()


def _receive(sock: socket.socket) -> None:
    head = sock.recv(4, socket.MSG_WAITALL)
    sock.recv(int.from_bytes(head, "little"), socket.MSG_WAITALL)


def _flood(sock: socket.socket) -> None:
    while True:
        sock.sendall(bytes(1 << 16))


if __name__ == "__main__":
    main()
