"""The `tls_server_config` block by Go's names, as far as Python's OpenSSL can honor them, and the context it makes."""

import contextlib
import enum
import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from exporter.web.toolkit import Section, WebConfigError, nearest
from exporter.web.toolkit.files import read_bounded, why_unread

_KEYS: Final = (
    "cert_file",
    "key_file",
    "cert",
    "key",
    "client_ca_file",
    "client_ca",
    "client_auth_type",
    "client_allowed_sans",
    "min_version",
    "max_version",
    "cipher_suites",
    "prefer_server_cipher_suites",
    "curve_preferences",
)
# Go calls the suites by IANA's names, OpenSSL has its own for those of TLS 1.2.
_TLS12_SUITES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    }
)
_TLS13_SUITES: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
# OpenSSL's name of P-256 is the one of ANSI X9.62, those of P-384 and P-521 are SEC 2's.
_CURVES: Final[Mapping[str, str]] = MappingProxyType(
    {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
)
_VERSIONS: Final[Mapping[str, ssl.TLSVersion]] = MappingProxyType(
    {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
)
_MAX_PEM: Final = 1024 * 1024


class ClientAuth(enum.StrEnum):
    """What is asked of clients, by Go's names."""

    NONE = "NoClientCert"
    REQUEST = "RequestClientCert"
    REQUIRE_ANY = "RequireAnyClientCert"
    VERIFY_IF_GIVEN = "VerifyClientCertIfGiven"
    REQUIRE_AND_VERIFY = "RequireAndVerifyClientCert"


_VERIFY: Final[Mapping[ClientAuth, ssl.VerifyMode]] = MappingProxyType(
    {ClientAuth.VERIFY_IF_GIVEN: ssl.CERT_OPTIONAL, ClientAuth.REQUIRE_AND_VERIFY: ssl.CERT_REQUIRED}
)


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """How connections are encrypted and clients known; certificates as a file's path or as PEM text."""

    cert: Path | str
    key: Path | str = field(repr=False)
    client_ca: Path | str | None = None
    client_auth: ClientAuth = ClientAuth.NONE
    allowed_sans: frozenset[str] | None = None
    """Of a client's certificate, one subject alternative name must be among them; None admits any."""
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ciphers: tuple[str, ...] = ()
    """OpenSSL's names of the TLS 1.2 suites; empty means OpenSSL's choice."""
    server_preference: bool = True
    curve: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read for a handshake."""
        return tuple(item for item in (self.cert, self.key, self.client_ca) if isinstance(item, Path))


def read_tls(block: Section, folder: Path, warnings: list[str]) -> TLSSettings | None:
    """Return the block's settings, None where it is empty; complain of what is wrong or cannot be honored."""
    block.only(_KEYS)
    if not block.keys():
        return None
    cert, key = (_source(block, name, folder) for name in ("cert", "key"))
    client_ca = _source(block, "client_ca", folder)
    for name, source in (("cert", cert), ("key", key)):
        if source is None:
            block.complain("", f"one of {name}_file and {name} is needed")
    auth = _client_auth(block, client_ca is not None, warnings)
    minimum, maximum = _versions(block)
    ciphers, minimum = _ciphers(block, minimum, maximum)
    preference = block.flag("prefer_server_cipher_suites")
    return TLSSettings(
        cert=cert or "",
        key=key or "",
        client_ca=client_ca,
        client_auth=auth,
        allowed_sans=_sans(block, auth),
        minimum=minimum,
        maximum=maximum,
        ciphers=ciphers,
        server_preference=preference is not False,
        curve=_curve(block),
    )


def _source(block: Section, name: str, folder: Path) -> Path | str | None:
    file, inline = block.text(f"{name}_file"), block.text(name)
    if file is not None and inline is not None:
        block.complain("", f"{name}_file and {name} exclude each other; keep one of them")
    return folder / file if file is not None else inline


def _client_auth(block: Section, has_ca: bool, warnings: list[str]) -> ClientAuth:  # noqa: FBT001 - one caller
    name = block.text("client_auth_type") or ClientAuth.NONE.value
    if name == "RequireClientCert":  # An old name that the toolkit still takes.
        name = ClientAuth.REQUIRE_ANY.value
    if name not in set(ClientAuth):
        block.complain("client_auth_type", f"unknown type ({nearest(name, tuple(ClientAuth))})")
        return ClientAuth.NONE
    auth = ClientAuth(name)
    if auth is ClientAuth.REQUIRE_ANY:
        block.complain(
            "client_auth_type",
            "Python's TLS cannot require a certificate without verifying it; "
            "use RequireAndVerifyClientCert with client_ca_file",
        )
    elif auth is ClientAuth.REQUEST:
        warnings.append(
            "tls_server_config.client_auth_type: RequestClientCert lets every client in; no certificate is asked for"
        )
    if has_ca and auth is ClientAuth.NONE:
        block.complain("client_auth_type", "a client CA needs a client_auth_type such as RequireAndVerifyClientCert")
    if auth in _VERIFY and not has_ca:
        # Without one, Go and OpenSSL take the system's CAs: any certificate that a public CA sold would be let in.
        block.complain("client_auth_type", f"{auth} needs client_ca_file or client_ca, the CA of the clients")
    return auth


def _sans(block: Section, auth: ClientAuth) -> frozenset[str] | None:
    names = block.texts("client_allowed_sans")
    if names is None:
        return None
    if auth not in (ClientAuth.REQUIRE_ANY, ClientAuth.REQUIRE_AND_VERIFY):
        block.complain("client_allowed_sans", "this needs client_auth_type RequireAndVerifyClientCert")
    return frozenset(names)


def _versions(block: Section) -> tuple[ssl.TLSVersion, ssl.TLSVersion]:
    minimum = _version(block, "min_version") or ssl.TLSVersion.TLSv1_2
    maximum = _version(block, "max_version") or ssl.TLSVersion.TLSv1_3
    if minimum > maximum:
        block.complain("max_version", "it lies below min_version, so that no client could connect")
    return minimum, maximum


def _version(block: Section, key: str) -> ssl.TLSVersion | None:
    name = block.text(key)
    if name is None or name in _VERSIONS:
        return _VERSIONS[name] if name else None
    if name in ("TLS10", "TLS11"):
        block.complain(key, "OpenSSL refuses TLS 1.0 and 1.1 at its default security level; use TLS12 or TLS13")
    else:
        block.complain(key, f"unknown version ({nearest(name, tuple(_VERSIONS))})")
    return None


def _ciphers(
    block: Section, minimum: ssl.TLSVersion, maximum: ssl.TLSVersion
) -> tuple[tuple[str, ...], ssl.TLSVersion]:
    names = block.texts("cipher_suites") or ()
    known = (*_TLS12_SUITES, *_TLS13_SUITES)
    for name in names:
        if name not in known:
            block.complain("cipher_suites", f"{name[:60]} is not among Go's secure suites ({nearest(name, known)})")
    ciphers = tuple(_TLS12_SUITES[name] for name in names if name in _TLS12_SUITES)
    if names and not ciphers:
        # As in Go, suites of TLS 1.3 are not a matter of choice; naming only these leaves TLS 1.2 without any.
        if maximum < ssl.TLSVersion.TLSv1_3:
            block.complain("cipher_suites", "none of them belongs to TLS 1.2, the highest version that is allowed")
        return (), ssl.TLSVersion.TLSv1_3
    return ciphers, minimum


def _curve(block: Section) -> str | None:
    names = block.texts("curve_preferences") or ()
    for name in names:
        if name not in _CURVES:
            block.complain("curve_preferences", f"{name[:60]} is not known ({nearest(name, tuple(_CURVES))})")
    if len(names) > 1:
        block.complain("curve_preferences", "Python's TLS can be held to one curve only; name one, or none for all")
    return _CURVES.get(names[0]) if names else None


def make_context(settings: TLSSettings) -> ssl.SSLContext:
    """Return the context for handshakes by these settings, certificates read now.

    Raise WebConfigError when a certificate, key or CA cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.minimum
    context.maximum_version = settings.maximum
    if settings.ciphers:
        context.set_ciphers(":".join(settings.ciphers))
    if not settings.server_preference:
        # Python sets the option by default, as Go's toolkit does, so that only false has to change anything.
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.curve is not None:
        context.set_ecdh_curve(settings.curve)
    _load_certificate(context, settings)
    _load_client_ca(context, settings)
    return context


def admits(settings: TLSSettings, certificate: Mapping[str, Any] | None) -> bool:
    """Return whether a client with this verified certificate is admitted, as far as its names decide."""
    if settings.allowed_sans is None:
        return True
    names = (certificate or {}).get("subjectAltName", ())
    return any(_san(kind, value) in settings.allowed_sans for kind, value in names)


def _san(kind: str, value: str) -> str:
    if kind != "IP Address":
        return value
    try:
        # OpenSSL writes IPv6 in full and in capitals; the list is written the short way, as Go writes it.
        return str(ipaddress.ip_address(value))
    except ValueError:
        return value


def _load_certificate(context: ssl.SSLContext, settings: TLSSettings) -> None:
    cert, key = _pem(settings.cert, "cert"), _pem(settings.key, "key")
    try:
        with _as_file(cert) as cert_path, _as_file(key) as key_path:
            # Without a password, OpenSSL would ask for one on the terminal.
            context.load_cert_chain(cert_path, key_path, password="")
    except ssl.SSLError as exc:
        reason = "they do not belong together" if exc.reason == "KEY_VALUES_MISMATCH" else "they are not valid PEM"
        raise _problem(f"cert and key cannot be used: {reason} (an encrypted key cannot be read)") from None
    except OSError as exc:
        raise _problem(f"cert and key cannot be loaded: {(exc.strerror or str(exc)).lower()}") from exc


def _load_client_ca(context: ssl.SSLContext, settings: TLSSettings) -> None:
    context.verify_mode = _VERIFY.get(settings.client_auth, ssl.CERT_NONE)
    if context.verify_mode is ssl.CERT_NONE or settings.client_ca is None:
        return
    # As in Go, every certificate of the file is an anchor: an issuing CA is enough, its root need not stand there.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=_pem(settings.client_ca, "client_ca").decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise _problem("client_ca holds no certificate that can be used") from None


def _pem(source: Path | str, name: str) -> bytes:
    if isinstance(source, str):
        return source.encode(errors="replace")
    try:
        return read_bounded(source, _MAX_PEM).content
    except OSError as exc:
        raise _problem(f"{name}_file: cannot read {source} {why_unread(source, exc)}") from exc


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    # OpenSSL through Python reads certificates from files only; this one lives in memory, where no disk keeps the key.
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        # Opened by this path the file is read from its beginning, whatever the offset of the descriptor is.
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _problem(sentence: str) -> WebConfigError:
    return WebConfigError([f"web.config_file: tls_server_config.{sentence}"])
