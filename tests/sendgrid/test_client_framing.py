"""Whose answer is read: raw answers on loopback, whole, broken and out of step."""

import io
import itertools
import json
import math
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

import pytest
import trustme

from exporter.errors import (
    BadRequestError,
    ConnectionFailedError,
    InvalidResponseError,
    NotFoundError,
    SendGridError,
)
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.client import SendGridClient
from tests.factories import KEY, a_page, a_row, an_automation, an_id, client_options
from tests.fakes import FakeObserver
from tests.matrix.rig import LeapingClock

pytestmark = pytest.mark.e2e

PAUSE = 0.1
"""Seconds between two parts of an answer: far longer than loopback takes."""
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"

Part = bytes | float | None
"""Bytes to send, seconds to wait, or None for the connection's end."""
Answering = Callable[[int], Sequence[Part]]
"""The parts of the answer to a request for the automation of this number."""


def body_of(number: int) -> bytes:
    """A list that belongs to one automation alone: it has as many clicks as the automation's number."""
    page = a_page(a_row(clicks=number), count=1)
    page["_metadata"]["self"] = (
        f"https://api.sendgrid.com/v3/marketing/stats/automations/{an_id(number)}/links?page_size=50"
    )
    return json.dumps(page).encode()


def answer(number: int, *, status: str = "HTTP/1.1 200 OK", headers: Sequence[str] = (), body: bytes | None = None):
    body = body_of(number) if body is None else body
    head = "\r\n".join([status, *headers, f"Content-Length: {len(body)}"])
    return head.encode() + b"\r\n\r\n" + body


def filled(number: int, size: int) -> bytes:
    """An answer of just so many bytes, so that a reader with such a buffer reads none behind it."""
    padding = size - len(answer(number, body=body_of(number) + b" " * size)) + size
    return answer(number, body=body_of(number) + b" " * padding)


def raw(head: str, body: bytes) -> bytes:
    """An answer whose head is just this, without any length of its own."""
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


class RawServer:
    """Sends scripted bytes; counts connections and requests."""

    def __init__(self, answering: Answering, tls: ssl.SSLContext | None = None):
        self._answering = answering
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self.connections = self.requests = 0
        self.closed_by_client = threading.Event()
        self.answered = threading.Semaphore(0)
        """Released once an answer's last part is on its way."""
        scheme = "http" if tls is None else "https"
        self.base_url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self._listener, *self._open):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self._threads:
            thread.join(5)
        for each in (self._listener, *self._open):
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            while request := self._request(connection):
                self.requests += 1
                number = re.search(rb"automations/([0-9a-f]{8})-", request)
                assert number is not None
                self._answer(connection, int(number[1], 16))
            self.closed_by_client.set()
        except OSError:
            self.closed_by_client.set()

    def _answer(self, connection: socket.socket, number: int) -> None:
        try:
            for part in self._answering(number):
                if part is None:
                    connection.shutdown(socket.SHUT_RDWR)
                elif isinstance(part, bytes):
                    connection.sendall(part)
                else:
                    threading.Event().wait(part)
        finally:
            self.answered.release()

    def _request(self, connection: socket.socket) -> bytes:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = connection.recv(65536)
            if not piece:
                return b""
            received += piece
        return received


@contextmanager
def client_of(base_url: str, **options) -> Iterator[SendGridClient]:
    clock = LeapingClock()
    client = SendGridClient(
        client_options(base_url=base_url, **{"timeout": 5.0, **options}),
        key=lambda: KEY,
        budget=Budget(600_000, clock=clock),
        clock=clock,
        stop=threading.Event(),
        observer=FakeObserver(),
    )
    yield client
    client.close()


def ask(client: SendGridClient, number: int) -> int:
    """The automation's clicks, which are its number if the answer is its own."""
    return client.stats(an_automation(number), math.inf).total_clicks


def failure(client: SendGridClient, number: int) -> SendGridError:
    with pytest.raises(SendGridError) as failed:
        ask(client, number)
    return failed.value


