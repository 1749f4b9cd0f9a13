"""Eighty mistakes that people make, through the installed command: the exit status, and one message that says what is
wrong, where, and what to do next. The unknown host name is in `test_doctor`, since a process would ask a real resolver.
"""

import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

import pytest
import trustme

from sendgrid_simulator import Delivery, Fault, Row, Simulator, fixed
from tests.end_to_end.harness.exchange import free_port
from tests.end_to_end.harness.process import run_exporter
from tests.end_to_end.harness.serving import serving
from tests.factories import KEY, an_id

pytestmark = pytest.mark.e2e

ONE: Final = an_id(1)
WRONG, FAILED, FINE = 2, 1, 0
CONFIG: Final = "--config.file=exporter.yaml"
ENOUGH: Final = {"SENDGRID_API_KEY": KEY, "EXPORTER_AUTOMATIONS": ONE}
WITHOUT_KEY: Final = {"EXPORTER_AUTOMATIONS": ONE}
WITHOUT_IDS: Final = {"SENDGRID_API_KEY": KEY}
NOTHING: Final[Mapping[str, str]] = {}
IDS: Final = f"automations: [{ONE}]\n"


@dataclass(frozen=True)
class Mistake:
    """What somebody does, and what the command says to it."""

    name: str
    flags: tuple[str, ...]
    says: tuple[str, ...]
    """Parts of the message, in their order: where, what, the next step."""
    status: int = WRONG
    env: Mapping[str, str] = field(default_factory=lambda: ENOUGH)
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    messages: int = 1


def in_file(name: str, text: str, *says: str, **more: object) -> Mistake:
    """Return a mistake in the configuration file."""
    return Mistake(name, (CONFIG,), ("exporter.yaml", *says), files={"exporter.yaml": text}, env=WITHOUT_IDS, **more)


def value(flag: str, written: str, *says: str) -> Mistake:
    """Return a wrong value of a setting."""
    return Mistake(f"{flag} {written}", (f"--{flag}={written}",), (f"(--{flag}): ", *says))


