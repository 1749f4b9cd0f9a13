import contextlib
import logging
import os
import socket
import threading
import time

import bcrypt
import pytest

from exporter.errors import ConfigurationError
from exporter.web.server import check_web_config
from exporter.web.toolkit import WebConfigError
from exporter.web.toolkit.config_file import ReloadingConfig, validate
from tests.web.support import PROMPT, FakePorts, ask, connect, eventually, get, login, read_answer, request, running

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def hashed():
    return bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()


@pytest.fixture
def file(tmp_path):
    return tmp_path / "web.yml"


def write(file, text):
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)
    return file


def test_password_opens_every_page_and_nothing_else_does(file, hashed):
    write(file, f"basic_auth_users: {{alice: {hashed}}}")
    with running(config_file=file, enable_lifecycle=True, open_health=False) as server:
        for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/nothing", "/%2D/healthy", "/-%2Fhealthy"):
            refused = get(server, path)
            challenge = 'Basic realm="the-exporter", charset="UTF-8"'
            assert (refused.status, refused.headers["www-authenticate"]) == (401, challenge)
            assert refused.headers["x-content-type-options"] == "nosniff"
            assert get(server, path, login("alice", "right")).status in (200, 404)
            assert get(server, path, login("alice", "wrong")).status == 401
            assert get(server, path, login("bob", "right")).status == 401
        assert ask(server, request("/-/reload", "POST")).status == 401


def test_open_health_needs_no_password(file, hashed):
    write(file, f"basic_auth_users: {{alice: {hashed}}}")
    with running(config_file=file) as server:
        statuses = {
            path: get(server, path).status for path in ("/-/healthy", "/-/ready", "/metrics", "/", "//-/healthy")
        }

    assert statuses == {"/-/healthy": 200, "/-/ready": 200, "/metrics": 401, "/": 401, "//-/healthy": 401}


def test_users_change_with_the_file(file, hashed):
    write(file, f"basic_auth_users: {{alice: {hashed}}}")
    with running(config_file=file) as server:
        assert get(server, "/metrics", login("alice", "right")).status == 200
        write(file, f"basic_auth_users: {{bob: {hashed}}}")

        assert get(server, "/metrics", login("alice", "right")).status == 401
        assert get(server, "/metrics", login("bob", "right")).status == 200


