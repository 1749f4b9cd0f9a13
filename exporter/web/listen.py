"""Listening sockets."""

import os
import socket

from exporter.errors import StartError


def listen(host: str, port: int, *, backlog: int) -> socket.socket:
    """Return a socket that listens there; an empty host is every interface, IPv6 and IPv4.

    Raise StartError when it cannot.
    """
    if port not in range(65536):
        # socket.create_server would leave its socket open.
        raise StartError(f"cannot listen on {shown(host, port)}: a port lies between 0 and 65535")
    try:
        return _listen_on(host, port, backlog) if host else _listen_everywhere(port, backlog)
    except (OSError, UnicodeError) as exc:
        raise StartError(
            f"cannot listen on {shown(host, port)}: {_reason(exc)} "
            "(stop what uses the address, or choose another web.listen_address)"
        ) from exc


def shown(host: str, port: int) -> str:
    """Return the address as a person writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen_on(host: str, port: int, backlog: int) -> socket.socket:
    # As Go's net.Listen: one socket, IPv4 first where a name has both.
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, address = min(found, key=lambda item: item[0] != socket.AF_INET)
    return socket.create_server((str(address[0]), port), family=family, backlog=backlog)


def _listen_everywhere(port: int, backlog: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, backlog=backlog, dualstack_ipv6=True)
    return socket.create_server(("", port), backlog=backlog)


def _reason(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.errno is not None and not isinstance(exc, socket.gaierror):
        # The exception's own text repeats the address.
        return os.strerror(exc.errno).lower()
    return (getattr(exc, "strerror", None) or str(exc)).lower()