CONFIGURATION: Final = (
    Mistake(
        "nothing set",
        (),
        ("automations: none to poll", "--doctor", "no key; set SENDGRID_API_KEY"),
        env=NOTHING,
        messages=2,
    ),
    Mistake("no automations", (), ("automations: none to poll", "EXPORTER_AUTOMATIONS", "--doctor"), env=WITHOUT_IDS),
    Mistake(
        "no key", (), ("sendgrid.api_key: no key", "set SENDGRID_API_KEY, or SENDGRID_API_KEY_FILE"), env=WITHOUT_KEY
    ),
    Mistake(
        "empty key", (), ("(SENDGRID_API_KEY): ", "the key is empty"), env={**WITHOUT_KEY, "SENDGRID_API_KEY": " "}
    ),
    Mistake(
        "Bearer",
        (),
        ("(SENDGRID_API_KEY): ", "give the key alone"),
        env={**WITHOUT_KEY, "SENDGRID_API_KEY": f"Bearer {KEY}"},
    ),
    Mistake(
        "key in quotes", (), ("in quotes; give it without them",), env={**WITHOUT_KEY, "SENDGRID_API_KEY": f'"{KEY}"'}
    ),
    Mistake(
        "key and file",
        (),
        ("together with SENDGRID_API_KEY_FILE; keep one",),
        env={**ENOUGH, "SENDGRID_API_KEY_FILE": "key"},
        files={"key": KEY},
    ),
    Mistake(
        "key as a flag",
        (f"--sendgrid.api-key={KEY}",),
        ("(--sendgrid.api-key): ", "process list; set SENDGRID_API_KEY"),
        env=WITHOUT_KEY,
    ),
    Mistake(
        "no key file",
        ("--sendgrid.api-key-file=./key",),
        ("(--sendgrid.api-key-file): ", "cannot read", "No such file", "make it, or correct the path"),
        env=WITHOUT_KEY,
    ),
    Mistake(
        "key file is a folder",
        ("--sendgrid.api-key-file=/tmp",),
        ("cannot read /tmp (Is a directory); name a file in it",),
        env=WITHOUT_KEY,
    ),
    Mistake(
        "empty key file",
        ("--sendgrid.api-key-file=./key",),
        ("is not a key file: the key is empty; put one there",),
        env=WITHOUT_KEY,
        files={"key": "\n"},
    ),
    Mistake(
        "key file of bytes",
        ("--sendgrid.api-key-file=./key",),
        ("it is not UTF-8 text; write the key alone into it",),
        env=WITHOUT_KEY,
        files={"key": b"\xff\xfe\x00"},
    ),
    Mistake(
        "no file",
        ("--config.file=./none.yaml",),
        ("config.file (--config.file): cannot read none.yaml (No such file", "make it, or correct the path"),
        env=NOTHING,
    ),
    Mistake(
        "file is a folder",
        ("--config.file=/tmp",),
        ("config.file (--config.file): cannot read /tmp (Is a directory)",),
        env=NOTHING,
    ),
    in_file("a tab", "poll:\n\tinterval: 5m\n", "line 2, column 1: a tab; indent with spaces"),
    in_file(
        "indentation", f"{IDS}poll:\n  interval: 5m\n concurrency: 4\n", "line 4", "not lined up with the keys above it"
    ),
    in_file(
        "a colon in a name", f"automations:\n- id: {ONE}\n  name: Sale: May\n", "line 3", "put the value in quotes"
    ),
    in_file("unknown key", f"{IDS}poll: {{intervall: 5m}}\n", ":2): no such setting; did you mean poll.interval?"),
    in_file("unknown group", f"{IDS}pol: {{interval: 5m}}\n", ":2): no such setting; did you mean poll"),
    in_file("key twice", f"{IDS}{IDS}", "is given twice, first in line 1"),
    in_file("group and key in one", f"{IDS}poll.interval: 5m\n", ":2): ", "write poll: {interval: …}"),
    in_file("name in place of id", f"automations:\n- {ONE}: Welcome\n", ":2): ", "here are id, name"),
    in_file("home folder", f"{IDS}sendgrid: {{ca_file: ~/ca.pem}}\n", "(No such file", "write the path in full"),
    in_file("a list at the top", f"- {ONE}\n", "must be a mapping of groups, such as poll: {interval: 5m}"),
    in_file("no UUID", "automations: [welcome]\n", ":1): must be an automation's UUID, such as"),
    in_file("id twice", f"automations: [{ONE}, {ONE}]\n", "is listed twice; automations[0] is the same"),
    value("poll.interval", "5 minutes", "must be a duration such as 30s, 5m or 1h30m"),
    value("poll.interval", "1s", "must be at least 10s"),
    value("poll.stale-after", "1m", "must be at least poll.interval, which is 5m"),
    value("poll.concurrency", "0", "must be at least 1"),
    value("sendgrid.page-size", "51", "must be at most 50"),
    value("sendgrid.base-url", "api.sendgrid.com", "must be a URL such as https://api.sendgrid.com"),
    value("sendgrid.base-url", "https://api.sendgrid.com/v3", "must not hold a path"),
    value("sendgrid.proxy", "socks5://proxy:1080", "must be an http:// or https:// proxy; SOCKS is not supported"),
    value("sendgrid.ca-file", "./none.pem", "cannot be read (No such file or directory)"),
    value("web.listen-address", "10154", "must be an address such as :10154"),
    value("web.telemetry-path", "/", "is taken by another page of the exporter; choose another"),
    value("log.level", "verbose", "must be one of debug, info, warning, error"),
    value("log.format", "xml", "must be one of logfmt, json"),
    value("labels.url", "strip_querry", "did you mean strip_query?"),
    value("shard.index", "3", "must be below shard.total, which is 1"),
    value("shard.index", "pod", "POD_NAME does not end in a number"),
    value("poll.interval", "", "is empty; leave it out to get the default"),
    Mistake(
        "authorities of text",
        ("--sendgrid.ca-file=./ca.pem",),
        ("(--sendgrid.ca-file): ", "a PEM bundle of authorities is needed"),
        files={"ca.pem": "x"},
    ),
    Mistake(
        "state is the key",
        ("--state.path=key",),
        ("is the key file, which would be overwritten; name another file",),
        env={**WITHOUT_KEY, "SENDGRID_API_KEY_FILE": "key"},
        files={"key": KEY},
    ),
    Mistake(
        "somebody's file as state",
        ("--check", "--state.path=./notes"),
        ("notes is not a state file of the exporter; name another file",),
        files={"notes": "x" * 200},
    ),
    Mistake(
        "unknown flag",
        ("--poll.intervall=5m",),
        ("(--poll.intervall): no such setting; did you mean --poll.interval?",),
    ),
    Mistake(
        "flag with two dots",
        ("--poll.stale.after=1h",),
        ("argument 1: is not a flag of the exporter", "did you mean --poll.stale-after?"),
    ),
    Mistake("flag for the automations", (f"--automation={ONE}",), ("did you mean --automations?",), env=WITHOUT_IDS),
    Mistake(
        "file without its flag",
        ("exporter.yaml",),
        ("argument 1: is not a flag", "a configuration file after --config.file"),
        env=NOTHING,
    ),
    Mistake("flag without a value", ("--poll.interval",), ("(--poll.interval): needs a value",)),
    Mistake("mode without its dashes", ("check",), ("argument 1: is not a flag; did you mean --check?",)),
    Mistake(
        "dash of a word processor",
        ("\u2014check",),
        ("argument 1: is not a flag; it begins with a typographic dash", "type two hyphens"),
    ),
    Mistake(
        "key under another flag",
        (f"--api-key={KEY}",),
        ("(--api-key): is not accepted as a flag", "set SENDGRID_API_KEY"),
        env=WITHOUT_KEY,
    ),
    Mistake(
        "key in a variable's name",
        (),
        ("environment: a variable that begins with EXPORTER_ is not the name of a setting", "--help"),
        # A shell on the way, as in front of pip's scripts where the path has a space, drops names with a dot.
        env={**ENOUGH, f"EXPORTER_{KEY.replace('.', '_')}": "x"},
    ),
    Mistake(
        "flag as a variable",
        (),
        ("(EXPORTER_DEMO): is a flag, not a variable; write --demo",),
        env={**ENOUGH, "EXPORTER_DEMO": "1"},
    ),
    Mistake("two modes", ("--check", "--once"), ("(--check): cannot be combined with --once; choose one",)),
    Mistake(
        "unknown variable",
        (),
        ("(EXPORTER_POLL_INTERVAL): no such setting; did you mean EXPORTER_POLL__INTERVAL?",),
        env={**ENOUGH, "EXPORTER_POLL_INTERVAL": "5m"},
    ),
    Mistake(
        "no web config file",
        ("--check", "--web.config.file=./none.yaml"),
        ("web.config_file: cannot read none.yaml (No such file or directory); make it, or correct the path",),
    ),
    Mistake(
        "unknown key of the web config",
        ("--check", "--web.config.file=./web.yaml"),
        ("web.config_file: basic_auth_user: unknown key", "did you mean"),
        files={"web.yaml": "basic_auth_user: {}\n"},
    ),
    Mistake(
        "no certificate",
        ("--check", "--web.config.file=./web.yaml"),
        ("none.crt",),
        files={"web.yaml": "tls_server_config: {cert_file: none.crt, key_file: none.key}\n"},
    ),
)

