import contextlib
import os
import ssl
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.web.toolkit import WebConfigError
from exporter.web.toolkit.config_file import RateLimitRule, WebConfig, load, parse
from exporter.web.toolkit.tls import ClientAuth

pytestmark = pytest.mark.unit

HASH = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
FOLDER = Path("/etc/exporter")
PAIR = "  cert_file: a.crt\n  key_file: a.key\n"


def problems(text):
    with pytest.raises(WebConfigError) as caught:
        parse(text, FOLDER)
    assert all(problem.startswith("web.config_file: ") for problem in caught.value.problems)
    return [problem.removeprefix("web.config_file: ") for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text", ["", "\n# nothing\n", "{}", "null", "~", "tls_server_config:\nbasic_auth_users: {}\nrate_limit: ~\n"]
)
def test_empty_file_asks_for_nothing(text):
    assert parse(text, FOLDER) == WebConfig(users={})


def test_everything_that_can_be_said_is_read():
    config = parse(
        f"""
tls_server_config:
  cert_file: a.crt
  key_file: /else/where/a.key
  client_ca_file: ca.crt
  client_auth_type: RequireAndVerifyClientCert
  client_allowed_sans: [one, "two"]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: no
  curve_preferences: [CurveP256]
http_server_config:
  http2: false
  headers:
    X-Frame-Options: sameorigin
    X-XSS-Protection: 0
    Strict-Transport-Security: max-age=31536000; includeSubDomains
    Content-Security-Policy: ""
basic_auth_users:
  alice: {HASH}
  123: {HASH.replace("$2y$", "$2a$")}
  "jürgen": "{HASH.replace("$2y$", "$2b$")}"
rate_limit:
  interval: 1m0.5s
  burst: 20
""",
        FOLDER,
    )

    assert config.tls is not None
    assert config.tls.files == (FOLDER / "a.crt", Path("/else/where/a.key"), FOLDER / "ca.crt")
    assert config.tls.client_auth is ClientAuth.REQUIRE_AND_VERIFY
    assert config.tls.allowed_sans == {"one", "two"}
    assert config.tls.ciphers == ("ECDHE-RSA-AES128-GCM-SHA256",)
    assert (config.tls.server_preference, config.tls.curve) == (False, "prime256v1")
    assert config.headers == (
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
        ("X-Frame-Options", "sameorigin"),
        ("X-XSS-Protection", "0"),
    )
    assert set(config.users) == {b"alice", b"123", "jürgen".encode()}
    assert config.rate_limit == RateLimitRule(60.5, 20)
    assert config.warnings == ()


def test_secrets_do_not_show_in_the_configurations_text():
    config = parse(f"tls_server_config: {{cert: certificate, key: secretkey}}\nbasic_auth_users: {{a: {HASH}}}", FOLDER)

    assert "secretkey" not in repr(config)
    assert HASH[10:] not in repr(config)


@pytest.mark.parametrize(
    ("text", "interval"),
    [("1s", 1.0), ("500ms", 0.5), ("1h", 3600.0), ("1.5m", 90.0), ("2us", 2e-6), ("3µs", 3e-6), ("7ns", 7e-9)],
)
def test_interval_is_a_duration(text, interval):
    config = parse(f"rate_limit: {{interval: {text}, burst: 1}}", FOLDER)

    assert config.rate_limit is not None
    assert config.rate_limit.interval == pytest.approx(interval)


@pytest.mark.parametrize("text", ["0", "0s", "0ms"])
def test_interval_of_zero_switches_the_limit_off(text):
    assert parse(f"rate_limit: {{interval: {text}, burst: 5}}", FOLDER).rate_limit is None


