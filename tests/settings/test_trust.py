"""`sendgrid.ca_file`, and what the system's variables of trust and proxies lead to."""

from pathlib import Path

import pytest
import trustme

from exporter.errors import ConfigurationError
from exporter.settings import load

pytestmark = pytest.mark.unit

ONE = "2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c"
ENOUGH = {
    "SENDGRID_API_KEY": "SG.aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "EXPORTER_AUTOMATIONS": ONE,
}
PEM = trustme.CA().cert_pem.bytes()
NEEDED = "a PEM bundle of authorities is needed"


def reported(arguments: list[str], environment: dict[str, str]) -> tuple[str, ...]:
    return load(arguments, {**ENOUGH, **environment}).warnings


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    file = tmp_path / "authorities.pem"
    file.write_bytes(PEM)
    return file


def test_bundle_of_authorities_is_taken(bundle: Path) -> None:
    loaded = load([f"--sendgrid.ca-file={bundle}"], ENOUGH)

    assert loaded.settings is not None
    assert (loaded.settings.sendgrid.ca_file, loaded.warnings) == (bundle, ())
    assert loaded.settings.authorities == PEM.decode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read (No such file or directory); make it, or correct the path"),
        (b"", f"holds no certificate; {NEEDED}"),
        (b"# nothing\n", f"holds a damaged certificate, or none; {NEEDED}"),
        (b"-----BEGIN PRIVATE KEY-----\nMAo=\n", f"holds a damaged certificate, or none; {NEEDED}"),
        (PEM[: len(PEM) // 2], f"holds a damaged certificate, or none; {NEEDED}"),
        (PEM.decode().encode("utf-16"), f"holds a damaged certificate, or none; {NEEDED}"),
        (b"\0" * (16 * 1024 * 1024 + 1), "is larger than 16 MiB, which no bundle of authorities is"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mode", [[], ["--check"]])
def test_file_that_holds_no_authority_is_reported_at_the_start(
    tmp_path: Path, content: bytes | None, reason: str, mode: list[str]
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigurationError) as caught:
        load([*mode, "--sendgrid.ca-file", str(file)], ENOUGH)

    assert caught.value.problems == (f"sendgrid.ca_file (--sendgrid.ca-file): {file} {reason}",)


def test_word_in_the_wrong_place_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(["--sendgrid.ca-file", "SG.secret"], ENOUGH)

    assert "SG.secret" not in str(caught.value.problems)


def test_folder_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load([f"--sendgrid.ca-file={tmp_path}"], ENOUGH)

    assert caught.value.problems == (
        f"sendgrid.ca_file (--sendgrid.ca-file): {tmp_path} cannot be read (Is a directory); name a file in it",
    )


@pytest.mark.parametrize(
    ("variables", "hint"),
    [
        ({"REQUESTS_CA_BUNDLE": "/a"}, "REQUESTS_CA_BUNDLE: set, but not read here; set sendgrid.ca_file to trust"),
        ({"REQUESTS_CA_BUNDLE": "/a", "CURL_CA_BUNDLE": "/b"}, "REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE: set, but not read"),
        ({"HTTPS_PROXY": "http://p"}, "HTTPS_PROXY: set, but not read here; set sendgrid.proxy to go through a proxy"),
        ({"https_proxy": "http://p", "ALL_PROXY": "x"}, "https_proxy, ALL_PROXY: set, but not read here"),
        ({"HTTP_PROXY": "http://u:Marker@p", "NO_PROXY": "localhost,.svc"}, "HTTP_PROXY: set, but not read here"),
        (
            {"SENDGRID_BASE_URL": "https://Marker"},
            "SENDGRID_BASE_URL: set, but not read here; set EXPORTER_SENDGRID__BASE_URL",
        ),
        ({"SSL_CERT_DIR": "/nowhere/certs"}, "SSL_CERT_DIR: /nowhere/certs is not a directory; correct it, or set"),
        ({"SSL_CERT_FILE": "/nowhere.pem"}, "SSL_CERT_FILE: /nowhere.pem cannot be read (No such file or directory)"),
        ({"SSL_CERT_FILE": __file__}, f"SSL_CERT_FILE: {__file__} holds a damaged certificate, or none"),
    ],
)
def test_variable_that_has_no_effect_is_reported_once(variables: dict[str, str], hint: str) -> None:
    (warning,) = reported([], variables)

    assert warning.startswith(hint)
    assert "Marker" not in warning


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        ([], {"HTTPS_PROXY": "", "REQUESTS_CA_BUNDLE": "", "SSL_CERT_FILE": ""}),
        ([], {"HTTPS_PROXY": "http://p", "NO_PROXY": ".internal, sendgrid.com"}),
        ([], {"HTTPS_PROXY": "http://p", "no_proxy": "*"}),
        ([], {"SENDGRID_FROM": "a@b", "SENDGRID_TIMEOUT": "5", "EXPORTER_SENDGRID__TIMEOUT": "5s"}),
        (["--sendgrid.proxy=http://p:1"], {"HTTPS_PROXY": "http://p"}),
        (["--sendgrid.base-url=http://127.0.0.1:1"], {"HTTPS_PROXY": "http://p", "REQUESTS_CA_BUNDLE": "/a"}),
    ],
)
def test_no_hint_where_nothing_is_lost(arguments: list[str], variables: dict[str, str]) -> None:
    assert reported(arguments, variables) == ()


def test_no_hint_beside_a_bundle_of_ones_own(bundle: Path) -> None:
    variables = {"REQUESTS_CA_BUNDLE": "/a", "SSL_CERT_FILE": "/nowhere.pem"}

    assert reported([f"--sendgrid.ca-file={bundle}"], variables) == ()


def test_variable_that_names_authorities_is_no_reason_to_warn(bundle: Path, tmp_path: Path) -> None:
    assert reported([], {"SSL_CERT_FILE": str(bundle), "SSL_CERT_DIR": str(tmp_path)}) == ()


def test_demo_puts_the_bundle_aside_with_a_warning() -> None:
    loaded = load(["--demo", "--sendgrid.ca-file=/nowhere.pem"], {"HTTPS_PROXY": "http://p"})

    assert loaded.warnings == ("sendgrid.ca_file (--sendgrid.ca-file): is not used with --demo",)