LISTENING: Final = (
    Mistake(
        "another machine's address",
        ("--web.listen-address=192.0.2.1:10154",),
        ("cannot listen on 192.0.2.1:10154", "not on this machine; choose one that is"),
        FAILED,
    ),
    Mistake(
        "no socket of systemd",
        ("--web.systemd-socket",),
        ("--web.systemd-socket: ", "systemd passed no socket on; start the .socket unit"),
        FAILED,
    ),
)

WARNED: Final = (
    Mistake(
        "key of another program",
        ("--check",),
        ("(SENDGRID_API_KEY): ", "does not begin with SG.", "SendGrid answers 401"),
        FINE,
        {**ENOUGH, "SENDGRID_API_KEY": "xoxb-1234567890-abcdef"},
    ),
    Mistake(
        "placeholder",
        ("--check",),
        ("(SENDGRID_API_KEY): ", "looks like a placeholder"),
        FINE,
        {**ENOUGH, "SENDGRID_API_KEY": "SG.your-api-key"},
    ),
    Mistake(
        "half a key",
        ("--check",),
        ("has 40 characters, where SendGrid's keys have 69",),
        FINE,
        {**ENOUGH, "SENDGRID_API_KEY": KEY[:40]},
    ),
    Mistake(
        "whole line as the key",
        ("--check",),
        ("looks like a whole line NAME=key",),
        FINE,
        {**ENOUGH, "SENDGRID_API_KEY": f"SENDGRID_API_KEY={KEY}"},
    ),
    Mistake(
        "path in place of the key",
        ("--check",),
        ("looks like the path of a file; name that in sendgrid.api_key_file",),
        FINE,
        {**ENOUGH, "SENDGRID_API_KEY": "/run/secrets/api-key"},
    ),
    Mistake(
        "JSON in place of the key",
        ("--check",),
        ("looks like JSON; give only the key in it",),
        FINE,
        {**ENOUGH, "SENDGRID_API_KEY": f'{{"key":"{KEY}"}}'},
    ),
    Mistake(
        "setting under SendGrid's name",
        ("--check",),
        ("SENDGRID_BASE_URL: set, but not read here; set EXPORTER_SENDGRID__BASE_URL",),
        FINE,
        {**ENOUGH, "SENDGRID_BASE_URL": "https://api.eu.sendgrid.com"},
    ),
    Mistake(
        "no state folder",
        ("--check", "--state.path=./state/state.db"),
        ("state.path: ", "no directory state; create it: mkdir -p state"),
        FINE,
    ),
    Mistake(
        "key in clear",
        ("--check", "--sendgrid.base-url=http://api.sendgrid.com"),
        ("(--sendgrid.base-url): ", "sends the key unencrypted; use https://"),
        FINE,
    ),
    Mistake(
        "proxy of the shell",
        ("--check",),
        ("HTTPS_PROXY: set, but not read here; set sendgrid.proxy",),
        FINE,
        {**ENOUGH, "HTTPS_PROXY": "http://proxy:3128"},
    ),
)

