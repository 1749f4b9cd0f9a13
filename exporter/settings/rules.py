"""Rules between settings; each is passed over when a value that it needs has failed already."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exporter.settings.addresses import is_loopback, without_password
from exporter.settings.api_key import FoundKey, oddity
from exporter.settings.automations import Entries
from exporter.settings.catalogue import API_KEY, API_KEY_FILE, AUTOMATIONS, KeyPath
from exporter.settings.document import Document
from exporter.settings.layers import Layers
from exporter.settings.problems import Problem
from exporter.settings.sources import Given
from exporter.settings.values import duration_text
from exporter.web.toolkit.files import exposure

_LEAST: Final = 10.0
_LEAST_ON_LOOPBACK: Final = 1.0
_BASE_URL: Final = ("sendgrid", "base_url")
_PROXY: Final = ("sendgrid", "proxy")
_INTERVAL: Final = ("poll", "interval")
_STALE_AFTER: Final = ("poll", "stale_after")
_STATE: Final = ("state", "path")
_INDEX: Final = ("shard", "index")


@dataclass(frozen=True, slots=True)
class Case:
    """What the rules look at."""

    given: Given
    entries: Entries
    layers: Layers
    failed: frozenset[KeyPath]
    document: Document
    found: FoundKey | None
    """The key that `sendgrid.api_key_file` holds."""
    unusable: str | None
    """Why there is none."""
    demo: bool

    def sound(self, *paths: KeyPath) -> bool:
        """Tell whether none of the keys has failed."""
        return self.failed.isdisjoint(paths)

    def problem(self, path: tuple[str | int, ...], text: str) -> Problem:
        """Return the problem with the place where the value was written."""
        return Problem(path, text, self.layers.origin(path))


def problems(case: Case) -> Iterator[Problem]:
    """Yield everything that is wrong between the settings."""
    for path, text in case.entries.faults:
        yield case.problem(path, text)
    yield from _some_automation(case)
    yield from _key_or_file(case)
    yield from _intervals(case)
    yield from _stale_after(case)
    yield from _state_path(case)
    if case.sound(_INDEX, ("shard", "total")) and case.given.shard.index >= case.given.shard.total:
        yield case.problem(_INDEX, f"must be below shard.total, which is {case.given.shard.total}")


def warnings(case: Case) -> Iterator[str]:
    """Yield what works, but hardly as it was meant."""
    url = case.given.sendgrid.base_url
    if url.startswith("http://") and not is_loopback(url):
        yield str(case.problem(_BASE_URL, "sends the key unencrypted; use https:// outside of tests"))
    proxy = case.given.sendgrid.proxy
    if _PROXY in case.layers.flags.values and proxy and proxy != without_password(proxy):
        yield str(case.problem(_PROXY, "shows its password in the process list; use EXPORTER_SENDGRID__PROXY"))
    if not case.demo:
        yield from _odd_key(case)
        yield from _exposed(case)


def _some_automation(case: Case) -> Iterator[Problem]:
    if case.entries.automations or case.entries.faults or case.demo or not case.sound(AUTOMATIONS):
        return
    if case.sound(("shard", "total")) and case.given.shard.total > 1:
        return
    text = "none to poll; list their ids in the configuration file, or in EXPORTER_AUTOMATIONS with commas"
    yield case.problem(AUTOMATIONS, text)


def _key_or_file(case: Case) -> Iterator[Problem]:
    if case.demo:
        return
    if case.layers.given(API_KEY) and case.layers.given(API_KEY_FILE):
        yield case.problem(API_KEY, f"is given together with {case.layers.origin(API_KEY_FILE)}; keep one of them")
    elif not case.layers.given(API_KEY) and not case.layers.given(API_KEY_FILE) and case.sound(API_KEY):
        yield Problem(API_KEY, "no key; set SENDGRID_API_KEY, or SENDGRID_API_KEY_FILE to the file that holds it")
    if case.unusable is not None:
        yield case.problem(API_KEY_FILE, case.unusable)


def _state_path(case: Case) -> Iterator[Problem]:
    """Names are compared, not files: the state file's disk may hang. What stands in the file is looked at later."""
    others = (
        (case.document.path, "the configuration file"),
        (case.given.sendgrid.api_key_file, "the key file"),
        (case.given.web.config_file, "the web config file"),
    )
    state = case.given.state.path
    same = [what for path, what in others if path and state and Path.cwd() / path == Path.cwd() / state]
    for what in same:
        yield case.problem(_STATE, f"is {what}, which would be overwritten; name another file")


def _odd_key(case: Case) -> Iterator[str]:
    path, key = (API_KEY_FILE, case.found.key) if case.found else (API_KEY, case.given.sendgrid.api_key)
    odd = oddity(key) if key is not None else None
    if odd is not None:
        yield str(case.problem(path, f"the key {odd}; SendGrid answers 401 when it is wrong"))


def _exposed(case: Case) -> Iterator[str]:
    """Yield a warning for each file with a secret that others of this machine may read."""
    file, found = case.given.sendgrid.api_key_file, case.found
    if file and found and (text := exposure(file, found.source.details, group=True)):
        yield str(case.problem(API_KEY_FILE, text))
    path, source = case.document.path, case.document.source
    proxy = str(case.document.values.get(_PROXY))
    secret = API_KEY if API_KEY in case.document.values else _PROXY if "@" in proxy else None
    if path and source and secret and (text := exposure(path, source.details)):
        yield str(case.problem(secret, f"stands in the file, and {text}"))


def _intervals(case: Case) -> Iterator[Problem]:
    near = not case.sound(_BASE_URL) or is_loopback(case.given.sendgrid.base_url)
    least = _LEAST_ON_LOOPBACK if near else _LEAST
    text = f"must be at least {duration_text(least)}"
    if not near:
        text += f" ({duration_text(_LEAST_ON_LOOPBACK)} only where sendgrid.base_url is a loopback address)"
    if case.given.poll.interval < least:
        yield case.problem(_INTERVAL, text)
    for index, automation in zip(case.entries.positions, case.entries.automations, strict=True):
        if automation.interval < least and automation.interval != case.given.poll.interval:
            yield case.problem((*AUTOMATIONS, index, "interval"), text)


def _stale_after(case: Case) -> Iterator[Problem]:
    stale_after = case.given.poll.stale_after
    if stale_after is None or not case.sound(_INTERVAL):
        return
    longest = case.given.poll.interval if not case.entries.automations else 0.0
    name = "poll.interval"
    for index, automation in zip(case.entries.positions, case.entries.automations, strict=True):
        if automation.interval > longest:
            longest = automation.interval
            own = automation.interval != case.given.poll.interval
            name = f"automations[{index}].interval" if own else "poll.interval"
    if stale_after < longest:
        yield case.problem(_STALE_AFTER, f"must be at least {name}, which is {duration_text(longest)}")
