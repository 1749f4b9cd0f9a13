"""The web config file as it is now: read again when it or a certificate changes, at the price of a stat."""

import logging
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from exporter.web.toolkit.config_file import WebConfig, load
from exporter.web.toolkit.errors import WebConfigError
from exporter.web.toolkit.files import fingerprint
from exporter.web.toolkit.tls import ClientAuth, admits, make_context

_log: Final = logging.getLogger(__name__)

T = TypeVar("T")


class ReloadingConfig:
    """The rules of the web config file; without a path, those of an empty one.

    Raise WebConfigError on construction when they cannot be used. Later the last ones that could be used stay in
    effect, and what is wrong is logged once and reported: a half-written file must neither open what it protects nor
    refuse the scrapes. The toolkit in Go answers every request with 500 until the file is right.
    """

    def __init__(self, path: Path | None, report: Callable[[bool], None] = lambda _: None) -> None:
        """Call `report` with whether the file and its certificates are in effect, whenever that changes."""
        self._path = path
        self._report = report
        self._config: _LastGood[WebConfig] = _LastGood("the web config file")
        self._context: _LastGood[ssl.SSLContext] = _LastGood("the certificate")
        self._usable = True
        self.encrypted = self.current().tls is not None
        """Whether connections are encrypted: decided at start, for a port cannot change its protocol."""
        if self.encrypted:
            self.context()

    def current(self) -> WebConfig:
        """Return the rules in effect."""
        if self._path is None:
            return WebConfig()
        path = self._path
        config = self._config.get((fingerprint(path),), lambda: self._load(path))
        self._report_change()
        return config

    def context(self) -> ssl.SSLContext:
        """Return the TLS context in effect; only where connections are encrypted."""
        tls = self.current().tls
        if tls is None:
            raise WebConfigError(["web.config_file: TLS is not configured"])
        context = self._context.get((tls, *map(fingerprint, tls.files)), lambda: make_context(tls))
        self._report_change()
        return context

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Return whether the client behind a finished handshake may come in."""
        tls = self.current().tls
        return tls is not None and admits(tls, certificate)

    def _load(self, path: Path) -> WebConfig:
        config = load(path)
        former = self._config.value
        if former is not None and (lost := _lost_protection(former, config)):
            raise WebConfigError([f"web.config_file: {lost} needs a restart"])
        for warning in config.warnings:
            _log.warning("web config file: %s", warning)
        return config

    def _report_change(self) -> None:
        usable = not (self._config.problems or self._context.problems)
        if usable != self._usable:
            self._usable = usable
            self._report(usable)


def validate(path: Path) -> tuple[str, ...]:
    """Return warnings about the web config file; raise WebConfigError when it, or a certificate, is wrong."""
    config = load(path)
    if config.tls is not None:
        make_context(config.tls)
    return config.warnings


def _lost_protection(before: WebConfig, after: WebConfig) -> str | None:
    """Return the change that a reload must not make, None where there is none.

    A file that is emptied or cut short while it is written is often valid YAML that lets every client in.
    """
    if (before.tls is None) != (after.tls is None):
        return "tls_server_config: switching TLS on or off"
    if before.users and not after.users:
        return "basic_auth_users: taking out every user"
    if before.tls is None or after.tls is None:
        return None
    if before.tls.client_auth is ClientAuth.REQUIRE_AND_VERIFY is not after.tls.client_auth:
        return "tls_server_config.client_auth_type: no longer requiring client certificates"
    if before.tls.allowed_sans is not None and after.tls.allowed_sans is None:
        return "tls_server_config.client_allowed_sans: taking out the list"
    return None


class _LastGood(Generic[T]):
    """A value made again when its key changes; where that fails, the one before stays and the reason is logged."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._key: tuple[object, ...] | None = None
        self.value: T | None = None
        self.problems: tuple[str, ...] = ()
        """Why the newest one cannot be used; empty where it is in effect."""

    def get(self, key: tuple[object, ...], make: Callable[[], T]) -> T:
        if key != self._key:
            self._renew(key, make)
        if self.value is None:
            raise WebConfigError(self.problems)
        return self.value

    def _renew(self, key: tuple[object, ...], make: Callable[[], T]) -> None:
        try:
            value = make()
        except WebConfigError as exc:
            self._fail(exc.problems)
            # What could not be read may be readable in a moment with the file unchanged; what was read stays wrong.
            self._key = None if isinstance(exc.__cause__, OSError) else key
            return
        if self.value is not None:
            _log.info("%s was %s", self._what, "mended" if self.problems else "read again")
        self._key, self.value, self.problems = key, value, ()

    def _fail(self, problems: tuple[str, ...]) -> None:
        if self.value is not None and problems != self.problems:
            _log.error(
                "%s cannot be used any more, what was loaded before stays in effect until it is mended: %s",
                self._what,
                "; ".join(problems),
            )
        self.problems = problems
