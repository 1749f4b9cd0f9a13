"""The client's deadlines, limits and trust against real sockets on loopback."""

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trustme

from exporter.clock import SystemClock
from exporter.errors import (
    BadRequestError,
    ConnectionFailedError,
    ExchangeTimeoutError,
    InvalidResponseError,
    SendGridError,
    StoppedError,
)
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.transport import Deadline, Resolver, deadline_adapters, pool_classes
from sendgrid_simulator import Delivery, Row, Simulator, fixed
from tests.factories import KEY, an_automation, an_id, client_options
from tests.fakes import FakeObserver

pytestmark = pytest.mark.e2e

TIMEOUT = 0.6
SLACK = 8.0
"""More than a busy machine takes, and far less than a call that is held."""
PATIENCE = 20.0
ROWS = tuple(Row("step", f"https://example.com/{n}", n, 1) for n in range(60))


class Asking:
    """A client with time for a machine that stops for seconds; a failure is not tried again."""

    def __init__(self, base_url: str, key: str = KEY, resolver: Resolver | None = None, **options):
        self.clock = SystemClock()
        self.observer = FakeObserver()
        self.stop = threading.Event()
        how = client_options(base_url=base_url, **{"timeout": PATIENCE, "most_tries": 1, **options})
        self.client = SendGridClient(
            how,
            key=lambda: key,
            budget=Budget(60_000, clock=self.clock),
            clock=self.clock,
            stop=self.stop,
            observer=self.observer,
            adapter=deadline_adapters(how, resolver),
        )

    def stats(self, seconds: float = PATIENCE):
        return self.client.stats(an_automation(), self.clock.monotonic() + seconds)

    def failure(self, seconds: float = PATIENCE) -> tuple[SendGridError, float]:
        started = time.monotonic()
        with pytest.raises(SendGridError) as failed:
            self.stats(seconds)
        return failed.value, time.monotonic() - started


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator((fixed(an_id(), ROWS),), rate_limit=0) as running:
        yield running


@pytest.fixture
def asking(simulator) -> Iterator[Asking]:
    asking = Asking(simulator.base_url, simulator.api_key)
    yield asking
    asking.client.close()


@contextmanager
def server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve connections with the function, which ends when the client has gone."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        talk(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(SLACK)


