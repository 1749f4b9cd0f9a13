"""Whose certificates the client takes, against real TLS servers on loopback."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from exporter.clock import SystemClock
from exporter.errors import ConnectionFailedError
from exporter.inputs import parse_authorities
from exporter.sendgrid.transport import ClientOptions, Deadline, deadline_adapters
from sendgrid_simulator import Row, Simulator, fixed
from tests.factories import an_id
from tests.sendgrid.test_client_sockets import Asking

pytestmark = pytest.mark.e2e

CLICKS = 3
PATIENCE = 10.0


class Authority(NamedTuple):
    """A certificate that signs others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def signed(name: str, by: Authority | None, *extensions: tuple[x509.ExtensionType, bool]) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return Authority(builder.sign(by.key if by else key, hashes.SHA256()), key)


def authority(name: str = "Root", by: Authority | None = None, *, critical: bool = True) -> Authority:
    return signed(name, by, (x509.BasicConstraints(ca=True, path_length=None), critical))


@contextmanager
def api(issuer: Authority, folder: Path, *chain: Authority, host: str = "127.0.0.1") -> Iterator[Simulator]:
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    server = signed("server", issuer, (address, False))
    pair = folder / "server.pem"
    pair.write_bytes(
        server.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + b"".join(each.pem for each in (server, *chain))
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    rows = (Row("step", "https://example.com/", 0, CLICKS),)
    with Simulator((fixed(an_id(), rows),), rate_limit=0, tls=context) as running:
        yield running


def test_authorities_are_read_once_and_only_by_the_first_connection():
    options = ClientOptions("https://127.0.0.1:9", 1.0, 50, "test", authorities=authority().pem.decode())
    broken = deadline_adapters(replace(options, authorities="no certificate"))
    adapter = deadline_adapters(options)

    contexts = {adapter(Deadline(SystemClock())).poolmanager.connection_pool_kw["ssl_context"] for _ in range(3)}

    assert [each.cert_store_stats()["x509"] for each in contexts] == [1]
    with pytest.raises(ssl.SSLError):
        broken(Deadline(SystemClock()))


def written(folder: Path, content: bytes, name: str = "authorities.pem") -> Path:
    file = folder / name
    file.write_bytes(content)
    return file


def clicks(simulator: Simulator, ca_file: Path | None) -> int:
    asking = Asking(
        simulator.base_url,
        simulator.api_key,
        timeout=PATIENCE,
        authorities=parse_authorities(ca_file.read_bytes()) if ca_file else None,
    )
    try:
        return int(asking.stats(PATIENCE).total_clicks)
    finally:
        asking.client.close()


def refused(simulator: Simulator, ca_file: Path | None) -> str:
    with pytest.raises(ConnectionFailedError) as failed:
        clicks(simulator, ca_file)
    assert simulator.request_count == 0, "the key was sent"
    return str(failed.value)


@pytest.fixture
def as_python_3_13(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every Python's default context check by all rules of RFC 5280, as Python 3.13's does."""
    original = ssl.create_default_context

    def strict(*args, **options) -> ssl.SSLContext:
        context = original(*args, **options)
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


@pytest.mark.usefixtures("as_python_3_13")
def test_authority_whose_basic_constraints_are_not_critical_is_taken_by_every_python(tmp_path):
    """Such authorities, of companies and of TLS-intercepting proxies, work with curl, browsers and Python 3.11."""
    root = authority(critical=False)
    ca_file = written(tmp_path, root.pem)

    strict = ssl.create_default_context(cafile=str(ca_file))
    assert strict.verify_flags & ssl.VERIFY_X509_STRICT
    with api(root, tmp_path) as simulator:
        assert clicks(simulator, ca_file) == CLICKS


@pytest.mark.usefixtures("as_python_3_13")
def test_system_authority_whose_basic_constraints_are_not_critical_is_taken_too(tmp_path, monkeypatch):
    root = authority(critical=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(written(tmp_path, root.pem)))

    with api(root, tmp_path) as simulator:
        assert clicks(simulator, None) == CLICKS


@pytest.mark.usefixtures("as_python_3_13")
def test_relaxed_context_still_refuses_another_name_and_a_foreign_authority(tmp_path):
    root = authority(critical=False)
    ca_file = written(tmp_path, root.pem)

    with api(root, tmp_path, host="127.0.0.2") as simulator:
        assert "certificate" in refused(simulator, ca_file)
    with api(authority("Other"), tmp_path) as simulator:
        assert "certificate" in refused(simulator, ca_file)


def test_issuing_authority_alone_is_enough_on_every_python(tmp_path):
    root = authority()
    issuing = authority("Issuing", root)

    with api(issuing, tmp_path, issuing) as simulator:
        assert clicks(simulator, written(tmp_path, issuing.pem)) == CLICKS


def test_file_is_trusted_instead_of_the_systems_authorities(tmp_path, monkeypatch):
    system = trustme.CA()
    system.cert_pem.write_to_path(str(tmp_path / "system.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    system.issue_cert("127.0.0.1").configure_cert(context)

    with Simulator((fixed(an_id(), ()),), rate_limit=0, tls=context) as simulator:
        assert clicks(simulator, None) == 0
    with Simulator((fixed(an_id(), ()),), rate_limit=0, tls=context) as simulator:
        refused(simulator, written(tmp_path, authority().pem))


@pytest.mark.parametrize("form", ["pem", "der", "commented", "several"])
def test_bundle_is_read_in_the_forms_that_authorities_are_handed_out_in(tmp_path, form):
    root = authority()
    content = {
        "pem": root.pem,
        "der": root.certificate.public_bytes(Encoding.DER),
        "commented": "\ufeff# Wurzel für Müller\n".encode() + root.pem + "# ñ\n".encode("latin-1"),
        "several": authority("Other").pem + root.pem,
    }[form]

    with api(root, tmp_path) as simulator:
        assert clicks(simulator, written(tmp_path, content)) == CLICKS
