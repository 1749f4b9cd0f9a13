"""Files of certificate authorities: read whole, and refused with a reason when they hold none."""

import ssl
from typing import Final

LARGEST_BUNDLE: Final = 16 * 1024 * 1024
"""Bytes of a file of authorities; a system's bundle takes some 200 KiB."""
_PEM: Final = b"-----BEGIN "

Authorities = str | bytes
"""Certificates in the form that `ssl` takes as `cadata`: PEM as text, DER as bytes."""


def parse_authorities(content: bytes) -> Authorities:
    """Return the certificates of a PEM or DER file.

    Raise ValueError, with a phrase that follows the file's name, when there is none, or more than LARGEST_BUNDLE.
    """
    if len(content) > LARGEST_BUNDLE:
        raise ValueError(f"is larger than {LARGEST_BUNDLE // 1024 // 1024} MiB, which no bundle of authorities is")
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
