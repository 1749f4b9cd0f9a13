"""The rows of the matrix in which no SendGrid answers: names, ports, certificates, proxies."""

import datetime as dt
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from exporter.domain import Outcome
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.transport import ClientOptions
from sendgrid_simulator import Simulator
from tests.end_to_end.harness.exchange import free_port
from tests.matrix.rig import OTHER, VICTIM, Adapters, LeapingClock, PeakMemory, Rig, a_simulator, good_rows, links_of
from tests.matrix.table import PLACES, Place

_LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def _served(authority: trustme.CA, *names: str, expired: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, not_after=_LONG_AGO if expired else None).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trustme.CA]:
    """An authority that the client trusts, as an operator makes it: by SSL_CERT_FILE."""
    authority = trustme.CA()
    file = tmp_path_factory.mktemp("trust") / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SSL_CERT_FILE", str(file))
        yield authority


@contextmanager
def _silent_server() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@contextmanager
def _plain_server() -> Iterator[int]:
    """Refuse whatever comes in plain HTTP, as a web server does that is asked for TLS on the wrong port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client = server.accept()[0]
                except OSError:
                    return
                with client, suppress(OSError):
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@contextmanager
def _address(place: Place, authority: trustme.CA) -> Iterator[str]:
    """Yield the base URL of the place, for as long as it stands."""
    servers = {
        "TLS for another host": _served(authority, "elsewhere.example.com"),
        "TLS that has expired": _served(authority, "127.0.0.1", expired=True),
        "TLS of an unknown authority": _served(trustme.CA(), "127.0.0.1"),
        "plain HTTP asked of a TLS server": _served(authority, "127.0.0.1"),
    }
    with ExitStack() as stack:
        if place.name in servers:
            simulator = a_simulator(good_rows(), wall=LeapingClock(), tls=servers[place.name])
            address = stack.enter_context(simulator).base_url
            yield address.replace("https", "http") if place.name.startswith("plain") else address
        elif place.name == "TLS asked of a plain server":
            yield f"https://127.0.0.1:{stack.enter_context(_plain_server())}"
        elif "never says" in place.name:
            scheme = "https" if place.name.startswith("TLS") else "http"
            yield f"{scheme}://127.0.0.1:{stack.enter_context(_silent_server())}"
        else:
            yield "http://sendgrid.invalid" if "resolve" in place.name else f"http://127.0.0.1:{free_port()}"


def _client(rig: Rig, place: Place, address: str) -> SendGridClient:
    proxy = f"http://user:proxy-password@127.0.0.1:{free_port()}" if "proxy" in place.name else None
    return SendGridClient(
        ClientOptions(address, place.timeout, 2, "matrix", proxy=proxy),
        key=lambda: rig.simulator.api_key,
        budget=Budget(1_000_000, clock=rig.clock),
        clock=rig.clock,
        stop=rig.never,
        observer=rig.telemetry,
    )


@pytest.mark.parametrize("good_before", [False, True], ids=["first poll", "steady state"])
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_where_no_sendgrid_answers(
    place: Place, authority: trustme.CA, adapters: Adapters, *, good_before: bool
) -> None:
    clock = LeapingClock()
    with a_simulator(good_rows(), wall=clock) as simulator, _address(place, authority) as address:
        rig = Rig(simulator, clock, adapters, page_size=2, timeout=20)
        if good_before:
            assert rig.poll().outcome is Outcome.SUCCESS
        before = rig.shown()
        rig.poller.source = client = _client(rig, place, address)
        peak = PeakMemory()

        poll = rig.poll()

        assert (poll.outcome, poll.counted) == (place.outcome, {place.outcome: 1})
        assert rig.shown() == replace(before, up=0.0)
        assert peak.grown < 32 * 1024 * 1024
        assert len(poll.lines) == 1, poll.lines
        line = poll.lines[0]
        assert re.search(place.says, line), line
        assert line.isprintable()
        assert "proxy-password" not in line
        assert simulator.api_key not in line
        client.close()
        _assert_heals(rig, simulator)


def _assert_heals(rig: Rig, simulator: Simulator) -> None:
    rig.poller.source = rig.source
    for automation in (VICTIM, OTHER):
        simulator.put_rows(automation, good_rows(7))
        assert rig.poll(automation).outcome is Outcome.SUCCESS
        assert rig.shown(automation).links == links_of(good_rows(7))
    rig.close()


def test_a_certificate_of_an_authority_in_ssl_cert_file_is_trusted(authority: trustme.CA) -> None:
    clock = LeapingClock()
    with a_simulator(good_rows(), wall=clock, tls=_served(authority, "127.0.0.1")) as simulator:
        rig = Rig(simulator, clock, None, page_size=2, timeout=20)

        poll = rig.poll()
        rig.close()

        assert (poll.outcome, poll.requests) == (Outcome.SUCCESS, 3)
        assert simulator.base_url.startswith("https://")


def test_a_sendgrid_that_comes_back_is_read_again(adapters: Adapters) -> None:
    clock = LeapingClock()
    simulator = a_simulator(good_rows(), wall=clock)
    rig = Rig(simulator.start(), clock, adapters, page_size=2, timeout=20)
    assert rig.poll().outcome is Outcome.SUCCESS

    simulator.stop()
    assert rig.poll().outcome is Outcome.CONNECTION_ERROR

    with simulator:
        back = rig.poll()
        rig.close()
    assert back.outcome is Outcome.SUCCESS
    assert back.lines == [f"{VICTIM} success: the automation recovered"]


def test_a_missing_file_of_authorities_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    clock = LeapingClock()
    with a_simulator(good_rows(), wall=clock, tls=_served(trustme.CA(), "127.0.0.1")) as simulator:
        rig = Rig(simulator, clock, None, page_size=2, timeout=20)

        assert rig.poll().outcome is Outcome.CONNECTION_ERROR
        rig.close()
