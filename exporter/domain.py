"""The values that travel through the exporter: frozen, without I/O."""

import re
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import Final, NamedTuple, NewType
from urllib.parse import quote

AutomationId = NewType("AutomationId", str)
"""A SendGrid automation's UUID, written as in the configuration."""

Fingerprint = Sequence[int]
"""Hashes of the pages that were read, in their order; empty where they do not stand for what was read."""

OVERFLOW_URL: Final = "__other__"
"""The `url` of the row that stands for the links beyond `labels.max_links`."""
ID_PLACEHOLDER: Final = "{automation_id}"
"""Stands for an automation's id in `sendgrid.app_url`."""

_DAY: Final = 86400.0
_SPACING: Final = 3300.0
"""Seconds between two totals that are kept: a poll each hour, a little early now and then, keeps every one."""
_ABOUT_A_DAY: Final = _DAY + 7200.0
_KEY: Final = itemgetter(0, 1, 2)
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UUID_IN_TEXT: Final = re.compile(rf"(/automations?/)?(?<![0-9a-zA-Z-])({_UUID.pattern})(?![0-9a-zA-Z-])")
_NOT_IN_A_LABEL: Final = re.compile(r"[^a-zA-Z0-9_]")


class Outcome(StrEnum):
    """The outcome of one poll of one automation; the `outcome` label of `sendgrid_exporter_polls_total`."""

    SUCCESS = "success"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION_ERROR = "connection_error"
    INVALID_RESPONSE = "invalid_response"
    INCOMPLETE = "incomplete"
    INTERNAL_ERROR = "internal_error"


class DiscoveryMode(StrEnum):
    """What becomes of automations that the account has and the configuration does not list."""

    OFF = "off"
    REPORT = "report"
    POLL = "poll"


class Standing(StrEnum):
    """How an automation of the account stands; the `state` label of `sendgrid_exporter_discovered_automations`."""

    POLLED = "polled"
    IDLE = "idle"
    EXCLUDED = "excluded"
    UNWATCHED = "unwatched"
    """Nobody polls it, since discovery only reports."""
    OVER_CAP = "over_cap"


class Endpoint(StrEnum):
    """What is asked of SendGrid; the `endpoint` label of the metrics of requests. SendGrid limits each by itself."""

    LINKS = "links"
    STATISTICS = "statistics"
    """The list of automations, with the statistics of each."""
    STEP_STATISTICS = "step_statistics"
    """The statistics of one automation by step."""
    SCOPES = "scopes"


@dataclass(frozen=True, slots=True)
class Automation:
    """An automation to poll, as configured."""

    id: AutomationId
    name: str
    """The configured name, else the id: SendGrid publishes no name."""
    interval: float
    """Seconds between two polls, as configured."""
    step_ids: tuple[str, ...] = ()
    """Only these steps are asked for; empty means all."""
    steps: tuple[tuple[str, str], ...] = ()
    """Ids of steps, each once, and their names."""
    labels: tuple[tuple[str, str], ...] = ()
    """Names and values of its owner's labels; no two names have the same `label_name`."""


class LinkClicks(NamedTuple):
    """The clicks so far on one link, keyed by everything but `clicks`."""

    step_id: str
    url: str
    url_location: str
    """The link's position in the message as text; empty when SendGrid gives none."""
    clicks: int


