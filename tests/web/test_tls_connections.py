import contextlib
import logging
import os
import socket
import ssl
import threading
import time

import pytest
import trustme

from exporter.errors import ConfigurationError
from exporter.web.ports import Limits
from tests.web.support import (
    PROMPT,
    FakeMetrics,
    FakePorts,
    connect,
    eventually,
    get,
    is_closed,
    read_answer,
    read_to_end,
    request,
    reset,
    running,
)

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def stranger():
    return trustme.CA()


def issue(authority, folder, *names, name="server"):
    cert = authority.issue_cert(*(names or ("localhost",)))
    cert.private_key_pem.write_to_path(folder / f"{name}.key")
    (folder / f"{name}.crt").write_bytes(b"".join(pem.bytes() for pem in cert.cert_chain_pems))
    return cert


@pytest.fixture
def folder(tmp_path, authority):
    issue(authority, tmp_path)
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    return tmp_path


def write(folder, *lines):
    file = folder / "web.yml"
    text = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n" + "".join(
        f"  {line}\n" for line in lines
    )
    new = folder / "web.yml.new"
    new.write_text(text, encoding="utf-8")
    new.replace(file)
    return file


def trusting(authority, client=None):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return context


def is_let_in(server, context):
    """Tell whether a client of this context gets an answer; TLS 1.3 tells a refusal only on the first read."""
    try:
        return get(server, context=context).status == 200
    except (OSError, EOFError):
        return False


def test_pages_are_served_over_tls(folder, authority):
    fakes = FakePorts(FakeMetrics(os.urandom(3_000_000)))
    with running(fakes, config_file=write(folder)) as server, connect(server, trusting(authority)) as client:
        for _ in range(2):
            client.sendall(request())
            assert read_answer(client)[0].body == fakes.metrics.body
        client.sendall(request("/-/healthy", "GET", "Connection: close"))
        assert read_answer(client)[0].body == b"ok\n"
        assert client.recv(1) == b""


def test_bad_request_over_tls_is_answered(folder, authority):
    with running(config_file=write(folder)) as server, connect(server, trusting(authority)) as client:
        client.sendall(b"nonsense\r\n\r\n")

        assert read_answer(client)[0].status == 400


def test_request_that_comes_with_the_handshakes_last_packet_is_answered(folder, authority):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting(authority).wrap_bio(incoming, outgoing, server_hostname="localhost")
    with running(config_file=write(folder)) as server, connect(server) as client:
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                client.sendall(outgoing.read())
                incoming.write(client.recv(65536))
        tls.write(request("/-/healthy"))
        client.sendall(outgoing.read())
        plain = b""
        while not plain.endswith(b"ok\n"):
            with contextlib.suppress(ssl.SSLWantReadError):
                plain += tls.read(65536)
                continue
            incoming.write(client.recv(65536))

    assert plain.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("greeting", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_50_stalled_handshakes_hold_up_no_scrape_and_are_reaped(folder, authority, greeting):
    context = trusting(authority)
    with running(config_file=write(folder), limits=Limits(handshake=3.0)) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(50)]
        for client in clients:
            client.sendall(greeting)
        begin = time.monotonic()

        assert get(server, context=context).status == 200
        assert time.monotonic() - begin < 3
        assert eventually(lambda: all(is_closed(client) for client in clients))


def test_at_the_limit_a_stalled_handshake_is_evicted(folder, authority):
    with running(config_file=write(folder), limits=Limits(connections=3)) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(6)]

        assert get(server, context=trusting(authority)).status == 200
        assert eventually(lambda: sum(map(is_closed, clients)) >= 3)


def test_silent_connection_behind_a_handshake_has_a_deadline(folder, authority):
    limits = Limits(request=0.3, stall=0.3)
    with running(config_file=write(folder), limits=limits) as server, connect(server, trusting(authority)) as client:
        assert eventually(lambda: is_closed(client), 4)


