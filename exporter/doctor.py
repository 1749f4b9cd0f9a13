"""`--doctor`: asks SendGrid at most four times, and says what works, what does not, and what to do about it.

First what the key may do, then the account's list, then one page of an automation's links; the fourth request is for
what is left unclear: whether the other region accepts the key, whether the account is another without the subuser's
header, or whether configured automations stand on a later page of the list.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Final, TypeGuard, TypeVar

from pydantic import Field

from exporter.about import about
from exporter.account.discovery import account_options
from exporter.app import client_options, key_source
from exporter.clock import Clock
from exporter.domain import Automation, AutomationId, DiscoveryMode, Endpoint, is_automation_id
from exporter.errors import (
    BadRequestError,
    ConnectionFailedError,
    ExchangeTimeoutError,
    ForbiddenError,
    InvalidResponseError,
    NotFoundError,
    SendGridError,
    UnauthorizedError,
    counted,
)
from exporter.sendgrid.budget import Budget, RateLimitHeaders
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.statistics import MOST_IDS, StatisticsPage
from exporter.sendgrid.wire import Wire, parse, parse_page
from exporter.settings import Settings
from exporter.signals import Signals

_MOST_SCOPES: Final = 2000
_LONGEST: Final = 60.0
"""Seconds for all requests together."""
_LONGEST_REQUEST: Final = 15.0
REGIONS: Final[Mapping[str, str]] = {
    "https://api.sendgrid.com": "https://api.eu.sendgrid.com",
    "https://api.eu.sendgrid.com": "https://api.sendgrid.com",
}
"""SendGrid's two hosts, each with the other one."""
_READS: Final = ("marketing.read", "marketing.automation.read")
_KNOWN: Final = (ForbiddenError, NotFoundError)
_NO_HEADER: Final = "leave sendgrid.on_behalf_of out, or correct the subuser's name"
_MOST_NAMED: Final = 10
_MOST_TEXT: Final = 400
_WIDTH: Final = 100
_LABEL: Final = 18


class _Scopes(Wire):
    scopes: Annotated[list[str], Field(max_length=_MOST_SCOPES)]


@dataclass(frozen=True, slots=True)
class ListSample:
    """The first page of the account's list."""

    clicks: dict[AutomationId, int | None]
    """The automations on it, with the clicks that are counted of each."""
    count: int | None
    """How many the whole list has, where SendGrid says so."""
    is_all: bool
    """Whether there is no further page."""


@dataclass(frozen=True, slots=True)
class LinksSample:
    """The first page of an automation's links."""

    links: int
    clicks: int
    count: int | None
    """How many links the whole list has, where SendGrid says so."""
    total: int | None
    is_all: bool
    """Whether there is no further page."""


def scopes_of(client: SendGridClient, deadline: float) -> frozenset[str]:
    """Return what the key may do; raise SendGridError."""
    with client.looking(client.scopes_question()) as question:
        return frozenset(parse(_Scopes, client.fetch(question, None, deadline)).scopes)


def listed(client: SendGridClient, deadline: float, only: Sequence[AutomationId] = ()) -> ListSample:
    """Return the first page of the list, of all automations or of some; raise SendGridError."""
    with client.looking(client.list_question(only)) as question:
        page = parse(StatisticsPage, client.fetch(question, None, deadline))
    clicks = {
        AutomationId(row["id"].lower()): (row.get("stats") or {}).get("clicks")
        for row in page.results or ()
        if is_automation_id(row["id"])
    }
    metadata = page.metadata
    return ListSample(clicks, metadata.count if metadata else None, is_all=not (metadata and metadata.next))


def links_of(client: SendGridClient, automation: Automation, deadline: float) -> LinksSample:
    """Return the first page of the automation's links; raise SendGridError."""
    with client.looking(client.links_question(automation)) as question:
        page = parse_page(client.fetch(question, None, deadline))
    rows, metadata = page.results or [], page.metadata
    return LinksSample(
        links=len(rows),
        clicks=sum(row.clicks for row in rows),
        count=metadata.count if metadata else None,
        total=page.total_clicks,
        is_all=not (metadata and metadata.next),
    )