@dataclass(frozen=True, slots=True)
class AutomationStats:
    """What SendGrid says of one automation at one time: whole, never a part."""

    links: tuple[LinkClicks, ...]
    """Each (step_id, url, url_location) once."""
    total_clicks: int
    """As SendGrid says it, also where the links' clicks are others."""
    pages: int = 1
    """Pages that were read for it."""
    counted: bool = True
    """Whether SendGrid itself says that it has so many links."""
    gap: int = 0
    """By how much the links' clicks exceed every total that SendGrid gave; negative where they fall short of all."""
    fingerprint: Fingerprint = field(default=(), compare=False)
    """Of the pages, where reading them once showed all: the same pages say the same another time."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """SendGrid says of one automation what it said before, byte for byte."""

    pages: int


@dataclass(frozen=True, slots=True)
class ClickHistory:
    """An automation's totals of about a day, some one an hour, in 16 bytes each."""

    times: "array[float]"
    """Seconds since the epoch, ascending."""
    totals: "array[int]"

    def with_total(self, total: int, at: float) -> "ClickHistory":
        """Return the history with this total, unless the last one is as new; a clock set back begins a new history."""
        if self.times and 0 <= at - self.times[-1] < _SPACING:
            return self
        first = 0 if self.times and at >= self.times[-1] else len(self.times)
        # The newest one of a day ago or more is what today is compared with.
        while first + 1 < len(self.times) and at - self.times[first + 1] >= _DAY:
            first += 1
        return ClickHistory(self.times[first:] + array("d", [at]), self.totals[first:] + array("q", [total]))

    def gained(self, total: int, now: float) -> int | None:
        """Return how far this total is above that of a day ago; None where no total of that hour is known."""
        day_ago = [then for at, then in zip(self.times, self.totals, strict=True) if now - at >= _DAY]
        is_recent = bool(day_ago) and now - self.times[len(day_ago) - 1] < _ABOUT_A_DAY
        return total - day_ago[-1] if is_recent else None


NO_HISTORY: Final = ClickHistory(array("d"), array("q"))


class Statistics(NamedTuple):
    """What SendGrid counts of an automation, or of one of its steps, so far; None where it gives no number."""

    requests: int | None = None
    delivered: int | None = None
    opens: int | None = None
    unique_opens: int | None = None
    clicks: int | None = None
    unique_clicks: int | None = None
    bounces: int | None = None
    bounce_drops: int | None = None
    invalid_emails: int | None = None
    spam_reports: int | None = None
    spam_report_drops: int | None = None
    unsubscribes: int | None = None


@dataclass(frozen=True, slots=True)
class AutomationList:
    """The automations that the account's list holds."""

    statistics: Mapping[AutomationId, Statistics]
    """In the list's order, each automation once, whatever the case of its id."""
    is_whole: bool
    """Whether it shows that it lacks nothing: only then is an automation that it does not have no longer there."""
    is_of_account: bool
    """Whether all automations were asked for, and not only some."""
    pages: int
    """Pages that were read for it."""
    nameless: int = 0
    """Rows whose id is no UUID, so that nothing can be asked about them."""


@dataclass(frozen=True, slots=True)
class PollResult:
    """The outcome of one poll."""

    outcome: Outcome
    pages: int = 0
    """Pages that a successful poll read, from which the cost of the next one is estimated."""
    message: str = ""
    """Why the poll failed, for a person."""
    next_step: str = ""
    """What to do about that."""


def is_automation_id(text: str) -> bool:
    """Return whether the text is a UUID in its usual form, 8-4-4-4-12 hexadecimal digits."""
    return _UUID.fullmatch(text) is not None


def automation_ids_in(address: str) -> tuple[str, ...]:
    """Return the ids that an address may mean, each once: those behind `/automations/`, else every UUID in it."""
    found = _UUID_IN_TEXT.findall(address)
    meant = [uuid for prefix, uuid in found if prefix] or [uuid for _, uuid in found]
    once: dict[str, str] = {}
    for uuid in meant:
        once.setdefault(uuid.lower(), uuid)
    return tuple(once.values())


def page_of(automation_id: AutomationId, app_url: str) -> str:
    """Return the address of the automation's page in SendGrid's application; empty where `app_url` is."""
    return app_url.replace(ID_PLACEHOLDER, quote(automation_id, safe="", errors="replace"))


def label_name(name: str) -> str:
    """Return the Prometheus label for an owner's label, as kube-state-metrics names those of Kubernetes."""
    return "label_" + _NOT_IN_A_LABEL.sub("_", name)


def add_up(rows: Iterable[LinkClicks]) -> tuple[LinkClicks, ...]:
    """Return the rows with each (step_id, url, url_location) once, in order of first sight, equal ones added up."""
    rows = tuple(rows)
    if len(set(map(_KEY, rows))) == len(rows):
        return rows
    clicks: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = _KEY(row)
        clicks[key] = clicks.get(key, 0) + row.clicks
    return tuple(LinkClicks(*key, count) for key, count in clicks.items())