def test_reader_who_stalls_over_tls_is_cut(folder, authority):
    fakes = FakePorts(FakeMetrics(b"x" * 20_000_000))
    with (
        running(fakes, config_file=write(folder), limits=Limits(stall=0.3)) as server,
        connect(server, trusting(authority)) as client,
    ):
        client.sendall(request())

        assert eventually(lambda: fakes.metrics.taken > 0)
        assert eventually(lambda: client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1, 4)


@pytest.mark.parametrize("size", [9, 3_000_000])
@pytest.mark.parametrize("sent", [b"", request(), request() * 50, request("/", "GET", "Connection: close"), b"\x00"])
def test_client_that_resets_the_connection_makes_no_warning(folder, authority, sent, size, caplog):
    with running(FakePorts(FakeMetrics(b"x" * size)), config_file=write(folder)) as server:
        for number in range(30):
            client = connect(server, trusting(authority))
            client.sendall(sent)
            if number % 3 == 1 and len(sent) > 3:
                client.recv(1)
            elif number % 3 == 2:
                threading.Event().wait(0.002)
            reset(client)

        assert get(server, "/-/healthy", context=trusting(authority)).status == 200
    assert caplog.text == ""


def test_server_stops_in_time_with_handshakes_and_connections_open(folder, authority):
    with (
        running(config_file=write(folder)) as server,
        connect(server),
        connect(server, trusting(authority)) as idle,
    ):
        idle.sendall(request())
        read_answer(idle)
        begin = time.monotonic()

        server.stop(1.0)

        assert time.monotonic() - begin < PROMPT
        assert server.failed() is None


def test_new_certificate_serves_the_next_handshake(folder, authority, stranger):
    file = write(folder)
    with running(config_file=file) as server, connect(server, trusting(authority)) as before:
        issue(stranger, folder)

        assert is_let_in(server, trusting(stranger))
        assert not is_let_in(server, trusting(authority))
        before.sendall(request())
        assert read_answer(before)[0].status == 200


def test_broken_new_certificate_leaves_the_old_one_in_effect(folder, authority, stranger, caplog):
    fakes = FakePorts()
    with running(fakes, config_file=write(folder)) as server:
        (folder / "server.crt").write_text("broken", encoding="utf-8")
        during = [is_let_in(server, trusting(authority)) for _ in range(3)]
        reported = list(fakes.observer.web_config)
        issue(stranger, folder)

        assert (during, reported) == ([True] * 3, [False])
        assert is_let_in(server, trusting(stranger))
        assert fakes.observer.web_config == [False, True]
    messages = [record.getMessage() for record in caplog.records]
    assert sum("cannot be used any more" in message for message in messages) == 1


def test_key_that_vanishes_for_a_while_stops_nobody(folder, authority):
    with running(config_file=write(folder)) as server:
        (folder / "server.key").rename(folder / "away")
        let_in = is_let_in(server, trusting(authority))
        (folder / "away").rename(folder / "server.key")

        assert let_in
        assert is_let_in(server, trusting(authority))


def test_disk_of_the_certificate_that_hangs_stops_no_handshake(folder, authority):
    fakes = FakePorts()
    with running(fakes, config_file=write(folder)) as server:
        (folder / "server.crt").unlink()
        os.mkfifo(folder / "server.crt")  # nobody writes to it: as long as on a disk that hangs, nothing comes of it
        begin = time.monotonic()

        assert [is_let_in(server, trusting(authority)) for _ in range(5)] == [True] * 5
        assert time.monotonic() - begin < PROMPT
        assert fakes.observer.web_config == [False]


def test_broken_config_file_leaves_the_old_one_in_effect(folder, authority):
    file = write(folder)
    with running(config_file=file) as server:
        file.write_text("basic_auth_users: [", encoding="utf-8")

        assert is_let_in(server, trusting(authority))


def test_taking_tls_out_of_the_file_opens_nothing(folder, authority, caplog):
    file = write(folder)
    with running(config_file=file) as server:
        file.write_text("{}", encoding="utf-8")

        assert is_let_in(server, trusting(authority))
        with connect(server) as client:
            client.sendall(request())
            assert read_answer(client)[0].status == 400
    assert "needs a restart" in caplog.text


