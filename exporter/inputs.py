"""The files and pipes of the configuration, certificate authorities included, each read once."""

import errno
import os
import ssl
from pathlib import Path
from typing import Final

from exporter.clock import Clock, SystemClock
from exporter.web.toolkit.files import Input, read_bounded

LARGEST_BUNDLE: Final = 16 * 1024 * 1024
"""Bytes of a file of authorities; a system's bundle takes some 200 KiB."""
_PEM: Final = b"-----BEGIN "


class Inputs:
    """Reads what a run is configured by, and remembers the pipes: they give their content only once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._drained: set[tuple[int, int]] = set()

    def read(self, path: Path, at_most: int) -> Input:
        """Return the content; raise OSError, also for a pipe that was read before or that gives nothing in time."""
        return read_bounded(path, at_most, monotonic=self._clock.monotonic, accept=self._accept)

    def _accept(self, details: os.stat_result, once: bool) -> None:  # noqa: FBT001  # the reader's callback
        identity = (details.st_dev, details.st_ino)
        if once and identity in self._drained:
            raise OSError(errno.ESPIPE, "a pipe can be read only once, at the start; a reload needs a file")
        if once:
            self._drained.add(identity)


def read_input(path: Path, at_most: int) -> Input:
    """Return the content of a file that may be read again at any time; raise OSError."""
    return Inputs(SystemClock()).read(path, at_most)


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