ANSWERS: Final = (
    (
        "401",
        Fault(status=401, times=None),
        ("(unauthorized): HTTP 401: ", "check that the API key is complete and not revoked"),
    ),
    ("403", Fault(status=403, times=None), ("(forbidden): HTTP 403: ", "give the API key read access to Marketing")),
    (
        "404",
        Fault(status=404, times=None),
        ("(not_found): HTTP 404: ", "check the automation's id"),
    ),
    ("400", Fault(status=400, times=None), ("(bad_request): HTTP 400: ", "SendGrid says")),
    (
        "429 for long",
        Fault(status=429, times=None, headers=(("Retry-After", "3000"),)),
        ("(rate_limited): HTTP 429: ", "if it lasts, lower sendgrid.requests_per_minute"),
    ),
    (
        "redirect",
        Fault(status=302, times=None, headers=(("Location", "https://example.com/login"),)),
        ("HTTP 302: ", "redirects are not followed"),
    ),
    (
        "login page",
        Fault(body=b"<html><title>Log in</title></html>", times=None, headers=(("Content-Type", "text/html"),)),
        ("HTTP 200 with text/html", "whether a proxy answers in SendGrid's place"),
    ),
    (
        "silence",
        Fault(deliver=Delivery.STALL, times=None),
        ("(timeout): ", "if it lasts, raise sendgrid.timeout"),
    ),
    ("not HTTP", Fault(deliver=Delivery.NOT_HTTP, times=None), ("(connection_error): ", "breaks HTTP")),
)


def messages(mistake: Mistake, folder: Path) -> list[str]:
    """Do it in the folder; return the messages, after looking at the exit status."""
    for name, content in mistake.files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        (folder / name).chmod(0o600)
    run = run_exporter(*mistake.flags, env=mistake.env, cwd=folder)
    lines = [line.removeprefix("sendgrid-automation-exporter: ") for line in run.stderr.splitlines()]
    assert run.returncode == mistake.status, lines
    assert KEY not in run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    if mistake.status == WRONG:
        assert lines.pop() == "nothing was started; --help lists every setting"
    return [line for line in lines if not line.startswith("ts=") or "level=info" not in line]


