"""The status page and its data: the state of each automation, problems first.

The markup is in `assets/` and in the templates below. Every value in a template is escaped, except the result of
another template.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib import resources
from string import Template
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlencode

from exporter.errors import counted
from exporter.web.ports import AutomationRow, Condition, LandingPage, Status

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'"
)
MAX_ROWS: Final = 1000
"""Automations that the page shows; a search finds the others."""
LONGEST_SEARCH: Final = 2048
"""Characters; the default length of a published URL."""

_MINUTE: Final = 60
_SHOWN: Final = 300
"""Characters of a name, a URL or an error on the page; the JSON has all of them."""
_SORTS: Final[Mapping[str, str]] = {
    "name": "Automation",
    "state": "State",
    "success": "Last success",
    "next": "Next poll in",
    "interval": "Interval",
    "links": "Links",
    "clicks": "Clicks",
    "day": "Last day",
}
"""The columns, by their names in `sort=`."""
_DESCENDING: Final = frozenset({"links", "clicks", "day"})
_SEVERITY: Final = (Condition.FAILING, Condition.STALE, Condition.WAITING, Condition.OK, Condition.IDLE)
_SPOKEN: Final[Mapping[Condition, str]] = {
    Condition.FAILING: "failing",
    Condition.STALE: "stale",
    Condition.WAITING: "not polled yet",
    Condition.OK: "up to date",
    Condition.IDLE: "idle",
}
_LOOKS: Final[Mapping[Condition, str]] = {
    Condition.FAILING: "bad",
    Condition.STALE: "late",
    Condition.WAITING: "late",
    Condition.OK: "ok",
    Condition.IDLE: "idle",
}
"""The classes of the style sheet."""

_LINK: Final = Template('<li><a href="$target">$text</a>')
_COLUMN: Final = Template('<th scope="col"$sorted><a id="sort-$key" href="?$query">$text</a>')
_TABLE: Final = Template(
    "<table>\n<caption>Automations</caption>\n<thead><tr>$columns</thead>\n<tbody>$rows</tbody>\n</table>\n$more"
)
# A page has a thousand of them, so optional HTML is omitted: a th beside td is its row's header.
_ROW: Final = Template(
    "<tr class=$look><th>$name$id$found<td>$spoken$error<td>$success<td>$next<td>$interval<td>$links<td>$clicks<td>$day"
)
_NAME: Final = Template("<bdi>$name</bdi>")
_LINKED_NAME: Final = Template('<a href="$page" rel="noreferrer noopener"><bdi>$name</bdi></a>')
_ERROR: Final = Template("<p><bdi>$text</bdi><p>Next step: $step")
_FOUND: Final = Template('<ul class="found">$links</ul>')
_FOUND_LINK: Final = Template("<li><bdi>$url</bdi> ($clicks)")
_MORE: Final = Template("<p>$text</p>")
_NOTICE: Final = Template("<li>$text")
_FACT: Final = Template("<dt>$name<dd>$value")
_ATTRIBUTE: Final = Template(' aria-sort="$order"')


class View(NamedTuple):
    """The part of the page that a request asks for."""

    sought: str = ""
    """Part of a name, an id or a link, in any case; empty for all automations."""
    sort: str = ""
    """A column; empty for problems first."""


class _Markup(str):
    """Text that is already markup."""

    __slots__ = ()


def view_of(query: str) -> View:
    """Return the view that the query of a request's URL asks for, ignoring unknown values."""
    values = parse_qs(query, errors="replace", max_num_fields=20) if query.count("&") < 20 else {}  # noqa: PLR2004
    sort = values.get("sort", [""])[-1]
    return View(values.get("q", [""])[-1].strip()[:LONGEST_SEARCH], sort if sort in _SORTS else "")


def asset(name: str) -> bytes:
    """Return a file that the page loads."""
    return resources.files("exporter.web").joinpath("assets", name).read_bytes()


