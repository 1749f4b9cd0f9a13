"""The statistics of automations, as SendGrid lists them: of all, of some, or of one by step.

`GET /v3/marketing/stats/automations` and `…/automations/{id}` answer alike: rows of an automation, a step and twelve
counts. The forms are those of SendGrid's published description, where `stats` may be missing from a row. A list is
whole by the rules of `pages`, where a row's place is its automation, step and period.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from exporter.domain import AutomationId, AutomationList, Statistics, is_automation_id
from exporter.errors import IncompleteError, InvalidResponseError
from exporter.sendgrid.pages import Explain, Fetch, Form, PageSaid, Walk, best_list, disagreement, read_list
from exporter.sendgrid.wire import MOST_ROWS, Count, Metadata, Wire, parse

MOST_IDS: Final = 25
"""Ids that one request may name."""
_MOST_LISTED: Final = 30_000
"""Rows of a list: accounts above 1,500 automations are rare, and each row is kept until the list is whole."""
_TOTAL: Final = "total"
_ALL_STEPS: Final = "all"


class _Counts(TypedDict, total=False):
    """The twelve counts; one that is null or missing is not said, which is not a zero."""

    requests: Count | None
    delivered: Count | None
    opens: Count | None
    unique_opens: Count | None
    clicks: Count | None
    unique_clicks: Count | None
    bounces: Count | None
    bounce_drops: Count | None
    invalid_emails: Count | None
    spam_reports: Count | None
    spam_report_drops: Count | None
    unsubscribes: Count | None


class _Row(TypedDict):
    id: str
    aggregation: NotRequired[str | None]
    step_id: NotRequired[str | None]
    stats: NotRequired[_Counts | None]


class StatisticsPage(Wire):
    """One page of statistics."""

    results: Annotated[list[_Row], Field(fail_fast=True, max_length=MOST_ROWS)] | None = None
    metadata: Metadata | None = Field(default=None, alias="_metadata")
    errors: Any = None


class _Place(NamedTuple):
    """A row in the form that `pages` judges."""

    automation_id: str
    """As it is listed, in lower case: an id has no case."""
    step_id: str
    aggregation: str
    content: "_Content"


class _Content(NamedTuple):
    id: str
    statistics: Statistics


def read_automations(fetch: Fetch, url: str, explain: Explain, *, is_of_account: bool) -> AutomationList:
    """Return the whole list of automations; raise as `read_list` does, or IncompleteError with what came of it."""
    reading = read_list(fetch, url, explain, _FORM)
    pages = sum(len(walk.pages) for walk in reading.walks)
    rows, is_whole = (best_list(reading.walks)[0], False) if reading.rows is None else (reading.rows, True)
    found = [row for row in rows if is_automation_id(row.content.id)]
    listed = AutomationList(_of_automations(found), is_whole, is_of_account, pages, len(rows) - len(found))
    if not is_whole:
        raise _incomplete(url, reading.walks, listed if found else None)
    return listed


def read_steps(fetch: Fetch, url: str, explain: Explain, automation_id: AutomationId) -> Mapping[str, Statistics]:
    """Return the statistics of each step of the automation; raise as `read_list` does, or IncompleteError."""
    reading = read_list(fetch, url, explain, _FORM)
    if reading.rows is None:
        raise _incomplete(url, reading.walks, None)
    if any(row.automation_id != automation_id.lower() for row in reading.rows):
        raise InvalidResponseError(f"{url}: the answer was about another automation")
    return {row.step_id: row.content.statistics for row in reading.rows if row.step_id != _ALL_STEPS}


def _incomplete(url: str, walks: Sequence[Walk[_Place]], listed: AutomationList | None) -> IncompleteError:
    return IncompleteError(f"{url}: the pages do not form one complete list: {disagreement(walks)}", listed=listed)


def _of_automations(rows: Sequence[_Place]) -> Mapping[AutomationId, Statistics]:
    """Return each automation once, with the statistics of all its steps where the list gives those."""
    found: dict[str, _Content] = {}
    for automation_id, step_id, _, content in rows:
        if step_id == _ALL_STEPS:
            found[automation_id] = content
        else:  # an API that groups the list by steps names the automation, and no number of the whole of it
            found.setdefault(automation_id, _Content(content.id, Statistics()))
    return {AutomationId(content.id): content.statistics for content in found.values()}


def _parse(body: bytes) -> StatisticsPage:
    page = parse(StatisticsPage, body)
    for number, row in enumerate(page.results or ()):
        if (row.get("aggregation") or _TOTAL) != _TOTAL:
            raise InvalidResponseError(f"results.{number}.aggregation: a total is expected, not a day's statistics")
    return page


def _said(page: StatisticsPage) -> PageSaid[_Place]:
    # A dictionary, since a place that stands twice on a page stands there for another one that is lost.
    places = {row[:3]: row for row in _places(page)}
    count = page.metadata.count if page.metadata else None
    return PageSaid(tuple(places.values()), count, None, page.results is not None)


def _places(page: StatisticsPage) -> Iterator[_Place]:
    for row in page.results or ():
        content = _Content(row["id"], Statistics(**(row.get("stats") or {})))
        yield _Place(row["id"].lower(), row.get("step_id") or _ALL_STEPS, _TOTAL, content)


_FORM: Final = Form(_parse, _said, _MOST_LISTED)