def trickling(head: bytes) -> Callable[[socket.socket], None]:
    """Send the head, then a byte now and then, for longer than any test waits."""

    def talk(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        pause = threading.Event()
        for _ in range(100):
            pause.wait(0.1)
            connection.sendall(b"x")

    return talk


def test_connections_are_used_again(simulator, asking):
    for _ in range(5):
        assert asking.stats().total_clicks == 60

    assert simulator.connections == 1
    assert simulator.request_count == 10


def test_requests_on_one_connection_carry_nothing_of_the_environment_and_of_earlier_answers(tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login x password y\n")
    netrc.chmod(0o600)
    for name, value in {
        "NETRC": str(netrc),
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    seen: list[bytes] = []
    body = json.dumps({"results": [], "total_clicks": 0, "_metadata": {"count": 0}}).encode()

    def talk(connection: socket.socket) -> None:
        while request := connection.recv(65536):
            seen.append(request)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nSet-Cookie: session=1; Path=/\r\n\r\n"
            connection.sendall(head.encode() + body)

    with server(talk) as url:
        asking = Asking(url)
        for _ in range(3):
            asking.stats()
        asking.client.close()

    names = [[line.split(b":")[0] for line in each.split(b"\r\n")[1:-2]] for each in seen]
    assert names == [[b"Host", b"Accept", b"Accept-Encoding", b"User-Agent", b"Authorization"]] * 3
    assert all(f"Authorization: Bearer {KEY}".encode() in each for each in seen)


def test_connection_that_the_server_closed_meanwhile_is_replaced(simulator, asking):
    simulator.fault(deliver=Delivery.CLOSE_AFTER, times=4)

    assert [asking.stats().pages for _ in range(3)] == [2, 2, 2]


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"],
    ids=["status", "headers", "a header", "body"],
)
def test_trickling_server_is_left_at_the_deadline(head):
    with server(trickling(head)) as base_url:
        error, seconds = Asking(base_url, timeout=TIMEOUT).failure()

    assert isinstance(error, ExchangeTimeoutError), error
    assert seconds < TIMEOUT + SLACK


@pytest.mark.parametrize("deliver", [Delivery.STALL, Delivery.STALL_IN_HEADERS, Delivery.STALL_IN_BODY])
def test_silent_server_is_left_at_the_deadline(simulator, asking, deliver):
    simulator.fault(deliver=deliver, times=None)

    error, seconds = asking.failure(TIMEOUT)

    assert isinstance(error, ExchangeTimeoutError)
    assert seconds < TIMEOUT + SLACK


def test_exchange_that_timed_out_does_not_lend_its_answer_to_the_next(simulator, asking):
    simulator.fault(deliver=Delivery.STALL_IN_BODY, times=1)
    asking.failure(TIMEOUT)

    assert asking.stats().total_clicks == 60


@pytest.mark.parametrize(
    ("deliver", "error"),
    [
        (Delivery.CLOSE, ConnectionFailedError),
        (Delivery.RESET_BEFORE, ConnectionFailedError),
        (Delivery.RESET_IN_BODY, ConnectionFailedError),
        (Delivery.CUT_HEADERS, ConnectionFailedError),
        (Delivery.CUT_BODY, ConnectionFailedError),
        (Delivery.CUT_CHUNK, ConnectionFailedError),
        (Delivery.NOT_HTTP, ConnectionFailedError),
        (Delivery.CUT_GZIP, InvalidResponseError),
        (Delivery.WRONG_GZIP, InvalidResponseError),
        (Delivery.GZIP_BOMB, InvalidResponseError),
        (Delivery.HUGE_BODY, InvalidResponseError),
        (Delivery.HUGE_CHUNKS, InvalidResponseError),
        (Delivery.HUGE_HEADERS, ConnectionFailedError),
    ],
)
def test_broken_answers_end_as_one_error_without_their_content(simulator, deliver, error):
    simulator.fault(deliver=deliver, times=None)
    asking = Asking(simulator.base_url, simulator.api_key)

    failure, seconds = asking.failure()

    assert isinstance(failure, error), failure
    assert len(str(failure)) < 300
    assert seconds < SLACK
    asking.client.close()


@pytest.mark.parametrize("deliver", [Delivery.CHUNKED, Delivery.GZIP, Delivery.CONTINUE, Delivery.EARLY_HINTS])
def test_honest_answers_in_any_form_are_read(simulator, asking, deliver):
    simulator.fault(deliver=deliver, times=None)

    assert asking.stats().total_clicks == 60


def test_port_where_nobody_listens_is_a_failed_connection_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    error, seconds = Asking(f"http://127.0.0.1:{port}").failure()

    assert isinstance(error, ConnectionFailedError)
    assert "refused" in str(error).lower()
    assert seconds < SLACK


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid"])
def test_name_that_is_nobodys_is_a_failed_connection(host):
    error, _ = Asking(f"http://{host}").failure()

    assert isinstance(error, ConnectionFailedError), error


def test_second_address_of_a_name_is_tried_where_the_first_refuses(simulator):
    port = simulator.base_url.rpartition(":")[2]

    # where localhost is ::1 too, that address comes first and nobody listens there
    assert Asking(f"http://localhost:{port}", simulator.api_key).stats().total_clicks == 60


def test_backlog_that_is_full_ends_at_the_deadline():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(address)

            error, seconds = Asking(f"http://127.0.0.1:{address[1]}", timeout=TIMEOUT).failure()
        finally:
            for each in waiting:
                each.close()

    assert isinstance(error, ExchangeTimeoutError), error
    assert seconds < TIMEOUT + SLACK


@contextmanager
def tls_simulator(authority: trustme.CA, name: str) -> Iterator[Simulator]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with Simulator((fixed(an_id(), ROWS),), rate_limit=0, tls=context) as running:
        yield running


@pytest.fixture
def authority(tmp_path, monkeypatch) -> trustme.CA:
    authority = trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return authority


def test_tls_with_a_trusted_authority_works(authority):
    with tls_simulator(authority, "127.0.0.1") as simulator:
        asking = Asking(simulator.base_url, simulator.api_key)

        assert asking.stats().total_clicks == 60
        asking.client.close()


def test_tls_server_that_trickles_is_left_at_the_deadline(authority):
    with tls_simulator(authority, "127.0.0.1") as simulator:
        simulator.fault(deliver=Delivery.TRICKLE_BODY, pace=0.1, times=None)
        error, seconds = Asking(simulator.base_url, simulator.api_key, timeout=TIMEOUT).failure()

    assert isinstance(error, ExchangeTimeoutError), error
    assert seconds < TIMEOUT + SLACK


@pytest.mark.parametrize("name", ["elsewhere.example", "127.0.0.2"])
def test_certificate_of_another_name_is_refused_before_the_key_is_sent(authority, name):
    with tls_simulator(authority, name) as simulator:
        error, _ = Asking(simulator.base_url, simulator.api_key).failure()

        assert isinstance(error, ConnectionFailedError), error
        assert "certificate" in str(error)
        assert simulator.request_count == 0


def test_unknown_authority_is_refused():
    with tls_simulator(trustme.CA(), "127.0.0.1") as simulator:
        error, _ = Asking(simulator.base_url, simulator.api_key).failure()

        assert isinstance(error, ConnectionFailedError), error
        assert simulator.request_count == 0


def test_tls_handshake_that_never_ends_is_left_at_the_deadline():
    def silent(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with server(silent) as base_url:
        error, seconds = Asking(base_url.replace("http:", "https:"), timeout=TIMEOUT).failure()

    assert isinstance(error, ExchangeTimeoutError), error
    assert seconds < TIMEOUT + SLACK


def test_configured_proxy_carries_the_request_and_resolves_the_name(simulator):
    asking = Asking("http://api.invalid", simulator.api_key, proxy=simulator.base_url)

    assert asking.stats().total_clicks == 60
    asking.client.close()


def test_tunnel_through_a_proxy_that_refuses_is_a_failed_connection(simulator):
    asking = Asking("https://api.invalid", proxy=simulator.base_url)

    error, _ = asking.failure()

    assert isinstance(error, ConnectionFailedError), error


PASSWORD = "p%C3%A4ss-Marker%40"
OCTETS = base64.b64encode("user:p\u00e4ss-Marker@".encode()).decode()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("form", [PASSWORD, "p\u00e4ss-Marker@", OCTETS], ids=["encoded", "plain", "base64"])
def test_proxy_that_refuses_its_credentials_is_asked_once_and_they_stand_in_no_message(scheme, form):
    heads = []

    def refuse(connection: socket.socket) -> None:
        heads.append(connection.recv(65536))
        text = f"HTTP/1.1 407 Not {form}\r\nX-Said: {form}\r\nContent-Length: {len(form.encode())}\r\n\r\n{form}"
        connection.sendall(text.encode())

    with server(refuse) as address:
        proxy = address.replace("http://", f"http://user:{PASSWORD}@")
        error, _ = Asking(f"{scheme}://api.invalid", proxy=proxy).failure()

    assert isinstance(error, BadRequestError), error
    assert "the proxy refused its credentials" in str(error)
    assert error.next_step == "check sendgrid.proxy"
    assert "Marker" not in str(error)
    assert OCTETS not in str(error)
    assert len(heads) == 1
    assert f"Proxy-Authorization: Basic {OCTETS}\r\n".encode() in heads[0]


def test_connection_keeps_itself_alive():
    with server(lambda connection: connection.recv(1)) as address:
        host, port = address.removeprefix("http://").split(":")
        deadline = Deadline(SystemClock())
        deadline.set(10.0)
        connection = pool_classes(deadline, Resolver())["http"].ConnectionCls(host, int(port))
        connection.connect()
        try:
            assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            if hasattr(socket, "TCP_KEEPIDLE"):
                assert connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < 60
        finally:
            connection.close()


def test_stop_ends_a_pause_at_once(simulator):
    asking = Asking(simulator.base_url, simulator.api_key, most_tries=2)
    simulator.fault(status=503, times=None, headers=(("Retry-After", "60"),))
    timer = threading.Timer(0.3, asking.stop.set)
    timer.start()

    started = time.monotonic()
    with pytest.raises(StoppedError):
        asking.failure(200.0)
    timer.join()
    asking.client.close()

    assert time.monotonic() - started < SLACK


def test_address_needs_no_name_server(simulator):
    def look_up(host: str, port: int | None):
        raise AssertionError(host, port)

    assert Asking(simulator.base_url, simulator.api_key, resolver=Resolver(look_up)).stats().total_clicks == 60


def test_name_server_that_is_silent_holds_no_poll_beyond_its_deadline_and_one_thread_in_all(simulator):
    answers, asked = threading.Event(), []

    def look_up(host: str, port: int | None):
        asked.append(host)
        answers.wait()
        return socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)

    address = simulator.base_url.replace("127.0.0.1", "localhost")
    asking = Asking(address, simulator.api_key, resolver=Resolver(look_up))
    try:
        failures = [asking.failure(TIMEOUT) for _ in range(3)]

        assert max(seconds for _, seconds in failures) < SLACK
        for error, _ in failures:
            assert isinstance(error, ConnectionFailedError)
            assert "no name server has answered within the exchange's time" in str(error)
            assert "check the host in" in error.next_step
        assert asked == ["localhost"]
    finally:
        answers.set()
    assert asking.stats().links
    asking.client.close()