TLS = f"tls_server_config:\n{PAIR}  "
WRONG = {
    "- a": "a block of keys and values is needed here",
    "text": "a block of keys and values is needed here",
    "a: [": "line 1, column 5: this is not valid YAML",
    "a: b: c": "line 1, column 5: this is not valid YAML",
    "a: *nowhere": "line 1, column 4: this is not valid YAML",
    "a: 1\n---\nb: 2": "this is not valid YAML",
    "&a [*a]": "this is not valid YAML",
    "\x00": "this is not valid YAML",
    "[" * 1200: "this is not valid YAML",
    "{[1]: 2}": "a key must be plain text",
    f"basic_auth_users:\n  a: {HASH}\n  a: {HASH}": "line 3: the key is given a second time",
    "rate_limit: {}\nrate_limit: {}": "line 2: the key is given a second time",
    "tls_server_confg: {}": "tls_server_confg: unknown key (did you mean tls_server_config?)",
    '"x\\ty\\u2028\\e[1mz": 1': r"x\ty\u2028\x1b[1mz: unknown key",
    "xyz: 1": "xyz: unknown key (known are tls_server_config,",
    "tls_server_config: {certfile: a}": "tls_server_config.certfile: unknown key (did you mean cert_file?)",
    "tls_server_config: [a]": "tls_server_config: a block of keys and values is needed here",
    "tls_server_config: {min_version: TLS12}": "tls_server_config: one of cert_file and cert is needed",
    "tls_server_config: {cert_file: a}": "tls_server_config: one of key_file and key is needed",
    "tls_server_config: {cert_file: [a], key_file: b}": "tls_server_config.cert_file: a single text is needed here",
    f"{TLS}cert: x": "tls_server_config: cert_file and cert exclude each other",
    f"{TLS}client_ca: x\n  client_ca_file: y": "client_ca_file and client_ca exclude each other",
    f"{TLS}client_ca_file: y": "a client CA needs a client_auth_type",
    f"{TLS}client_auth_type: RequireClientCrt": "did you mean Require",
    f"{TLS}client_auth_type: RequireAnyClientCert": "cannot require a certificate",
    f"{TLS}client_auth_type: RequireClientCert": "cannot require a certificate",
    f"{TLS}client_allowed_sans: [a]": "this needs client_auth_type RequireAndVerifyClientCert",
    f"{TLS}client_allowed_sans: a": "a list of texts is needed here",
    f"{TLS}min_version: TLS10": "min_version: OpenSSL refuses TLS 1.0 and 1.1",
    f"{TLS}max_version: TLS11": "max_version: OpenSSL refuses TLS 1.0 and 1.1",
    f"{TLS}min_version: TLS1.2": "did you mean TLS12?",
    f"{TLS}min_version: TLS13\n  max_version: TLS12": "it lies below min_version",
    f"{TLS}cipher_suites: [TLS_RSA_WITH_AES_128_GCM_SHA256]": "is not among Go's secure suites",
    f"{TLS}max_version: TLS12\n  cipher_suites: [TLS_AES_128_GCM_SHA256]": "none of them belongs to TLS 1.2",
    f"{TLS}curve_preferences: [X25519, CurveP256]": "can be held to one curve only",
    f"{TLS}curve_preferences: [Curve256]": "Curve256 is not known (did you mean CurveP256?)",
    f"{TLS}prefer_server_cipher_suites: maybe": "true or false is needed here",
    "http_server_config: {http3: true}": "http_server_config.http3: unknown key (did you mean http2?)",
    "http_server_config: {headers: {Server: x}}": "http_server_config.headers.Server: unknown key",
    "http_server_config: {headers: {x-frame-options: deny}}": "did you mean X-Frame-Options?",
    "http_server_config: {headers: {X-Frame-Options: DENY}}": "only deny or sameorigin can stand here",
    "http_server_config: {headers: {X-Content-Type-Options: sniff}}": "only nosniff can stand here",
    'http_server_config: {headers: {X-XSS-Protection: "1\\r\\nA: b"}}': "only printable ASCII characters",
    'http_server_config: {headers: {Content-Security-Policy: "\\u00e9"}}': "only printable ASCII characters",
    "basic_auth_users: {alice: password}": "basic_auth_users.alice: a bcrypt hash is needed here",
    "basic_auth_users: {alice: }": "basic_auth_users.alice: a bcrypt hash is needed here",
    f"basic_auth_users: {{alice: {HASH}x}}": "basic_auth_users.alice: a bcrypt hash is needed here",
    f"basic_auth_users: {{alice: {HASH.replace('2y', '2x')}}}": "basic_auth_users.alice: a bcrypt hash is needed here",
    f"basic_auth_users: {{alice: {HASH.replace('$10$', '$03$')}}}": "the hash's cost must lie between 4 and 14",
    f"basic_auth_users: {{alice: {HASH.replace('$10$', '$31$')}}}": "the hash's cost must lie between 4 and 14",
    f'basic_auth_users: {{"a:b": {HASH}}}': "basic_auth_users.a:b: a user name cannot hold a colon",
    "basic_auth_users: [alice]": "basic_auth_users: a block of keys and values is needed here",
    "rate_limit: {interval: 1, burst: 1}": "rate_limit.interval: a duration such as",
    "rate_limit: {interval: -1s, burst: 1}": "rate_limit.interval: a duration such as",
    "rate_limit: {interval: 1s 2, burst: 1}": "rate_limit.interval: a duration such as",
    "rate_limit: {interval: 1s}": "rate_limit.burst: at least 1 is needed",
    "rate_limit: {interval: 1s, burst: 0}": "rate_limit.burst: at least 1 is needed",
    "rate_limit: {interval: 0, burst: many}": "rate_limit.burst: a whole number is needed here",
}  # fmt: skip


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:60])
def test_wrong_file_is_reported_with_its_place(text):
    told = problems(text)

    assert any(WRONG[text] in problem for problem in told), told
    assert all(HASH[10:] not in problem for problem in told)


