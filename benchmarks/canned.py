"""`python -m benchmarks.canned plain|tls`: a server that gives every request the same answer, a page of 50 rows.

It reads no more of a request than its end, so that what a client costs can be told from what a server costs. It prints
one line of JSON with its port and the certificate to trust, and serves until stdin is closed.
"""

import json
import socket
import ssl
import sys
import threading
from typing import Final

import trustme

from benchmarks.pages import PAGE_ROWS, pages
from benchmarks.workload import LINKS_EACH, Workload

_HEADERS: Final = (
    "HTTP/1.1 200 OK",
    "Server: nginx",
    "Date: Sat, 28 Nov 2026 12:00:00 GMT",
    "Content-Type: application/json",
    "Connection: keep-alive",
    "Access-Control-Allow-Methods: GET, OPTIONS",
    "Access-Control-Max-Age: 21600",
    "X-RateLimit-Limit: 1000000000",
    "X-RateLimit-Remaining: 999999999",
    "X-RateLimit-Reset: 60",
    "Strict-Transport-Security: max-age=31536000; includeSubDomains",
)
"""As many as SendGrid sends; a rate limit that never holds the client up."""
_MOST: Final = 65536


def main() -> None:
    """Serve until stdin is closed."""
    context, authority = _certified() if sys.argv[1] == "tls" else (None, "")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_accept, args=(listening, context, answer()), daemon=True).start()
        print(json.dumps({"port": listening.getsockname()[1], "authority": authority}), flush=True)
        sys.stdin.read()


def answer() -> bytes:
    """Return the answer: SendGrid's headers and the last page of an automation."""
    workload = Workload(LINKS_EACH)
    body = pages(workload.ids()[0], workload.rows(0)[-PAGE_ROWS:])[0]
    head = "\r\n".join([*_HEADERS, f"Content-Length: {len(body)}", "", ""])
    return head.encode() + body


def _certified() -> tuple[ssl.SSLContext, str]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, authority.cert_pem.bytes().decode()


def _accept(listening: socket.socket, context: ssl.SSLContext | None, answer: bytes) -> None:
    while True:
        connected, _ = listening.accept()
        threading.Thread(target=_serve, args=(connected, context, answer), daemon=True).start()


def _serve(connected: socket.socket, context: ssl.SSLContext | None, answer: bytes) -> None:
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if context is not None:
        connected = context.wrap_socket(connected, server_side=True)
    waiting = b""
    with connected:
        while piece := connected.recv(_MOST):
            waiting += piece
            while b"\r\n\r\n" in waiting:
                _, _, waiting = waiting.partition(b"\r\n\r\n")
                connected.sendall(answer)


if __name__ == "__main__":
    main()