def test_hints_before_late_answers_never_lend_one_automations_clicks_to_another():
    """Twelve automations over four workers, as on any small account."""
    automations = range(1, 13)

    with RawServer(lambda number: [EARLY, PAUSE, answer(number)]) as server, client_of(server.base_url) as client:
        # The first request with a key goes alone, and whoever waits for it would let this clock leap.
        first = ask(client, 1)
        with ThreadPoolExecutor(4) as workers:
            rounds = [list(workers.map(lambda number: ask(client, number), automations)) for _ in range(3)]

        assert [[first], *rounds] == [[1]] + [list(automations)] * 3
        assert server.requests == 37
        assert server.connections <= 4


@pytest.mark.parametrize(
    "interim",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        EARLY,
        b"HTTP/1.1 199 Own\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
        EARLY * 3 + b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n" * 2000,
    ],
    ids=["100", "102", "103", "unknown, with headers of its own", "several", "thousands"],
)
def test_any_interim_answers_are_read_over_and_leave_the_connection_in_step(interim):
    with RawServer(lambda number: [interim, PAUSE, answer(number)]) as server, client_of(server.base_url) as client:
        assert [ask(client, number) for number in (1, 2, 3)] == [1, 2, 3]
        assert server.connections == 1


def test_interim_answers_without_an_end_are_given_up():
    with RawServer(lambda _: itertools.repeat(EARLY * 100)) as server, client_of(server.base_url) as client:
        error = failure(client, 1)

        assert isinstance(error, ConnectionFailedError), error
        assert server.closed_by_client.wait(5)


def test_protocol_that_nobody_asked_for_is_refused():
    switching = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"

    with (
        RawServer(lambda number: [switching, PAUSE, answer(number)]) as server,
        client_of(server.base_url) as client,
    ):
        assert isinstance(failure(client, 1), InvalidResponseError)
        assert server.closed_by_client.wait(5)


CHUNKED = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked"


def chunks(body: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return b"5;name=value\r\n" + body[:5] + b"\r\n%X\r\n" % (len(body) - 5) + body[5:] + b"\r\n" + end


@pytest.mark.parametrize(
    "parts",
    [
        lambda n: [answer(n)],
        lambda n: [answer(n)[:-7], PAUSE, answer(n)[-7:]],
        lambda n: [raw(CHUNKED, chunks(body_of(n)))],
        lambda n: [raw(CHUNKED, chunks(body_of(n), b"000\r\nX-Trailer: 1\r\nX-More: 2\r\n\r\n"))],
        lambda n: [answer(n, status="HTTP/1.0 200 OK", headers=["Connection: keep-alive"])],
        lambda n: [answer(n).replace(b"\r\nContent-Length: ", b"\r\ncontent-length:\t")],
        lambda n: [answer(n).replace(b"200 OK", b"200")],
    ],
    ids=["length", "in two parts", "chunks", "trailers", "HTTP/1.0 kept alive", "other spelling", "no reason"],
)
def test_connection_is_used_again_after_an_answer_that_was_read_whole(parts):
    with RawServer(parts) as server, client_of(server.base_url) as client:
        assert [ask(client, number) for number in (1, 2, 3)] == [1, 2, 3]
        assert server.connections == 1


@pytest.mark.parametrize(
    "parts",
    [
        lambda n: [answer(n, headers=["Connection: close"])],
        lambda n: [answer(n, headers=["connection: foo, Close"])],
        lambda n: [answer(n, status="HTTP/1.0 200 OK")],
        lambda n: [raw("HTTP/1.1 200 OK", body_of(n)), None],
        lambda n: [raw(CHUNKED, chunks(body_of(n), b"0\r\n")), None],
        lambda n: [answer(n) + b"\r\n"],
        lambda n: [answer(n) + b"x" * 20_000],
        lambda n: [answer(n) + answer(99)],
        lambda n: [answer(n) + answer(99)[:20]],
        lambda n: [answer(n) + EARLY],
        lambda n: [answer(n), PAUSE / 2, answer(99)],
        lambda n: [answer(n), PAUSE / 2, answer(99)[:1]],
        lambda n: [answer(n), PAUSE / 2, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"],
        lambda n: [raw(CHUNKED, chunks(body_of(n))) + answer(99)],
        lambda n: [answer(n, body=body_of(n) + b" " * 30_000) + answer(99)],
        lambda n: [filled(n, io.DEFAULT_BUFFER_SIZE) + answer(99)],
    ],
    ids=[
        "close",
        "close among others",
        "HTTP/1.0",
        "ended by the connection",
        "chunks without their last line",
        "a line's end behind it",
        "much behind it",
        "another answer behind it",
        "a part of one behind it",
        "an interim answer behind it",
        "another answer while idle",
        "its first byte while idle",
        "a refusal while idle",
        "another answer behind chunks",
        "another answer behind a long one",
        "another answer behind the reader's buffer",
    ],
)
@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
def test_connection_out_of_step_is_closed_and_the_next_answer_is_right(parts, encrypted, tls):
    context = tls if encrypted else None
    with RawServer(parts, context) as server, client_of(server.base_url) as client:
        answers = []
        for number in (1, 2, 3):
            answers.append(ask(client, number))
            assert server.answered.acquire(timeout=10)

        assert answers == [1, 2, 3]
        assert server.connections == 3


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (lambda: [answer(0, status="HTTP/1.1 404 Not Found", body=b"{}") + answer(99)], NotFoundError),
        (lambda: [raw("HTTP/1.1 404 Not Found\nContent-Length: 9999999", b"x" * 9_999_999)], NotFoundError),
        (lambda: [raw("HTTP/1.1 400 Bad Request\nContent-Length: 10", b"{}")], BadRequestError),
        (lambda: [answer(0, body=b"x" * 9_000_000)], InvalidResponseError),
        (lambda: [answer(0)[:-9], answer(99)], InvalidResponseError),
        (lambda: [raw("HTTP/1.1 204 No Content", answer(99))], InvalidResponseError),
    ],
    ids=["two answers", "large refusal", "cut refusal", "large body", "short body", "body that may not be"],
)
def test_connection_is_closed_after_a_refusal_that_was_not_read_to_its_end_alone(refused, error):
    first = iter([True])

    def parts(number: int) -> Sequence[Part]:
        return refused() if next(first, False) else [answer(number)]

    with RawServer(parts) as server, client_of(server.base_url, timeout=0.7) as client:
        assert isinstance(failure(client, 1), error)
        assert ask(client, 2) == 2
        assert server.connections == 2