def status_page(page: LandingPage, status: Status, view: View, *, telemetry_path: str) -> bytes:
    """Return the HTML of `/`."""
    # Relative, so that they also work behind a proxy that serves this page below a path prefix.
    links = [
        ("Metrics", telemetry_path.removeprefix("/")),
        ("Status as JSON", "status.json"),
        ("Health", "-/healthy"),
        ("Readiness", "-/ready"),
    ]
    if page.documentation is not None and page.documentation.startswith(("https://", "http://")):
        links.append(("Documentation", page.documentation))
    rows = _chosen(status.automations, view)
    counts = {condition: sum(row.state is condition for row in status.automations) for condition in _SEVERITY}
    wrong = sum(counts[condition] for condition in _SEVERITY[:2])
    return _fill(
        _page_template(),
        title=f"({wrong}) {page.name}" if wrong else page.name,
        name=page.name,
        description=page.description,
        links=_joined(_fill(_LINK, target=target, text=text) for text, target in links),
        sought=view.sought,
        sort=view.sort,
        look=_LOOKS[next((condition for condition in _SEVERITY if counts[condition]), Condition.IDLE)],
        summary=_summary(counts, len(rows), view),
        notices=_joined(_fill(_NOTICE, text=text) for text in _notices(status)),
        table=_table(rows, view, status.time),
        facts=_joined(_fill(_FACT, name=name, value=value) for name, value in _facts(status)),
        configuration=status.configuration,
    ).encode(errors="replace")


def status_json(status: Status, view: View) -> bytes:
    """Return the JSON of `/status.json`, whose shape docs/status.md describes: fields are added, never renamed."""
    reload = status.reload
    data = {
        "version": status.version,
        "revision": status.revision,
        "time": status.time,
        "uptime_seconds": status.uptime,
        "shard": {"index": status.shard[0], "total": status.shard[1]},
        "requests_per_minute": status.requests._asdict(),
        "discovered_automations": dict(status.discovered) if status.discovered is not None else None,
        "state_file": status.state_file,
        "state_error": status.state_error or None,
        "list_error": status.list_error or None,
        "last_reload": None if reload is None else {"time": reload.time, "problems": list(reload.problems)},
        "automations": [
            {
                "id": row.id,
                "name": row.name,
                "page": row.page or None,
                "state": row.state,
                "is_stale": row.is_stale,
                "is_idle": row.is_idle,
                "outcome": row.outcome or None,
                "error": row.error or None,
                "next_step": row.next_step or None,
                "last_success": row.last_success,
                "next_poll_seconds": row.next_poll,
                "interval_seconds": row.interval,
                "links": row.series,
                "clicks": row.clicks,
                "clicks_last_day": row.day_clicks,
                "found_links": [found._asdict() for found in row.found],
            }
            for row in _chosen(status.automations, view)
        ],
        "configuration": status.configuration,
    }
    return json.dumps(data, allow_nan=False).encode() + b"\n"


@cache
def _page_template() -> Template:
    return Template(asset("status.html").decode())


def _fill(template: Template, **values: object) -> _Markup:
    return _Markup(
        template.substitute(
            {name: value if isinstance(value, _Markup) else escape(str(value)) for name, value in values.items()}
        )
    )


def _joined(parts: Iterable[_Markup]) -> _Markup:
    return _Markup("".join(parts))


def _chosen(rows: Iterable[AutomationRow], view: View) -> Sequence[AutomationRow]:
    """Return the requested automations in the requested order."""
    sought = view.sought.lower()
    found = [row for row in rows if row.found or sought in row.name.lower() or sought in row.id.lower()]
    found.sort(key=lambda row: (_SEVERITY.index(row.state), not row.is_stale))
    match view.sort:
        case "name":
            found.sort(key=lambda row: row.name.lower())
        case "success":
            found.sort(key=lambda row: row.last_success or 0.0)
        case "next":
            found.sort(key=lambda row: row.next_poll or 0.0)
        case "interval":
            found.sort(key=lambda row: row.interval)
        case "links":
            found.sort(key=lambda row: -row.series)
        case "clicks":
            found.sort(key=lambda row: -(row.clicks or 0))
        case "day":
            found.sort(key=lambda row: (row.day_clicks is None, -(row.day_clicks or 0)))
    return found


def _summary(counts: Mapping[Condition, int], found: int, view: View) -> str:
    total = sum(counts.values())
    states = ", ".join(f"{number} {_SPOKEN[condition]}" for condition, number in counts.items() if number)
    text = f"{counted(total, 'automation')}: {states}" if total else "No automations"
    return f"{text}. Found: {found}." if view.sought else f"{text}."


def _table(rows: Sequence[AutomationRow], view: View, now: float) -> _Markup:
    if not rows:
        return _fill(_MORE, text="No automation's name, id or links contain this.") if view.sought else _Markup()
    return _fill(
        _TABLE,
        columns=_joined(_column(key, text, view) for key, text in _SORTS.items()),
        rows=_joined(_rows(rows[:MAX_ROWS], now)),
        more=_joined(_fill(_MORE, text=text) for text in _below(len(rows) - MAX_ROWS, rows)),
    )


