"""Ports for servers that must be told theirs: free, and nobody else's until this process ends."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from pathlib import Path
from typing import BinaryIO

NOBODYS = range(20_000, 32_000)
"""Above those that Ray gives its workers (10002 to 19999), below those that the kernel gives to clients and to whoever
binds port 0 (32768 and up)."""

_claims: list[BinaryIO] = []
"""Open files, whose locks hold what this process claimed; a fork shares them."""


def free_port() -> int:
    """A port that nothing listens on and no other test process was given.

    Between asking the kernel for a free port and a server's binding it, a neighbour's server may be given the same one,
    and then answers in its place. Raises RuntimeError where none is left.
    """
    folder = Path(tempfile.gettempdir()) / f"frontfoot-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    first = random.SystemRandom().randrange(len(NOBODYS))
    for port in (*NOBODYS[first:], *NOBODYS[:first]):
        claim = (folder / str(port)).open("ab")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
            continue
        _claims.append(claim)
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue  # somebody who asks nobody has it: it stays claimed, and is not tried again
        return port
    raise RuntimeError("no port is free")
