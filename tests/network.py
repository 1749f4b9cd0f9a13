"""The guard between the tests and the network."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class NetworkBlockedError(OSError):
    """A test reached for something that is not on this machine."""


@contextmanager
def loopback_only() -> Iterator[list[str]]:
    """Refuse every connection and look-up that is not loopback's; yield the list of what was refused, as it grows.

    Names under `.invalid` fail as every resolver must make them fail (RFC 6761), without asking one: no offence.
    """
    refused: list[str] = []
    real_connect, real_connect_ex, real_getaddrinfo = (
        socket.socket.connect,
        socket.socket.connect_ex,
        socket.getaddrinfo,
    )

    def check(host: str) -> None:
        if not is_loopback(host):
            refused.append(host)
            raise NetworkBlockedError(f"tests may not reach {host}")

    def connect(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple):
            check(str(address[0]))
        return real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        if isinstance(address, tuple):
            check(str(address[0]))
        return real_connect_ex(self, address)

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
        if name == "invalid" or name.endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        check(name)
        return real_getaddrinfo(host, *args, **kwargs)

    with (
        mock.patch.object(socket.socket, "connect", connect),
        mock.patch.object(socket.socket, "connect_ex", connect_ex),
        mock.patch.object(socket, "getaddrinfo", getaddrinfo),
    ):
        yield refused


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address stands for this machine; the unspecified address connects to it too."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