UNUSABLE = {
    "no YAML": "basic_auth_users: [",
    "no hash": "basic_auth_users: {alice: plain}",
    "unknown key": "nope: 1",
    "gone": None,
    "empty": "",
    "comment alone": "# to be continued\n",
    "empty block": "{}",
    "no users": "basic_auth_users:\n",
    "cut before the users": "http_server_config: {headers: {X-Frame-Options: deny}}\n",
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_file_that_cannot_be_used_leaves_what_was_loaded_in_effect(file, hashed, case, caplog):
    good = f"basic_auth_users: {{alice: {hashed}}}"
    write(file, good)
    fakes = FakePorts()
    with running(fakes, config_file=file) as server:
        file.unlink() if UNUSABLE[case] is None else write(file, UNUSABLE[case])
        for path in ("/metrics", "/"):
            assert get(server, path).status == 401
            assert get(server, path, login("alice", "wrong")).status == 401
            assert get(server, path, login("alice", "right")).status == 200
        assert get(server, "/-/healthy").status == 200
        assert fakes.observer.web_config == [False]
        write(file, good + "\n")

        assert get(server, "/metrics", login("alice", "right")).status == 200
        assert fakes.observer.web_config == [False, True]
    messages = [record.getMessage() for record in caplog.records]
    assert sum("stays in effect until it is fixed" in message for message in messages) == 1
    assert hashed not in caplog.text


def test_headers_of_the_file_take_the_place_of_ours(file):
    write(file, "http_server_config: {headers: {X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=60}}")
    with running(config_file=file) as server:
        headers = get(server, "/nothing").headers

    assert headers["x-frame-options"] == "sameorigin"
    assert headers["strict-transport-security"] == "max-age=60"


def test_rate_limit_comes_before_the_password_and_after_health(file, hashed):
    write(file, f"rate_limit: {{interval: 1h, burst: 2}}\nbasic_auth_users: {{alice: {hashed}}}")
    with running(config_file=file) as server:
        statuses = [get(server, "/metrics").status for _ in range(4)]
        health = {get(server, path).status for path in ("/-/healthy", "/-/ready") for _ in range(4)}

    assert statuses == [401, 401, 429, 429]
    assert health == {200}


def test_rate_limit_of_one_address_leaves_others_alone(file):
    write(file, "rate_limit: {interval: 1h, burst: 2}")
    with running(config_file=file) as server:
        own = [get(server).status for _ in range(3)]
        with socket.create_connection(server.addresses[0], timeout=5, source_address=("127.0.0.2", 0)) as other:
            other.sendall(request())
            status = read_answer(other)[0].status

    assert (own, status) == ([200, 200, 429], 200)


def test_failed_logins_are_counted_and_logged_within_a_bound(file, hashed, caplog):
    write(file, f"basic_auth_users: {{alice: {hashed}}}")
    fakes = FakePorts()
    with running(fakes, config_file=file) as server:
        assert get(server).status == 401
        assert get(server, "/metrics", login("alice", "right")).status == 200
        assert fakes.observer.failed_logins == 0
        get(server, "/metrics", login("alice", "hunter2"))
        get(server, "/metrics", login("hunter2", "hunter3"))
        for number in range(50):
            get(server, "/metrics", login("alice", f"hunter{number}"))

        assert fakes.observer.failed_logins == 52
    lines = [record.getMessage() for record in caplog.records if record.name == "exporter.web.handlers"]
    assert lines[:2] == [
        "a login from 127.0.0.1 failed: wrong password for user alice",
        "a login from 127.0.0.1 failed: no such user",
    ]
    assert len(lines) < 10
    assert "hunter" not in caplog.text


def test_flood_of_wrong_passwords_starves_neither_the_right_one_nor_health(file):
    slow = bcrypt.hashpw(b"right", bcrypt.gensalt(11)).decode()
    write(file, f"basic_auth_users: {{alice: {slow}}}")
    with running(config_file=file) as server, contextlib.ExitStack() as stack:
        assert get(server, "/metrics", login("alice", "right")).status == 200
        flood = [stack.enter_context(connect(server)) for _ in range(80)]
        for number, client in enumerate(flood):
            client.sendall(request("/metrics", "GET", login("alice", f"wrong {number}")))
        begin = time.monotonic()

        assert get(server, "/metrics", login("alice", "right")).status == 200
        assert get(server, "/-/healthy").status == 200
        # All checks of the flood take nine seconds on an idle machine, and more on a busy one.
        assert time.monotonic() - begin < PROMPT
        # On a busy machine a check may end before the next password comes, which is then checked too.
        busy = next(answer for answer in (read_answer(client)[0] for client in flood) if answer.status != 401)
        assert (busy.status, busy.headers["retry-after"]) == (503, "1")
        begin = time.monotonic()
        server.stop(0.0)
        assert time.monotonic() - begin < PROMPT
        # The check that runs is not cut short: it takes as long as the machine is busy.
        assert eventually(lambda: not any(thread.name.startswith("web") for thread in threading.enumerate()))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "tls_server_config: {cert_file: a.crt, key_file: a.key}",
            "cert_file: cannot read .*; make it, or correct the path",
        ),
        ("tls_server_config: {cert: nonsense, key: nonsense}", "they are not valid PEM"),
    ],
)
def test_certificate_that_cannot_be_used_is_reported_at_start(file, text, sentence):
    write(file, text)

    for check in (validate, ReloadingConfig):
        with pytest.raises(WebConfigError, match=sentence):
            check(file)
    with pytest.raises(ConfigurationError, match=sentence):
        check_web_config(file)


def test_validation_returns_the_warnings(file):
    assert len(validate(write(file, "http_server_config: {http2: true}"))) == 1


def hang(file):
    """Put a pipe that nobody writes to in the file's place: as long as on a disk that hangs, nothing comes of it."""
    file.unlink()
    os.mkfifo(file)


def test_disk_of_the_web_config_file_that_hangs_stops_no_scrape_and_is_reported(file, hashed, caplog):
    caplog.set_level(logging.INFO)
    write(file, f"basic_auth_users: {{alice: {hashed}}}")
    fakes = FakePorts()
    with running(fakes, config_file=file) as server:
        assert get(server, "/metrics", login("alice", "right")).status == 200
        hang(file)
        begin = time.monotonic()

        statuses = [get(server, "/metrics", *header).status for header in [(login("alice", "right"),), ()] * 10]

        assert time.monotonic() - begin < 2, "only the first of them waits for the disk, and not for long"
        assert statuses == [200, 401] * 10
        assert get(server, "/-/healthy").status == 200
        assert fakes.observer.web_config == [False]
        with file.open("wb") as pipe:
            pipe.write(f"basic_auth_users: {{bob: {hashed}}}".encode())
        assert eventually(lambda: get(server, "/metrics", login("bob", "right")).status == 200)
        begin = time.monotonic()
        server.stop(0.0)
        assert time.monotonic() - begin < PROMPT
    assert fakes.observer.web_config == [False, True]
    assert caplog.text.count("cannot be accessed (does their disk hang?)") == 1
    assert caplog.text.count("can be accessed again") == 1