_Answer = TypeVar("_Answer")


class Verdict(StrEnum):
    """The verdict of a finding."""

    OK = "ok"
    NOTE = "note"
    """Works, but deserves attention."""
    UNKNOWN = "?"
    """Cannot be determined."""
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the table."""

    subject: str
    verdict: Verdict
    text: str
    advice: str = ""
    """The next step; empty where there is none."""
    items: Sequence[str] = ()
    """What the text counts, a line each."""


@dataclass(slots=True)
class _Examination:
    """Asks, and collects the findings."""

    settings: Settings
    connect: Callable[[Settings], SendGridClient]
    """Makes a client that tries each request once."""
    rate: Callable[[], float]
    """Returns the requests a second for links that are allowed as far as it is known by now."""
    clock: Clock
    automations: Sequence[Automation]
    """Those that this process polls by its configuration."""
    regions: Mapping[str, str]
    """Each region's address, with the other's."""
    _deadline: float = 0.0
    _requests: int = 0

    def run(self) -> Sequence[Finding]:
        """Return every finding; asks at most four times, for at most a minute."""
        self._deadline = self.clock.monotonic() + _LONGEST
        client = self.connect(self.settings)
        scopes = self._ask(lambda: scopes_of(client, self._deadline))
        if _is_unreached(scopes):
            return [self._unreachable(scopes)]
        account = self._ask(lambda: listed(client, self._deadline))
        if isinstance(scopes, InvalidResponseError) and isinstance(account, InvalidResponseError):
            return [self._unreachable(account)]
        if isinstance(scopes, UnauthorizedError) and isinstance(account, UnauthorizedError):
            return list(self._refused(account))
        sample = self._sample(account)
        links = None if sample is None else self._ask(lambda: links_of(client, sample, self._deadline))
        return [
            self._key(scopes, account, links),
            self._scopes(scopes, account),
            *self._account(client, account),
            *([] if sample is None or links is None else [self._links(sample, links)]),
            self._fit(account, links),
        ]

    def _ask(self, question: Callable[[], _Answer]) -> "_Answer | SendGridError":
        self._requests += 1
        try:
            return question()
        except SendGridError as exc:
            return exc

    def _unreachable(self, error: SendGridError) -> Finding:
        where = self.settings.sendgrid.base_url
        return Finding("SendGrid", Verdict.WRONG, f"{where} cannot be reached: {error.text}", error.next_step)

    # The key

    def _refused(self, error: SendGridError) -> Iterator[Finding]:
        """Yield what is wrong with a key that was refused twice, and whether another host accepts it."""
        base_url, subuser = self.settings.sendgrid.base_url, self.settings.sendgrid.on_behalf_of
        other = self.regions.get(base_url)
        advice = "copy the whole key again from SendGrid's Settings, API Keys; if it is lost, create a new one there"
        yield Finding("key", Verdict.WRONG, f"refused by {base_url}: {error.text}", advice)
        if subuser is not None:
            without = self.settings.with_sendgrid(on_behalf_of=None)
            scopes = self._ask(lambda: scopes_of(self.connect(without), self._deadline))
            if isinstance(scopes, frozenset):
                text = "the key is accepted without it and refused with it"
                yield Finding("subuser header", Verdict.WRONG, text, _NO_HEADER)
        elif other is not None:
            there = self.connect(self.settings.with_sendgrid(base_url=other))
            scopes = self._ask(lambda: scopes_of(there, self._deadline))
            if isinstance(scopes, frozenset):
                yield Finding("region", Verdict.WRONG, f"{other} accepts the key", f"set sendgrid.base_url to {other}")
            else:
                yield Finding("region", Verdict.OK, f"{other} does not accept the key either")

    def _key(self, *answers: object) -> Finding:
        where = self.settings.sendgrid.base_url
        # Who may not read something was known, and so was who asked for what is not there.
        failures = [each for each in answers if isinstance(each, SendGridError) and not isinstance(each, _KNOWN)]
        if len(failures) == sum(each is not None for each in answers):
            return Finding("key", Verdict.UNKNOWN, f"{where} neither accepted nor refused it")
        if any(isinstance(each, UnauthorizedError) for each in answers):
            text = f"{where} refused it once and accepted it once"
            return Finding("key", Verdict.NOTE, text, "run this again: SendGrid refuses a good key now and then")
        return Finding("key", Verdict.OK, f"accepted by {where}")

    def _scopes(self, scopes: "frozenset[str] | SendGridError", account: object) -> Finding:
        may_read = isinstance(account, ListSample)
        if isinstance(scopes, SendGridError):
            text = f"SendGrid does not say what the key may do ({scopes.outcome}); this proves nothing"
            return Finding("scopes", Verdict.UNKNOWN, text)
        found = [scope for scope in _READS if scope in scopes]
        if found:
            return Finding("scopes", Verdict.OK, ", ".join(found))
        text = f"{len(scopes)} scopes, and neither {' nor '.join(_READS)} among them"
        if may_read:
            return Finding("scopes", Verdict.NOTE, f"{text}, but the list can be read")
        advice = "edit the key in SendGrid's Settings, API Keys: read access to Marketing (and Automation) is enough"
        return Finding("scopes", Verdict.WRONG, text, advice)

    # The account

    def _sample(self, account: object) -> Automation | None:
        """Return the automation whose links are checked: preferably a configured one that is in the account."""
        known = account.clicks if isinstance(account, ListSample) else {}
        configured = [each for each in self.automations if each.id.lower() in known] or list(self.automations)
        if configured:
            return configured[0]
        if not known:
            return None
        most_clicked = max(known, key=lambda id_: known[id_] or 0)
        return Automation(most_clicked, most_clicked, self.settings.poll.interval)

    def _account(self, client: SendGridClient, account: "ListSample | SendGridError") -> Iterator[Finding]:
        if isinstance(account, SendGridError):
            yield self._unlisted(account)
            return
        if not account.clicks:
            yield self._empty()
            return
        more = "" if account.is_all else " at least" if account.count is None else ""
        count = account.count if account.count is not None else len(account.clicks)
        yield Finding("account", Verdict.OK, f"{counted(count, 'automation')}{more}")
        if (subuser := self.settings.sendgrid.on_behalf_of) is not None:
            yield Finding("subuser header", Verdict.OK, f"accepted: this is the account of {subuser}")
        yield from self._missing(client, account)
        yield from self._unwatched(account)

    def _unlisted(self, error: SendGridError) -> Finding:
        text = f"the list of automations cannot be read: {error.text}"
        if not isinstance(error, _KNOWN):
            return Finding("account", Verdict.WRONG, text, "run this again in a while; links may work nevertheless")
        if self.settings.sendgrid.on_behalf_of is not None and isinstance(self._without_header(), ListSample):
            return Finding("account", Verdict.WRONG, f"{text}; without the subuser's header it can", _NO_HEADER)
        needed = self.settings.discovery.mode is not DiscoveryMode.OFF
        who = "discovery needs it" if needed else "links may work without it, statistics and discovery do not"
        advice = f"give the key read access to Marketing in SendGrid's Settings, API Keys; {who}"
        wanted = needed or self.settings.statistics.enabled
        return Finding("account", Verdict.WRONG if wanted else Verdict.NOTE, text, advice)

    def _without_header(self) -> "ListSample | SendGridError":
        client = self.connect(self.settings.with_sendgrid(on_behalf_of=None))
        return self._ask(lambda: listed(client, self._deadline))

    def _empty(self) -> Finding:
        subuser = self.settings.sendgrid.on_behalf_of
        if subuser is None:
            text = "it has no automations that have sent anything"
            advice = (
                "start one in SendGrid (Marketing, Automations); where they belong to a subuser, set "
                "sendgrid.on_behalf_of to its name, or use a key of that subuser"
            )
            return Finding("account", Verdict.WRONG, text, advice)
        parent, text = self._without_header(), f"no automations on behalf of {subuser}"
        if isinstance(parent, ListSample) and parent.clicks:
            text += f", and {counted(len(parent.clicks), 'automation')} without that header"
            return Finding("account", Verdict.WRONG, text, _NO_HEADER)
        advice = "start an automation in SendGrid, or correct sendgrid.on_behalf_of"
        return Finding("account", Verdict.WRONG, text, advice)

    def _missing(self, client: SendGridClient, account: ListSample) -> Iterator[Finding]:
        """Yield what is known of configured automations that the account does not have."""
        if not self.automations:
            return
        missing = [each for each in self.automations if each.id.lower() not in account.clicks]
        doubtful: list[Automation] = []
        if missing and not account.is_all:
            asked, doubtful = missing[:MOST_IDS], missing[MOST_IDS:]
            found = self._ask(lambda: listed(client, self._deadline, [each.id for each in asked]))
            if isinstance(found, ListSample):
                missing = [each for each in asked if each.id.lower() not in found.clicks]
            else:
                missing, doubtful = [], [*asked, *doubtful]
        known = len(self.automations) - len(missing) - len(doubtful)
        if missing:
            text = f"{len(missing)} of {counted(len(self.automations), 'configured automation')} not in the account"
            advice = (
                "compare each id with the address of the automation's page: it is mistyped, deleted, or the automation "
                "was duplicated to be edited, which gives the copy another id; one that never sent anything may be "
                "missing too"
            )
            yield Finding("configured", Verdict.WRONG, text, advice, _named(missing))
        else:
            yield Finding("configured", Verdict.OK, f"{known} of {len(self.automations)} found in the account")
        if doubtful:
            yield Finding("configured", Verdict.UNKNOWN, f"{len(doubtful)} are on none of the pages that were read")

    def _unwatched(self, account: ListSample) -> Iterator[Finding]:
        """Yield the account's automations that are not polled."""
        if self.settings.discovery.mode is DiscoveryMode.POLL or self.settings.shard.total > 1:
            return
        configured = {each.id.lower() for each in self.automations}
        clicked = sorted(account.clicks.items(), key=lambda each: -(each[1] or 0))
        nobody = [f"{id_}: {_clicks(clicks)}" for id_, clicks in clicked if id_ not in configured]
        if not nobody:
            return
        of = "" if account.is_all else f" of the first {len(account.clicks)}"
        text = f"{counted(len(nobody), 'automation')}{of} not polled"
        advice = "add those that matter to automations, or write automations: all"
        yield Finding("not polled", Verdict.NOTE, text, advice, _first(nobody))

    # Links and limits

    def _links(self, automation: Automation, links: "LinksSample | SendGridError") -> Finding:
        name = _plain(automation.name)
        if isinstance(links, NotFoundError):
            text = f"{name}: SendGrid has no statistics of it ({links.text})"
            return Finding("links", Verdict.WRONG, text, "check its id; one that has just started has none for a while")
        if isinstance(links, SendGridError):
            return Finding("links", Verdict.WRONG, f"{name}: {links.text}", "run this again in a while")
        text = f"{name}: {counted(links.links, 'link')}, {_clicks(links.clicks)}"
        if not links.is_all:
            of = "" if links.count is None else f" of {links.count}"
            return Finding("links", Verdict.OK, f"{text} on the first page{of}")
        if links.count is not None and links.count != links.links:
            text += f", where SendGrid counts {counted(links.count, 'link')}"
            return Finding("links", Verdict.NOTE, text, "run this again: links move while they are clicked")
        if links.total is not None and links.total != links.clicks:
            return Finding("links", Verdict.NOTE, f"{text}, where SendGrid's total is {links.total}")
        return Finding("links", Verdict.OK, f"{text}, which is SendGrid's own total")

    def _fit(self, account: object, links: object) -> Finding:
        """Return whether the requests that the configuration needs are allowed."""
        allowed, pages = self.rate() * 60, 1
        if isinstance(links, LinksSample) and not links.is_all:
            pages = max(-(-(links.count or 2 * links.links) // max(links.links, 1)), 2)
        intervals = [each.interval for each in self.automations]
        if self.settings.discovery.mode is DiscoveryMode.POLL and isinstance(account, ListSample):
            found = (account.count or len(account.clicks)) // self.settings.shard.total - len(intervals)
            intervals += [self.settings.poll.interval] * min(found, self.settings.discovery.max_automations)
        needed = sum(60 / interval for interval in intervals) * pages
        text = f"{allowed:.4g} requests a minute are allowed for links, and {needed:.1f} are needed"
        if pages > 1:
            text += f", if each automation has {pages} pages as this one"
        if needed <= allowed:
            return Finding("request limit", Verdict.OK, text)
        advice = (
            "poll less often (poll.interval), or raise sendgrid.requests_per_minute where SendGrid allows more; else "
            f"every interval becomes {needed / allowed:.2g} times as long"
        )
        return Finding("request limit", Verdict.WRONG, text, advice)


def examine_account(
    settings: Settings, clock: Clock, signals: Signals, regions: Mapping[str, str] = REGIONS
) -> Sequence[Finding]:
    """Return what is found when SendGrid is asked, each question once; raise StoppedError where a stop is asked for."""
    budget, key, program = Budget(settings.sendgrid.requests_per_minute, clock=clock), key_source(settings), about()

    def connect(asked: Settings) -> SendGridClient:
        options = client_options(asked, program)
        return SendGridClient(
            replace(options, timeout=min(options.timeout, _LONGEST_REQUEST), most_tries=1),
            key=key,
            budget=budget,
            clock=clock,
            stop=signals.stop,
            observer=_Unobserved(),
        )

    configured = account_options(settings).automations
    return _Examination(settings, connect, lambda: budget.requests_per_second, clock, configured, regions).run()


class _Unobserved:
    """An observer that ignores requests."""

    def requested(self, endpoint: Endpoint, code: str, seconds: float, rate_limit: RateLimitHeaders | None) -> None:
        """Forget it."""


def _is_unreached(answer: object) -> TypeGuard[SendGridError]:
    """Return whether SendGrid was not even asked: there is no connection, or the proxy refused its credentials."""
    if isinstance(answer, BadRequestError):
        return answer.reason == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
    return isinstance(answer, (ConnectionFailedError, ExchangeTimeoutError))


def table(findings: Sequence[Finding]) -> str:
    """Return the findings as a table for a terminal, and the verdict over all below."""
    lines = [line for finding in findings for line in _row(finding)]
    wrong = sum(finding.verdict is Verdict.WRONG for finding in findings)
    end = f"{counted(wrong, 'thing')} to fix" if wrong else "nothing to fix"
    return "\n".join([*lines, "", end, ""])


def _row(finding: Finding) -> Iterator[str]:
    indent = " " * (_LABEL + 7)
    head = f"{finding.subject:<{_LABEL}}{finding.verdict:<7}"
    yield from _wrapped(_plain(finding.text), head, indent)
    for item in finding.items:
        yield f"{indent}- {_plain(item)}"
    if finding.advice:
        yield from _wrapped(_plain(finding.advice), f"{indent}-> ", f"{indent}   ")


def _wrapped(text: str, head: str, indent: str) -> Sequence[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=head, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def _plain(text: str) -> str:
    """Return the text made safe for a terminal: external data may contain escapes and endless lines."""
    clean = "".join(character if character.isprintable() else " " for character in text[: 2 * _MOST_TEXT])
    return clean if len(clean) <= _MOST_TEXT else f"{clean[:_MOST_TEXT]} …"


def _clicks(clicks: int | None) -> str:
    return "clicks unknown" if clicks is None else counted(clicks, "click")


def _named(automations: Sequence[Automation]) -> Sequence[str]:
    return _first([each.id if each.name == each.id else f"{each.name} ({each.id})" for each in automations])


def _first(items: Sequence[str]) -> Sequence[str]:
    more = [f"and {len(items) - _MOST_NAMED} more"] if len(items) > _MOST_NAMED else []
    return [*items[:_MOST_NAMED], *more]
