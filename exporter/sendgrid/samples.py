"""One page of each kind of answer, for a first look at an account: what it says, and not whether it is whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from exporter.domain import Automation, AutomationId, is_automation_id
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.statistics import StatisticsPage
from exporter.sendgrid.wire import Wire, parse, parse_page

_MOST_SCOPES: Final = 2000


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
        clicks=sum(row["clicks"] for row in rows),
        count=metadata.count if metadata else None,
        total=page.total_clicks,
        is_all=not (metadata and metadata.next),
    )
