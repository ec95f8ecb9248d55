"""Telling systemd, or what speaks its protocol, how a service is doing (sd_notify(3))."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send a line such as `READY=1` to the service manager, if it started us and wants to know."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError as error:
            import logging  # a daemon that starts in milliseconds does without it

            logging.getLogger(__name__).warning(
                "the service manager's socket %r: %s", address, error
            )
