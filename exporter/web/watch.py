"""The web config file as it is now: read again when it or a certificate changes, at the price of a stat."""

import logging
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any, Final, Generic, TypeVar

from exporter.errors import ConfigurationError
from exporter.web.config_file import WebConfig, load
from exporter.web.tls import admits, make_context

_LOG: Final = logging.getLogger(__name__)

T = TypeVar("T")
_Signature = tuple[int, ...] | None


class ConfigFile:
    """The rules of the web config file; without a path, those of an empty one.

    Raise ConfigurationError on construction when they cannot be used; later, wherever they are asked for.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._config: _Kept[WebConfig] = _Kept("the web config file")
        self._context: _Kept[ssl.SSLContext] = _Kept("the certificate")
        self._last_good = WebConfig()
        self.encrypted = False
        """Whether connections are encrypted: decided at start, for a port cannot change its protocol."""
        self.encrypted = self.current().tls is not None
        if self.encrypted:
            self.context()

    def current(self) -> WebConfig:
        """Return the rules of this moment."""
        if self._path is not None:
            path = self._path
            self._last_good = self._config.get((_signature(path),), lambda: self._load(path))
        return self._last_good

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of this moment.

        With a broken config file it is the last one that was good, so that clients can be told (every request is
        refused then); with a broken certificate there is none.
        """
        try:
            tls = self.current().tls
        except ConfigurationError:
            tls = self._last_good.tls
        if tls is None:
            raise ConfigurationError(["web.config_file: TLS is not configured"])
        signatures = tuple(map(_signature, tls.files))
        return self._context.get((tls, *signatures), lambda: make_context(tls))

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Tell whether the client behind a finished handshake may come in."""
        tls = self._last_good.tls
        return tls is not None and admits(tls, certificate)

    def _load(self, path: Path) -> WebConfig:
        config = load(path)
        if self._config.loaded and (config.tls is not None) != self.encrypted:
            raise ConfigurationError(["web.config_file: tls_server_config: switching TLS on or off needs a restart"])
        for warning in config.warnings:
            _LOG.warning("web config file: %s", warning)
        return config


def validate(path: Path) -> tuple[str, ...]:
    """Return warnings about the web config file; raise ConfigurationError when it, or a certificate, is wrong."""
    config = load(path)
    if config.tls is not None:
        make_context(config.tls)
    return config.warnings


class _Kept(Generic[T]):
    """A value made again when its key changes; a failure is kept like a value, and told once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._key: tuple[object, ...] | None = None
        self._value: T | None = None
        self._problems: tuple[str, ...] = ()
        self.loaded = False

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        if key != self._key:
            self._renew(key, make)
        if self._value is None:
            raise ConfigurationError(self._problems)
        return self._value

    def _renew(self, key: tuple[object, ...], make: Callable[[], T]) -> None:
        try:
            value = make()
        except ConfigurationError as exc:
            self._fail(exc.problems)
            # What could not be read may be readable in a moment with the file unchanged; what was read stays wrong.
            self._key = None if isinstance(exc.__cause__, OSError) else key
            return
        if self.loaded:
            _LOG.info("%s was %s", self._what, "mended" if self._problems else "read again")
        self._key, self._value, self._problems, self.loaded = key, value, (), True

    def _fail(self, problems: tuple[str, ...]) -> None:
        if self.loaded and problems != self._problems:
            _LOG.error(
                "%s cannot be used any more, clients are refused until it is mended: %s",
                self._what,
                "; ".join(problems),
            )
        self._value, self._problems = None, problems


def _signature(path: Path) -> _Signature:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    if not S_ISREG(stat.st_mode):
        return (stat.st_dev, stat.st_ino)  # a pipe gives its content once, and its times change by that
    return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