def test_answer_of_another_automation_that_comes_just_before_the_right_one_is_not_taken_for_it():
    """Nothing waits in the connection when the request leaves, so nothing but what the answer says gives it away."""
    former = []

    def parts(number: int) -> Sequence[Part]:
        late = [PAUSE, answer(former[-1])] if former else []
        former.append(number)
        return [*late, PAUSE, answer(number)]

    with RawServer(parts) as server, client_of(server.base_url) as client:
        assert ask(client, 1) == 1
        former.append(1)
        assert ask(client, 2) == 2
        former.clear()
        assert ask(client, 3) == 3


@pytest.mark.parametrize("named", [an_id(99), an_id(99).upper()])
def test_api_that_always_names_another_automation_is_believed_over_a_new_connection(named):
    """A gateway that maps ids, for one."""

    def parts(number: int) -> Sequence[Part]:
        return [answer(number, body=body_of(number).replace(an_id(number).encode(), named.encode()))]

    with RawServer(parts) as server, client_of(server.base_url) as client:
        assert [ask(client, number) for number in (1, 2, 3)] == [1, 2, 3]
        assert (server.requests, server.connections) == (3, 1)


@pytest.mark.parametrize("slash", [b"/", b"\\/"])
def test_answers_that_a_cache_mixes_up_are_refused_also_over_a_new_connection(slash):
    """The API has shown before that its answers name what was asked for."""

    def parts(number: int) -> Sequence[Part]:
        mixed = body_of(1 if number == 2 else number).replace(b"/", slash)
        return [answer(number, headers=["Connection: close"], body=mixed)]

    with RawServer(parts) as server, client_of(server.base_url) as client:
        assert ask(client, 1) == 1
        assert "about another automation" in str(failure(client, 2))
        assert ask(client, 3) == 3


def test_answer_mixed_up_before_any_other_does_not_end_the_check():
    answers = [2, 1, 3]

    def parts(number: int) -> Sequence[Part]:
        return [answer(number, body=body_of(answers.pop(0) if answers else 1))]

    with RawServer(parts) as server, client_of(server.base_url) as client:
        ask(client, 1)
        assert ask(client, 1) == 1
        assert ask(client, 3) == 3
        assert "about another automation" in str(failure(client, 4))


