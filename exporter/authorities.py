"""Files of certificate authorities: read whole, and refused with a reason when they hold none."""

import ssl
from pathlib import Path
from typing import Final

_LARGEST: Final = 16 * 1024 * 1024
"""A system's bundle takes some 200 KiB."""
_PEM: Final = b"-----BEGIN "

Authorities = str | bytes
"""Certificates in the form that `ssl` takes as `cadata`: PEM as text, DER as bytes."""


def read_authorities(path: Path) -> Authorities:
    """Return the certificates of a PEM or DER file.

    Raise ValueError, with a phrase that follows the file's name, when it cannot be read or holds no certificate.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as exc:
        raise ValueError(f"cannot be read ({exc.strerror or type(exc).__name__})") from None
    if len(content) > _LARGEST:
        raise ValueError(f"is larger than {_LARGEST // 1024 // 1024} MiB, which no bundle of authorities is")
    if _PEM not in content:
        return _checked(content)
    return _checked(content.decode("ascii", "ignore"))  # bundles carry names as comments, in any encoding


def _checked(certificates: Authorities) -> Authorities:
    trial = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if certificates:
            trial.load_verify_locations(cadata=certificates)
    except ssl.SSLError:
        raise ValueError("holds a damaged certificate, or none; a PEM bundle of authorities is needed") from None
    if not trial.cert_store_stats()["x509"]:
        raise ValueError("holds no certificate; a PEM bundle of authorities is needed")
    return certificates
