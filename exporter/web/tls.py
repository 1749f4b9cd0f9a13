"""TLS settings turned into what a handshake needs."""

import contextlib
import ipaddress
import os
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from exporter.errors import ConfigurationError
from exporter.web.tls_settings import ClientAuth, TLSSettings

_MAX_PEM: Final = 1024 * 1024
_VERIFY: Final[Mapping[ClientAuth, ssl.VerifyMode]] = {
    ClientAuth.VERIFY_IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientAuth.REQUIRE_AND_VERIFY: ssl.CERT_REQUIRED,
}


def make_context(settings: TLSSettings) -> ssl.SSLContext:
    """Return the context for handshakes by these settings, certificates read now.

    Raise ConfigurationError when a certificate, key or CA cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.minimum
    context.maximum_version = settings.maximum
    if settings.ciphers:
        context.set_ciphers(":".join(settings.ciphers))
    if not settings.server_preference:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if settings.curve is not None:
        context.set_ecdh_curve(settings.curve)
    _load_certificate(context, settings)
    _load_client_ca(context, settings)
    return context


def admits(settings: TLSSettings, certificate: Mapping[str, Any] | None) -> bool:
    """Tell whether a client with this verified certificate may come in, as far as its names decide."""
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
    mode = _VERIFY.get(settings.client_auth, ssl.CERT_NONE)
    context.verify_mode = mode
    if mode is ssl.CERT_NONE:
        return
    if settings.client_ca is None:
        context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        return
    try:
        context.load_verify_locations(cadata=_pem(settings.client_ca, "client_ca").decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise _problem("client_ca holds no certificate that can be used") from None


def _pem(source: Path | str, name: str) -> bytes:
    if isinstance(source, str):
        return source.encode(errors="replace")
    try:
        with source.open("rb") as file:
            return file.read(_MAX_PEM)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise _problem(f"{name}_file: cannot read {source}: {reason.lower()}") from exc


@contextlib.contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    # OpenSSL through Python reads certificates from files only; this one lives in memory, where no disk keeps the key.
    descriptor = os.memfd_create("pem", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _problem(sentence: str) -> ConfigurationError:
    return ConfigurationError([f"web.config_file: tls_server_config.{sentence}"])