def test_connection_is_used_again_after_a_refusal_that_was_read_whole():
    with (
        RawServer(lambda _: [answer(0, status="HTTP/1.1 404 Not Found", body=b"{}")]) as server,
        client_of(server.base_url) as client,
    ):
        assert {type(failure(client, number)) for number in (1, 2, 3)} == {NotFoundError}
        assert server.connections == 1


OK = "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    "head",
    [
        f"{OK}\nContent-Length: {{n}}\nContent-Length: {{n}}",
        f"{OK}\nContent-Length: {{n}}\nContent-Length: 3",
        f"{OK}\nContent-Length: {{n}}, {{n}}",
        f"{OK}\nContent-Length: -5",
        f"{OK}\nContent-Length: +{{n}}",
        f"{OK}\nContent-Length: 1_0",
        f"{OK}\nContent-Length: {{n}}.0",
        f"{OK}\nContent-Length: 0x10",
        f"{OK}\nContent-Length:",
        f"{OK}\nContent-Length: {'9' * 5000}",
        f"{OK}\nContent-Length: {{n}}\nTransfer-Encoding: chunked",
        f"{OK}\nTransfer-Encoding: gzip, chunked",
        f"{OK}\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked",
        f"{OK}\nTransfer-Encoding: identity",
        f"{OK}\nTransfer-Encoding: xchunked",
        "HTTP/1.0 200 OK\nTransfer-Encoding: chunked",
        f"{OK}\nX-Long: one\n two\nContent-Length: {{n}}",
        f"{OK}\n Content-Length: {{n}}",
        f"{OK}\nContent-Length : {{n}}",
        f"{OK}\nno header at all\nContent-Length: {{n}}",
        f"{OK}\nX-A: b\rContent-Length: 3\nContent-Length: {{n}}",
        f"{OK}\n: nameless\nContent-Length: {{n}}",
        "HTTP/0.9 200 OK\nContent-Length: {n}",
        "HTTP/2 200 OK\nContent-Length: {n}",
        "HTTP/1.9 200 OK\nContent-Length: {n}",
        "200 OK\nContent-Length: {n}",
        "HTTP/1.1 2OO OK\nContent-Length: {n}",
        "HTTP/1.1\nContent-Length: {n}",
    ],
)
def test_answer_whose_end_is_open_is_refused_and_its_connection_closed(head):
    body = body_of(1)

    with (
        RawServer(lambda _: [raw(head.format(n=len(body)), body)]) as server,
        client_of(server.base_url) as client,
    ):
        error = failure(client, 1)

        assert isinstance(error, ConnectionFailedError), error
        assert server.closed_by_client.wait(5)


def test_answer_without_a_head_is_refused():
    with RawServer(lambda number: [body_of(number)]) as server, client_of(server.base_url, timeout=0.5) as client:
        assert isinstance(failure(client, 1), SendGridError)
        assert server.closed_by_client.wait(5)


@pytest.mark.parametrize("size", [b"-5", b"+5", b"0x5", b"5 5", b"1_0", b"", b"g", b"5" * 5000])
def test_chunk_whose_size_is_none_is_refused_and_its_connection_closed(size):
    broken = raw(CHUNKED, size + b"\r\n12345\r\n0\r\n\r\n")

    with RawServer(lambda _: [broken]) as server, client_of(server.base_url) as client:
        assert isinstance(failure(client, 1), ConnectionFailedError)
        assert server.closed_by_client.wait(5)


def test_trailers_without_an_end_are_given_up():
    def parts(_: int) -> Iterator[Part]:
        yield raw(CHUNKED, b"2\r\n{}\r\n0\r\n")
        yield from itertools.repeat(b"X-Trailer: 1\r\n" * 1000)

    with RawServer(parts) as server, client_of(server.base_url) as client:
        assert isinstance(failure(client, 1), ConnectionFailedError)
        assert server.closed_by_client.wait(5)


def test_answer_that_ends_within_its_headers_is_a_broken_connection_that_is_tried_again():
    cut = iter([[answer(1)[:25], None]])

    with RawServer(lambda number: next(cut, [answer(number)])) as server, client_of(server.base_url) as client:
        assert ask(client, 7) == 7
        assert server.requests == 2


@pytest.fixture(scope="module")
def tls() -> Iterator[ssl.SSLContext]:
    """A server's context of an authority that clients trust by SSL_CERT_FILE."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with authority.cert_pem.tempfile() as trusted, pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", trusted)
        yield context