def assert_says(lines: list[str], says: tuple[str, ...], count: int = 1) -> None:
    assert len(lines) == count, lines
    text = "\n".join(lines)
    end = 0
    for part in says:
        assert part in text[end:], f"{part!r} is not in, or not behind the others in {text!r}"
        end = text.index(part, end)


@pytest.mark.parametrize("mistake", [*CONFIGURATION, *LISTENING, *WARNED], ids=lambda mistake: mistake.name)
def test_mistake_is_said_with_its_place_and_the_next_step(mistake: Mistake, tmp_path: Path) -> None:
    assert_says(messages(mistake, tmp_path), mistake.says, mistake.messages)


def test_port_in_use_is_said_with_the_process_that_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        mistake = Mistake("port in use", (f"--web.listen-address={address}",), (), FAILED)

        (line,) = messages(mistake, tmp_path)

    assert re.fullmatch(
        rf"cannot listen on {address}: the port is in use by .+ \(process \d+\); stop it, or choose another port in "
        r"web\.listen_address",
        line,
    )


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator([fixed(ONE, (Row("step", "https://example.com", 0, 1),))], rate_limit=0) as running:
        yield running


def once(base_url: str, key: str, folder: Path, *flags: str) -> list[str]:
    flags = ("--once", f"--sendgrid.base-url={base_url}", "--sendgrid.timeout=0.5s", "--statistics.enabled=no", *flags)
    return messages(Mistake("", flags, (), FAILED, {**ENOUGH, "SENDGRID_API_KEY": key}), folder)


@pytest.mark.parametrize(("fault", "says"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_answer_that_is_none_is_said_with_the_next_step(
    fault: Fault, says: tuple[str, ...], simulator: Simulator, tmp_path: Path
) -> None:
    simulator.fault(fault)

    assert_says(once(simulator.base_url, simulator.api_key, tmp_path), (f"automation {ONE} failed", *says))


def test_port_where_nobody_listens_is_said(tmp_path: Path) -> None:
    lines = once(f"http://127.0.0.1:{free_port()}", KEY, tmp_path)

    assert_says(lines, ("(connection_error): ", "Connection refused; check sendgrid.base_url and sendgrid.proxy"))


def test_proxy_where_nobody_listens_is_said(tmp_path: Path) -> None:
    lines = once("https://api.sendgrid.com", KEY, tmp_path, f"--sendgrid.proxy=http://127.0.0.1:{free_port()}")

    assert_says(lines, ("the proxy: ", "Connection refused; check sendgrid.base_url and sendgrid.proxy"))


class _Refusing(BaseHTTPRequestHandler):
    def do_CONNECT(self) -> None:
        self.send_error(HTTPStatus.PROXY_AUTHENTICATION_REQUIRED)

    def log_message(self, *_: object) -> None:
        pass


def test_proxy_that_wants_a_password_is_said(tmp_path: Path) -> None:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)) as port:
        lines = once("https://api.sendgrid.com", KEY, tmp_path, f"--sendgrid.proxy=http://127.0.0.1:{port}")

    assert_says(lines, ("HTTP 407 to CONNECT: the proxy refused its credentials; check sendgrid.proxy",))


def test_certificate_of_an_unknown_authority_is_said(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Simulator([fixed(ONE, ())], tls=context) as simulator:
        lines = once(simulator.base_url, simulator.api_key, tmp_path)

    assert_says(lines, ("certificate", "name its authority in sendgrid.ca_file"))


def test_tls_to_a_port_without_it_is_said(simulator: Simulator, tmp_path: Path) -> None:
    lines = once(simulator.base_url.replace("http:", "https:"), KEY, tmp_path)

    assert_says(
        lines, ("(connection_error): ", "check that the port of sendgrid.base_url or sendgrid.proxy speaks TLS")
    )


def test_there_are_more_than_forty_mistakes() -> None:
    names = [mistake.name for mistake in (*CONFIGURATION, *LISTENING, *WARNED)] + [name for name, *_ in ANSWERS]

    assert len(set(names)) == len(names) >= 65
