"""The script that probes and the helm test run in the container."""

import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.deploy.chart import CHART, ROOT
from tests.end_to_end.harness.exchange import free_port

PROBE = CHART / "files" / "probe.py"
Answer = Callable[[str], tuple[int, str]]


def probe(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", PROBE, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on loopback, over TLS where a context is given; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass

        def finish_request(self, request: socket.socket, client_address: tuple[str, int]) -> None:
            # In the connection's own thread, so that a bad handshake holds up nobody.
            with context.wrap_socket(request, server_side=True) if context else request as stream:
                super().finish_request(stream, client_address)

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def health(path: str) -> tuple[int, str]:
    return (200, "ok") if path == "/-/healthy" else (503, "not yet")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def mutual(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("exporter.example.org").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def certificates(authority: trustme.CA, folder: Path) -> Path:
    issued = authority.issue_cert("probe.example.org")
    issued.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    issued.private_key_pem.write_to_path(folder / "tls.key")
    return folder


@pytest.mark.parametrize(("path", "code", "says"), [("/-/healthy", 0, "as it should"), ("/-/ready", 1, "answers 503")])
def test_a_page_decides_by_its_status(path: str, code: int, says: str) -> None:
    with serving(health) as port:
        done = probe(f"http://localhost:{port}{path}")

    assert (done.returncode, says in done.stdout) == (code, True)


@pytest.mark.parametrize(
    ("answer", "code", "says"),
    [
        ((200, "# HELP up x\nup 1\n"), 0, "as it should"),
        ((200, "# HELP up x\n"), 1, "has no metric up"),
        ((401, ""), 0, "asks for a password"),
        ((500, ""), 1, "answers 500"),
    ],
)
def test_a_scrape_wants_the_metric_or_a_password(answer: tuple[int, str], code: int, says: str) -> None:
    with serving(lambda _: answer) as port:
        done = probe(f"http://localhost:{port}/metrics", "--metric=up")

    assert (done.returncode, says in done.stdout) == (code, True)


def test_with_a_client_certificate_it_asks_for_the_page(
    authority: trustme.CA, mutual: ssl.SSLContext, tmp_path: Path
) -> None:
    folder = certificates(authority, tmp_path)
    with serving(health, mutual) as port:
        alive = probe(f"https://localhost:{port}/-/healthy", f"--certificates={folder}")
        unready = probe(f"https://localhost:{port}/-/ready", f"--certificates={folder}")

    assert (alive.returncode, unready.returncode) == (0, 1)


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_without_one_it_sees_that_tls_is_answered(authority: trustme.CA, newest: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    authority.issue_cert("exporter.example.org").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(health, context) as port:
        done = probe(f"https://localhost:{port}/-/healthy", "--handshake")

    assert done.returncode == 0, done.stdout


def test_without_one_a_page_cannot_be_had(mutual: ssl.SSLContext) -> None:
    with serving(health, mutual) as port:
        assert probe(f"https://localhost:{port}/-/healthy").returncode == 1


def test_a_process_that_takes_connections_and_says_nothing_is_dead() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = probe(f"https://localhost:{silent.getsockname()[1]}/-/healthy", "--handshake")

    assert (done.returncode, done.stderr) == (1, "")


def test_a_closed_port_is_dead_and_gets_one_sentence() -> None:
    done = probe(f"http://localhost:{free_port()}/-/healthy")

    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("the exporter does not answer: ")


def test_plain_http_is_not_taken_for_tls() -> None:
    with serving(health) as port:
        assert probe(f"https://localhost:{port}/-/healthy", "--handshake").returncode == 1


@pytest.fixture
def exporter(authority: trustme.CA, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The real exporter, which asks for client certificates; yield it and its address."""
    issued = authority.issue_cert("exporter.example.org")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "server.crt")
    issued.private_key_pem.write_to_path(tmp_path / "server.key")
    authority.cert_pem.write_to_path(tmp_path / "ca.crt")
    (tmp_path / "web.yml").write_text(
        "tls_server_config: {cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt,"
        " client_auth_type: RequireAndVerifyClientCert}\n"
    )
    address = f"127.0.0.1:{free_port()}"
    flags = [
        "--demo",
        f"--web.listen-address={address}",
        f"--web.config-file={tmp_path / 'web.yml'}",
        "--log.level=error",
    ]
    with subprocess.Popen([sys.executable, "-m", "exporter", *flags], cwd=ROOT) as process:
        try:
            yield process, f"https://{address}"
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


def test_the_real_exporter_behind_client_certificates_is_seen_alive_and_frozen(
    exporter: tuple[subprocess.Popen[bytes], str], authority: trustme.CA, tmp_path: Path
) -> None:
    process, address = exporter
    folder = certificates(authority, tmp_path)
    deadline = time.monotonic() + 30
    while probe(f"{address}/-/ready", f"--certificates={folder}").returncode != 0:
        assert process.poll() is None
        assert time.monotonic() < deadline

    scraped = probe(f"{address}/metrics", f"--certificates={folder}", "--metric=sendgrid_exporter_build_info")
    shaken = probe(f"{address}/-/healthy", "--handshake")
    process.send_signal(signal.SIGSTOP)
    frozen = probe(f"{address}/-/healthy", "--handshake")

    assert (scraped.returncode, scraped.stdout) == (0, "the exporter answers as it should\n")
    assert (shaken.returncode, frozen.returncode) == (0, 1)