def test_every_problem_is_reported_at_once():
    told = problems("tls_server_config: {cert_file: a, min_version: x}\nbasic_auth_users: {a: b, c: d}\nnope: 1")

    assert len(told) == 5


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("http_server_config: {http2: true}", "http_server_config.http2: HTTP/2 is not offered"),
        (
            f"{TLS}client_auth_type: RequestClientCert",
            "tls_server_config.client_auth_type: Request",
        ),
    ],
)
def test_what_does_nothing_here_is_warned_of(text, warning):
    (told,) = parse(text, FOLDER).warnings

    assert told.startswith(warning)


def test_suites_of_tls_1_3_alone_leave_only_tls_1_3():
    config = parse(f"{TLS}cipher_suites: [TLS_AES_256_GCM_SHA384]", FOLDER)

    assert config.tls is not None
    assert (config.tls.minimum, config.tls.ciphers) == (ssl.TLSVersion.TLSv1_3, ())


def test_file_is_read_with_its_folder(tmp_path):
    file = tmp_path / "web.yml"
    file.write_text(f"\ufefftls_server_config:\n{PAIR}", encoding="utf-8")

    tls = load(file).tls

    assert tls is not None
    assert tls.files == (tmp_path / "a.crt", tmp_path / "a.key")


@pytest.mark.parametrize(
    ("text", "warnings"),
    [
        (f"basic_auth_users: {{a: {HASH}}}", 1),
        ("tls_server_config: {cert: a, key: b}", 1),
        (f"tls_server_config:\n{PAIR}", 0),
    ],
)
def test_file_with_secrets_that_others_may_read_is_warned_of(tmp_path, text, warnings):
    file = tmp_path / "web.yml"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o644)

    assert [warning for warning in load(file).warnings if "open to others" in warning] == list(load(file).warnings)
    assert len(load(file).warnings) == warnings
    file.chmod(0o600)
    assert load(file).warnings == ()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"cannot read .* \(No such file or directory\); make it, or correct the path"),
        (b"\xff\xfe", "line 1, column 1: .*bytes that are not UTF-8; save the file as UTF-8"),
        (b"#" * 300_000, "is larger than 262144 bytes"),
    ],
)
def test_file_that_cannot_be_read_is_a_problem(tmp_path, content, sentence):
    file = tmp_path / "web.yml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(WebConfigError, match=sentence):
        load(file)


def test_path_that_is_none_is_a_problem():
    with pytest.raises(WebConfigError, match="cannot read"):
        load(Path("a\0b"))


@given(st.text())
def test_no_text_is_too_strange(text):
    with contextlib.suppress(WebConfigError):
        assert parse(text, FOLDER).tls is None


@pytest.mark.parametrize(
    ("content", "mode", "warned"),
    [
        ("basic_auth_users: {a: %s}", 0o644, True),
        ("basic_auth_users: {a: %s}", 0o640, False),
        ("http_server_config: {headers: {X-Frame-Options: deny}} # %s", 0o644, False),
    ],
)
def test_file_with_users_that_everybody_may_read_is_reported(tmp_path, content, mode, warned):
    file = tmp_path / "web.yml"
    file.write_text(content % HASH)
    file.chmod(mode)

    expected = f"{file} is open to others (mode 0644); close it with: chmod 600 {file}"
    assert load(file).warnings == ((expected,) if warned else ())


def test_file_that_is_a_pipe_is_read(tmp_path):
    fifo = tmp_path / "web.yml"
    os.mkfifo(fifo)
    threading.Thread(target=fifo.write_text, args=("rate_limit: {interval: 1s, burst: 5}",)).start()

    assert load(fifo).rate_limit == RateLimitRule(1.0, 5)
