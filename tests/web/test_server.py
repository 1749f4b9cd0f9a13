import errno
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import bcrypt
import pytest

from exporter.clock import SystemClock
from exporter.errors import ConfigurationError, StartError
from exporter.web.http.listener import inherited, listen_failure, port_holder, shown
from exporter.web.ports import Limits, WebOptions
from exporter.web.server import WebServer
from tests.end_to_end.harness.exchange import free_port
from tests.web.support import (
    PROMPT,
    FakeMetrics,
    FakePorts,
    FakeReloader,
    ask,
    connect,
    eventually,
    get,
    read_answer,
    request,
    running,
)

pytestmark = pytest.mark.e2e


def make(*listen, **options):
    return WebServer(
        WebOptions(listen=tuple(listen), **options), FakePorts().ports(), clock=SystemClock(), limits=Limits()
    )


def test_address_in_use_is_reported_in_a_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(StartError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: the port is in use by "):
            make(("127.0.0.1", 0), ("127.0.0.1", port)).start()


def test_address_that_another_one_of_ours_includes_is_said_to_be_the_reason():
    port = free_port()

    with pytest.raises(StartError) as refused:
        make(("", port), ("127.0.0.1", port)).listen()

    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port}: [::]:{port} of web.listen_address includes it; leave one of them out"
    )


def test_process_that_has_the_port_is_named_for_either_family_of_addresses():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as also,
    ):
        for sock in (taken, also):
            assert re.fullmatch(rf".+ \(process {os.getpid()}\)", port_holder(sock.getsockname()[1]))


def test_process_of_somebody_else_is_not_looked_into(tmp_path):
    assert port_holder(1, tmp_path) == "another process"


@pytest.mark.parametrize(
    ("number", "port", "says"),
    [
        (errno.EADDRNOTAVAIL, 9, "the address is not on this machine; choose one that is, or :9 for all of them"),
        (errno.EACCES, 443, "a port below 1024 takes the right CAP_NET_BIND_SERVICE; choose a higher one"),
        (errno.EACCES, 8443, "permission denied; choose another web.listen_address"),
        (errno.EAFNOSUPPORT, 9, "this machine has no such addresses (is IPv6 switched off?)"),
    ],
)
def test_wrong_address_is_said_in_words_that_fit(number, port, says):
    assert listen_failure(OSError(number, "x"), port).startswith(says)


def test_unknown_name_to_listen_on_is_said_as_such():
    with pytest.raises(StartError, match=r"no address is known for this name; correct web.listen_address"):
        make(("no.such.host.invalid", 0)).start()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())},
    ],
)
def test_flag_for_systemd_without_a_socket_of_systemd_is_a_start_error(environment):
    with pytest.raises(StartError, match=r"--web\.systemd-socket: systemd passed no socket on"):
        inherited(environment)


@pytest.mark.parametrize(
    ("host", "port"), [("no.such.host.invalid", 0), ("127.0.0.1", 70000), (f"{'a' * 70}.invalid", 0)]
)
def test_address_that_cannot_be_had_is_a_start_error(host, port):
    with pytest.raises(StartError, match="cannot listen on"):
        make((host, port)).start()


def test_every_address_is_served():
    with running(listen=(("127.0.0.1", 0), ("127.0.0.1", 0))) as server:
        first, second = server.addresses

        assert first != second
        for host, port in (first, second):
            with socket.create_connection((host, port), timeout=5) as client:
                client.sendall(request("/-/healthy"))
                assert read_answer(client)[0].body == b"ok\n"


def test_empty_host_is_every_interface():
    with running(listen=(("", 0),)) as server:
        port = server.addresses[0][1]
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(request("/-/healthy"))

            assert read_answer(client)[0].body == b"ok\n"


def test_wrong_web_config_file_prevents_the_start(tmp_path):
    file = tmp_path / "web.yml"
    file.write_text("tls_server_confg: {}\n", encoding="utf-8")

    with pytest.raises(ConfigurationError, match="tls_server_config"):
        make(("127.0.0.1", 0), config_file=file).start()


def test_stop_without_start_is_nothing():
    server = make(("127.0.0.1", 0))

    server.stop()

    assert server.failed() is None


def test_stop_lets_a_response_in_hand_end_and_closes_the_idle():
    fakes = FakePorts(FakeMetrics(b"x" * 20_000_000))
    with running(fakes) as server, connect(server) as busy, connect(server) as idle:
        busy.sendall(request())
        assert eventually(lambda: fakes.metrics.taken > 0)
        stopper = threading.Thread(target=server.stop, args=(5.0,))
        stopper.start()

        assert idle.recv(1) == b""
        assert len(read_answer(busy)[0].body) == 20_000_000
        stopper.join(5)
        assert not stopper.is_alive()
        with pytest.raises(ConnectionRefusedError):
            connect(server)
    assert server.failed() is None


def test_stop_cuts_what_does_not_end_in_time():
    held = threading.Event()
    fakes = FakePorts(FakeMetrics(b"x" * 20_000_000), reloader=FakeReloader(act=lambda: held.wait(20)))
    with running(fakes, enable_lifecycle=True) as server, connect(server) as stalled, connect(server) as reloading:
        stalled.sendall(request())
        reloading.sendall(request("/-/reload", "POST"))
        assert eventually(lambda: fakes.reloader.calls == 1 and fakes.metrics.taken > 0)
        begin = time.monotonic()

        server.stop(0.3)

        assert 0.2 < time.monotonic() - begin < PROMPT
        assert reloading.recv(1) == b""
        assert not any(thread.name == "web" for thread in threading.enumerate())
    held.set()


def test_socket_in_the_file_system_is_shown_as_its_path():
    assert [shown("127.0.0.1", 80), shown("::1", 80), shown("", 80), shown("/run/exporter.sock", 0)] == [
        "127.0.0.1:80",
        "[::1]:80",
        ":80",
        "/run/exporter.sock",
    ]


def test_stop_twice_is_as_good_as_once():
    with running() as server:
        server.stop()
        server.stop()

        assert server.failed() is None


def test_dead_server_thread_is_reported():
    class Deadly(FakeMetrics):
        def scrape(self, **_):
            raise SystemExit("gone")

    with running(FakePorts(Deadly())) as server:
        with pytest.raises((EOFError, ConnectionResetError)):
            ask(server, request())

        assert eventually(lambda: isinstance(server.failed(), SystemExit))


DYING = """
import sys
from pathlib import Path
from tests.web.support import connect, login, request, running
with running(config_file=Path(sys.argv[1]), open_health=False) as server:
    client = connect(server)
    for number in range(20):
        client.sendall(request("/", "GET", login("alice", str(number))))
    print("asked", flush=True)
    server.stop(0.0)
client.close()
"""


def test_process_ends_well_within_a_password_check(tmp_path):
    # One check must end within the time that a stop waits for it, on a busy machine too; twenty need not.
    file = tmp_path / "web.yml"
    file.write_text(
        f"basic_auth_users: {{alice: {bcrypt.hashpw(b'x', bcrypt.gensalt(10)).decode()}}}", encoding="utf-8"
    )
    file.chmod(0o600)  # or a warning would stand on stderr

    done = subprocess.run(
        [sys.executable, "-c", DYING, str(file)],
        capture_output=True,
        timeout=20,
        check=False,
        cwd=Path(__file__).parents[2],
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, b"asked\n", b"")


def test_telemetry_path_may_be_the_root():
    with running(telemetry_path="/") as server:
        assert get(server, "/").body == b"clicks 1\n"
        assert get(server, "/metrics").status == 404