def _below(more: int, rows: Iterable[AutomationRow]) -> Iterable[str]:
    if more > 0:
        yield f"and {more} more: search for them"
    if any(row.page for row in rows):
        yield "A name links to the automation in SendGrid, by sendgrid.app_url, whose default is a guess."


def _column(key: str, text: str, view: View) -> _Markup:
    is_sorted = key == (view.sort or "state")
    order = "descending" if key in _DESCENDING else "ascending"
    query = urlencode({"q": view.sought, "sort": key} if view.sought else {"sort": key}, errors="replace")
    return _fill(_COLUMN, key=key, text=text, query=query, sorted=_fill(_ATTRIBUTE, order=order) if is_sorted else "")


def _rows(rows: Iterable[AutomationRow], now: float) -> Iterable[_Markup]:
    before = ""
    for row in rows:
        error = _Markup()
        if row.error:
            # An outage has the same reason for all, which is shown once, so that the page stays small.
            is_same = row.error == before
            error = _Markup(", as above") if is_same else _fill(_ERROR, text=_cut(row.error), step=row.next_step)
            before = row.error
        found = _joined(
            _fill(_FOUND_LINK, url=_cut(link.url), clicks=counted(link.clicks, "click")) for link in row.found
        )
        yield _fill(
            _ROW,
            look=_LOOKS[row.state],
            name=_fill(_LINKED_NAME if row.page else _NAME, name=_cut(row.name), page=row.page),
            id="" if row.id == row.name else _cut(row.id),
            found=_fill(_FOUND, links=found) if found else "",
            spoken=_SPOKEN[row.state] + (", stale" if row.is_stale and row.state is Condition.FAILING else ""),
            error=error,
            success="never" if row.last_success is None else f"{_rough(now - row.last_success)} ago",
            next=_rough(row.next_poll) if row.next_poll else "now",
            interval=duration(row.interval),
            links=f"{row.series:,}",
            clicks="none" if row.clicks is None else f"{row.clicks:,}",
            day="" if row.day_clicks is None else f"{row.day_clicks:+,}",
        )


def _notices(status: Status) -> Iterable[str]:
    """Yield the problems of the exporter as a whole, then the time of this status."""
    requests, reload = status.requests, status.reload
    if reload is not None and reload.problems:
        ago = duration(status.time - reload.time)
        yield f"The reload {ago} ago failed, the previous configuration is in effect: {'; '.join(reload.problems)}"
    if status.list_error:
        yield f"The account's list of automations could not be read: {status.list_error}"
    if status.state_error:
        yield f"Values cannot be saved in state.path, so a restart would leave a gap: {status.state_error}"
    if requests.needed > requests.allowed:
        yield (
            f"The polls need {requests.needed:.1f} requests a minute and {requests.allowed:.1f} are allowed, so their "
            "intervals are longer than configured"
        )
    yield f"As of {datetime.fromtimestamp(status.time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _facts(status: Status) -> Iterable[tuple[str, str]]:
    yield "Version", f"{status.version} (revision {status.revision})"
    yield "Running for", duration(status.uptime)
    index, total = status.shard
    yield "Shard", f"{index} of {total}" if total > 1 else "no sharding"
    requests = status.requests
    yield (
        "Requests a minute",
        f"{requests.needed:.1f} needed, {requests.allowed:.1f} allowed now, ceiling {requests.ceiling:.1f}",
    )
    found = status.discovered
    states = ", ".join(f"{number} {state.replace('_', ' ')}" for state, number in (found or {}).items())
    yield "Discovery", "off" if found is None else states or "nothing found yet"
    yield "State file", status.state_file or "off"
    if status.reload is None:
        yield "Last reload", "none since the start"
    else:
        result = "; ".join(status.reload.problems) or "successful"
        yield "Last reload", f"{duration(status.time - status.reload.time)} ago: {result}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _rough(seconds: float) -> str:
    """Return a time in seconds below a minute, otherwise in minutes, rounded up: nothing is due in 0 seconds."""
    whole = max(math.ceil(seconds), 0)
    return duration(whole if whole < _MINUTE else math.ceil(whole / _MINUTE) * _MINUTE)


def duration(seconds: float) -> str:
    """Return a readable time, in its two largest units."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join([f"{number} {unit}" for number, unit in parts if number][:2]) or "0 s"