def test_tls_put_into_the_file_asks_for_a_restart(folder, caplog):
    file = folder / "web.yml"
    file.write_text("{}", encoding="utf-8")
    with running(config_file=file) as server:
        assert get(server).status == 200
        write(folder)

        assert get(server).status == 200
    assert "needs a restart" in caplog.text


REQUIRED = ("client_auth_type: RequireAndVerifyClientCert", "client_ca_file: ca.crt")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (REQUIRED, ()),
        (REQUIRED, ("client_auth_type: VerifyClientCertIfGiven", "client_ca_file: ca.crt")),
        ((*REQUIRED, "client_allowed_sans: [nobody]"), REQUIRED),
    ],
)
def test_changed_file_does_not_let_in_whom_it_kept_out(folder, authority, before, after):
    client = authority.issue_cert("client") if "nobody" in before[-1] else None
    with running(config_file=write(folder, *before)) as server:
        write(folder, *after)

        assert not is_let_in(server, trusting(authority, client))


def test_issuing_authority_alone_verifies_its_clients(folder, authority):
    issuing = authority.create_child_ca()
    issuing.cert_pem.write_to_path(folder / "ca.crt")
    client, other = issuing.issue_cert("client"), authority.create_child_ca().issue_cert("client")
    with running(config_file=write(folder, *REQUIRED)) as server:
        assert is_let_in(server, trusting(authority, client))
        assert not is_let_in(server, trusting(authority, other))


@pytest.mark.parametrize(
    ("client", "reason"),
    [
        (None, "peer did not return a certificate"),
        ("stranger", "the client's certificate was refused: "),
        ("plain", "the client sent an HTTP request to the HTTPS port"),
        ("garbage", "wrong version number"),
    ],
)
def test_failed_handshakes_are_logged_with_peer_and_reason_within_a_bound(folder, authority, caplog, client, reason):
    caplog.set_level(logging.INFO)
    stranger = trustme.CA()
    with running(config_file=write(folder, *REQUIRED)) as server:
        for _ in range(20):
            if client in (None, "stranger"):
                context = trusting(authority, stranger.issue_cert("client") if client else None)
                assert not is_let_in(server, context)
            else:
                with connect(server) as raw:
                    raw.sendall(request() if client == "plain" else b"\x01" * 50)
                    raw.shutdown(socket.SHUT_WR)
                    read_to_end(raw)

    lines = [record.getMessage() for record in caplog.records if "handshake" in record.getMessage()]
    assert 1 <= len(lines) < 10
    assert all(line.startswith("a TLS handshake with 127.0.0.1 failed: ") for line in lines)
    assert all(reason in line for line in lines), lines


def test_look_whether_the_port_is_open_makes_no_line(folder, authority, caplog):
    caplog.set_level(logging.INFO)
    with running(config_file=write(folder)) as server:
        for _ in range(5):
            connect(server).close()

        assert is_let_in(server, trusting(authority))
    assert "handshake" not in caplog.text


@pytest.mark.parametrize(
    ("method", "body"), [("GET", b"Client sent an HTTP request to an HTTPS server.\n"), ("HEAD", b"")]
)
def test_plain_request_to_the_tls_port_gets_a_sentence(folder, method, body):
    with running(config_file=write(folder)) as server, connect(server) as client:
        client.sendall(request("/metrics", method))
        answer, rest = read_answer(client, method)

        assert (answer.status, answer.headers["connection"], answer.body, rest) == (400, "close", body, b"")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""


CLIENT_AUTH = {
    # type: (without a certificate, with a good one, with a stranger's)
    "NoClientCert": (True, True, True),
    "RequestClientCert": (True, True, True),
    "VerifyClientCertIfGiven": (True, True, False),
    "RequireAndVerifyClientCert": (False, True, False),
}


