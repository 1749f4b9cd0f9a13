"""One valid default of each value; a test names only what matters to it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from exporter.about import ProgramInfo
from exporter.domain import Automation, AutomationId, AutomationStats, LinkClicks
from exporter.exposition import Block, block_of, lines_of
from exporter.labels import LabelRules
from exporter.sendgrid.budget import RateLimitHeaders
from exporter.sendgrid.transport import ClientOptions

KEY = "SG.aaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
STEP = "aaaaaaaa-0000-4000-8000-000000000001"


def an_id(number: int = 1) -> AutomationId:
    return AutomationId(f"{number:08x}-1111-4111-8111-111111111111")


def an_automation(number: int = 1, **changes: Any) -> Automation:
    return replace(Automation(an_id(number), "Welcome", 300.0), **changes)


def a_link(**changes: Any) -> LinkClicks:
    return LinkClicks(STEP, "https://example.com/a", "0", 7)._replace(**changes)


def some_stats(*links: LinkClicks, **changes: Any) -> AutomationStats:
    links = links or (a_link(),)
    return replace(AutomationStats(links, sum(link.clicks for link in links)), **changes)


def a_block(*links: LinkClicks, automation_id: AutomationId | None = None, total: int | None = None) -> Block:
    links = links or (a_link(),)
    return render(automation_id or an_id(), links, sum(link.clicks for link in links) if total is None else total)


def label_rules(**changes: Any) -> LabelRules:
    return replace(LabelRules(), **changes)


def client_options(**changes: Any) -> ClientOptions:
    return replace(ClientOptions("https://api.sendgrid.com", 30.0, 50, "tests"), **changes)


def a_rate_limit(**changes: Any) -> RateLimitHeaders:
    return replace(RateLimitHeaders(None, None, None, None), **changes)


def an_about(**changes: Any) -> ProgramInfo:
    known = ProgramInfo("1.2.3", "abc", "3.11.0", "summary", "https://example.com")
    return replace(known, **changes)


def a_row(**changes: Any) -> dict[str, Any]:
    """Return a row of `results` as the API spells it."""
    row: dict[str, Any] = {"url": "https://example.com/a", "step_id": STEP, "clicks": 1, "url_location": 0}
    row.update(changes)
    return row


def a_page(*rows: dict[str, Any], total: Any = None, count: Any = "own", token: str | None = None) -> dict[str, Any]:
    """Return a page as the API spells it; count and total are those of a list of this page alone unless given."""
    url = "https://api.sendgrid.com/v3/marketing/stats/automations/x/links"
    metadata: dict[str, Any] = {"self": url}
    if count is not None:
        metadata["count"] = len(rows) if count == "own" else count
    if token is not None:
        metadata["next"] = f"{url}?page_token={token}"
    clicks = sum(row["clicks"] for row in rows)
    return {"results": list(rows), "total_clicks": clicks if total is None else total, "_metadata": metadata}


def render(automation_id: AutomationId, links: Sequence[LinkClicks], total_clicks: int) -> Block:
    """Return the block of an automation's stats, as the poller makes it."""
    return block_of(lines_of(automation_id, links), links, total_clicks)
