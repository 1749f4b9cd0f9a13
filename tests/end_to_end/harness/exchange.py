"""One HTTP exchange, as plain as it can be: no proxy, no redirect, no decoding."""

import contextlib
import gzip
import http.client
import json
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

_LOWEST_PORT: Final = 10_000
_KERNELS_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def text(self) -> str:
        """The body as text, unpacked where it came compressed."""
        packed = self.headers.get("content-encoding") == "gzip"
        return (gzip.decompress(self.body) if packed else self.body).decode()

    def json(self) -> Any:
        return json.loads(self.text)


def exchange(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] = NO_HEADERS,
    body: bytes | None = None,
    timeout: float = 10,
) -> Answer:
    """Send one request on a connection of its own; return the answer whatever its status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)
    try:
        connection.request(method, f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}", body, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 that is free.

    Not one that the kernel would choose: those go to servers and connections of the tests that run at the same time,
    before the program for which this one is has started.
    """
    while True:
        port = random.randrange(_LOWEST_PORT, max(_lowest_of_kernel(), 2 * _LOWEST_PORT))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _lowest_of_kernel() -> int:
    """Return the first of the ports from which Linux chooses; elsewhere that of RFC 6335."""
    try:
        return int(_KERNELS_PORTS.read_text().split()[0])
    except OSError:
        return 49152