@pytest.mark.parametrize("kind", CLIENT_AUTH)
def test_client_certificates_are_asked_for_as_configured(folder, authority, stranger, kind):
    lines = [f"client_auth_type: {kind}"] + (["client_ca_file: ca.crt"] if kind != "NoClientCert" else [])
    clients = [None, authority.issue_cert("client"), stranger.issue_cert("client")]
    with running(config_file=write(folder, *lines)) as server:
        assert tuple(is_let_in(server, trusting(authority, client)) for client in clients) == CLIENT_AUTH[kind]


@pytest.mark.parametrize("kind", ["RequireAnyClientCert", "RequireClientCert"])
def test_certificate_that_nobody_would_verify_is_not_offered(folder, kind):
    with (
        pytest.raises(ConfigurationError, match="use RequireAndVerifyClientCert"),
        running(config_file=write(folder, f"client_auth_type: {kind}")),
    ):
        pass


def test_health_needs_the_client_certificate_too(folder, authority):
    with running(config_file=write(folder, *REQUIRED)) as server, pytest.raises((OSError, EOFError)):
        get(server, "/-/healthy", context=trusting(authority))


@pytest.mark.parametrize(
    ("allowed", "names", "let_in"),
    [
        ("scraper.example", ["scraper.example"], True),
        ("scraper.example", ["other.example", "scraper.example"], True),
        ("scraper.example", ["sub.scraper.example"], False),
        ("scraper.example", ["*.example"], False),
        ("ops@example.org", ["ops@example.org"], True),
        ("10.1.2.3", ["10.1.2.3"], True),
        ("2001:db8::1", ["2001:db8::1"], True),
        ("2001:db8::2", ["2001:db8::1"], False),
        ("a, b", ["b"], True),
    ],
)
def test_client_is_let_in_by_its_alternative_names(folder, authority, allowed, names, let_in):
    lines = (
        "client_auth_type: RequireAndVerifyClientCert",
        "client_ca_file: ca.crt",
        f"client_allowed_sans: [{', '.join(f'{name!r}' for name in allowed.split(', '))}]",
    )
    client = authority.issue_cert(*names)
    with running(config_file=write(folder, *lines)) as server:
        assert is_let_in(server, trusting(authority, client)) is let_in


@pytest.mark.parametrize(
    ("lines", "version", "let_in"),
    [
        ((), ssl.TLSVersion.TLSv1_2, True),
        (("min_version: TLS13",), ssl.TLSVersion.TLSv1_2, False),
        (("min_version: TLS13",), ssl.TLSVersion.TLSv1_3, True),
        (("max_version: TLS12",), ssl.TLSVersion.TLSv1_3, False),
        (("cipher_suites: [TLS_AES_128_GCM_SHA256]",), ssl.TLSVersion.TLSv1_2, False),
        (("cipher_suites: [TLS_AES_128_GCM_SHA256]",), ssl.TLSVersion.TLSv1_3, True),
        (("curve_preferences: [CurveP384]", "prefer_server_cipher_suites: false"), ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_versions_and_suites_are_kept_to(folder, authority, lines, version, let_in):
    context = trusting(authority)
    context.minimum_version = context.maximum_version = version
    with running(config_file=write(folder, *lines)) as server:
        assert is_let_in(server, context) is let_in


def test_suites_of_tls_1_2_are_the_named_ones(folder, authority):
    suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
    context = trusting(authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        running(config_file=write(folder, f"cipher_suites: [{suite}]")) as server,
        connect(server, context) as client,
    ):
        assert "CHACHA20-POLY1305" in client.cipher()[0]


def test_certificates_may_stand_in_the_file_itself(folder, authority):
    def block(name, file):
        text = (folder / file).read_text(encoding="ascii")
        return f"  {name}: |\n" + "".join(f"    {line}\n" for line in text.splitlines())

    file = folder / "inline.yml"
    file.write_text(
        "tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert\n"
        + block("cert", "server.crt")
        + block("key", "server.key")
        + block("client_ca", "ca.crt"),
        encoding="utf-8",
    )
    with running(config_file=file) as server:
        assert is_let_in(server, trusting(authority, authority.issue_cert("client")))
        assert not is_let_in(server, trusting(authority))
