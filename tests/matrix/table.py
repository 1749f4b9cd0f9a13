"""The fault matrix: what can go wrong between SendGrid and the exporter, and what must come of it.

Written by hand from what is published of the API and from the exporter's rules, before the first run; never from what
the code does. `once`: how a poll ends of which one request meets the fault. `lasting`: how it ends when every
request does. `asked`: the fewest and the most requests of that lasting poll. Whatever fails publishes nothing in a
first poll and the last good, exactly, later on.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any, Final

from exporter.domain import Outcome
from sendgrid_simulator import Alteration, Delivery, Fault, HeaderForm, ResetForm, Row
from tests.matrix.rig import STEP, good_rows

OK: Final = Outcome.SUCCESS
INVALID: Final = Outcome.INVALID_RESPONSE
BROKEN: Final = Outcome.CONNECTION_ERROR
LATE: Final = Outcome.TIMEOUT
PARTIAL: Final = Outcome.INCOMPLETE
REFUSED: Final = Outcome.BAD_REQUEST
LIMITED: Final = Outcome.RATE_LIMITED
FAILED: Final = Outcome.SERVER_ERROR

Rows = tuple[Row, ...]
ONE: Final = (1, 1)
RETRIED: Final = (2, 8)
"""Retries are bounded, and there are some."""
WHOLE: Final = (3, 3)
"""Three pages, each asked for once."""
TWICE: Final = (4, 6)
"""Once more from the first page; the same once more, and it is given up."""
AGREED: Final = (6, 6)
"""Three pages, twice: without a count, two walks have to agree."""
ONE_TWICE: Final = (2, 2)
UNBOUNDED: Final = (20, 2_500)
"""A list that never ends is given up after a bounded number of pages."""


@dataclass(frozen=True)
class Case:
    """One row of the matrix."""

    name: str
    once: Outcome
    lasting: Outcome
    asked: tuple[int, int]
    fault: Fault | None = None
    group: str = ""
    page_size: int = 2
    timeout: float = 20.0
    rows: Callable[[int], Rows] = good_rows
    """What SendGrid holds: at first for 0, later on for 7."""
    shows: Callable[[Rows], Rows] = lambda rows: rows
    """What is published of the rows where the lasting poll succeeds."""
    total: Callable[[int], int] = lambda total: total
    waits: tuple[float, float] = (0.0, 250.0)
    """Seconds that a poll takes of which one request meets the fault, waits included."""
    behaviour: Mapping[str, Any] = field(default_factory=dict)
    wall: Callable[[float], float] = lambda now: now
    """Where the simulated SendGrid's clock stands, told by ours."""
    pause: float = 0.0
    """Seconds that the other automations have to wait too, since a limit is the whole key's."""
    steps: float = 0.0
    """Seconds that our own wall clock is set forward in the midst of the poll."""
    third: Outcome | None = None
    """How the third lasting poll ends; by default as the first."""


def _altered(alteration: Alteration, once: Outcome, lasting: Outcome, asked: tuple[int, int], **more: Any) -> Case:
    """Return a case of one altered page: the second of three unless `page` says another one, 0 for each."""
    page = more.pop("page", 2)
    where = {0: "each page", 2: "the second page", 3: "the last page"}.get(page, "the first page")
    name = more.pop("name", f"{alteration.replace('_', ' ')}, {where}")
    if lasting is PARTIAL:
        more.setdefault("third", OK)
    return Case(name, once, lasting, asked, Fault(alter=alteration, page=page or None), **more)


def _emptied(name: str, *, errors: Any = None, total_clicks: int | None = None, count: int | None = None) -> Case:
    """Return a case of an answer without rows that must never be taken for an empty list."""
    document = {"results": [], "total_clicks": total_clicks, "_metadata": {"count": count}, "errors": errors}
    fault = Fault(body=json.dumps({key: value for key, value in document.items() if value is not None}).encode())
    return Case(name, OK, PARTIAL, ONE_TWICE, fault, third=PARTIAL)


def _delivered(delivery: Delivery, once: Outcome, lasting: Outcome, asked: tuple[int, int], **more: Any) -> Case:
    fields = {name: more.pop(name) for name in ("pace", "size", "status") if name in more}
    name = more.pop("name", delivery.replace("_", " "))
    return Case(name, once, lasting, asked, Fault(deliver=delivery, **fields), **more)


def _answered(name: str, status: int, once: Outcome, lasting: Outcome, asked: tuple[int, int], **more: Any) -> Case:
    fields = {name: more.pop(name) for name in ("body", "headers", "page", "deliver", "alter") if name in more}
    return Case(f"{status} {name}".strip(), once, lasting, asked, Fault(status=status, **fields), **more)


def _row(number: int, **changes: Any) -> Callable[[Rows], Rows]:
    return lambda rows: tuple(row._replace(**changes) if n == number else row for n, row in enumerate(rows))


def _damaged(rows: Rows) -> Rows:
    return _row(2, url="\ufffd\ufffd(" + rows[2].url)(rows)


def _equal(more: int) -> Rows:
    return tuple(row._replace(clicks=1 + more) for row in good_rows())


def _sixty(more: int) -> Rows:
    return tuple(Row(STEP, f"https://shop.example/{n}", n, n + 1 + more) for n in range(60))


def _placeless(more: int) -> Rows:
    return tuple(Row(STEP, "https://shop.example/same", None, (1 << n) + more) for n in range(5))


def _nothing_later(more: int) -> Rows:
    return () if more else good_rows()


def _falling(more: int) -> Rows:
    return tuple(row._replace(clicks=row.clicks + (0 if more else 50)) for row in good_rows())


def _largest(more: int) -> Rows:
    return (*good_rows(more)[:4], Row(STEP, "https://shop.example/4", 4, 2**52 + more))


_LONG: Final = "https://example.com/" + "x" * 100_000
_A: Final = Alteration
_D: Final = Delivery


def _group(name: str, *cases: Case) -> tuple[Case, ...]:
    return tuple(replace(case, group=name) for case in cases)


HONEST: Final = _group(
    "Nothing is wrong",
    Case("three pages", OK, OK, WHOLE),
    Case("one page", OK, OK, ONE, page_size=50),
    Case("the total is told per page", OK, OK, WHOLE, behaviour={"total_per_page": True}),
    Case("nothing was clicked", OK, OK, ONE, rows=_nothing_later),
    Case("numbers fall", OK, OK, WHOLE, rows=_falling),
    # On several pages such rows could be one that moved: two walks have to agree.
    Case("one link at several places that SendGrid does not tell", OK, OK, AGREED, rows=_placeless),
    Case("the same on one page", OK, OK, ONE, rows=_placeless, page_size=50),
    Case("equal numbers everywhere", OK, OK, WHOLE, rows=_equal),
    Case("numbers near 2**53", OK, OK, WHOLE, rows=_largest),
    Case("no rate-limit headers", OK, OK, WHOLE, behaviour={"rate_headers": HeaderForm.ABSENT}),
    Case("rate-limit headers in lower case", OK, OK, WHOLE, behaviour={"rate_headers": HeaderForm.LOWER}),
    Case("rate-limit reset as seconds from now", OK, OK, WHOLE, behaviour={"rate_reset": ResetForm.DELTA}),
    Case("rate-limit headers that are garbage", OK, OK, WHOLE, Fault(headers=(
        ("X-RateLimit-Limit", "many"), ("X-RateLimit-Remaining", "-3"), ("X-RateLimit-Reset", "nan")))),
    Case("our clock is set a day forward within the poll", OK, OK, WHOLE, steps=86_400.0),
    Case("our clock is set a day back within the poll", OK, OK, WHOLE, steps=-86_400.0),
    Case("SendGrid's clock is a day ahead", OK, OK, WHOLE, wall=lambda now: now + 86_400),
    Case("SendGrid's clock is a day behind", OK, OK, WHOLE, wall=lambda now: now - 86_400),
)  # fmt: skip

PAGES: Final = _group(
    "A page is not as promised",
    # Lists: an answer without rows is an empty list only where it says 0 itself, and nothing says more than 0.
    _altered(_A.RESULTS_NULL, OK, PARTIAL, TWICE, third=PARTIAL),
    _altered(_A.RESULTS_MISSING, OK, PARTIAL, TWICE, third=PARTIAL),
    _altered(_A.RESULTS_NULL, OK, OK, ONE, page=1, rows=_nothing_later, name="results null, nothing was clicked"),
    _altered(_A.RESULTS_MISSING, OK, OK, ONE, page=1, rows=_nothing_later, name="results missing, nothing was clicked"),
    _emptied("results empty, count and total as before", total_clicks=310, count=5),
    _emptied("results empty, count as before, total 0", total_clicks=0, count=5),
    _emptied("results empty, total as before, count 0", total_clicks=310, count=0),
    _emptied("results empty, no count and no total"),
    _emptied("results empty, errors beside it", total_clicks=0, count=0, errors=[{"message": "try again"}]),
    _altered(_A.RESULTS_OBJECT, INVALID, INVALID, (2, 2)),
    _altered(_A.RESULTS_TEXTS, INVALID, INVALID, (2, 2)),
    # The total: what is no whole number that a float can hold is no total; any other is shown as it is said.
    _altered(_A.TOTAL_NULL, INVALID, INVALID, (2, 3)),
    _altered(_A.TOTAL_MISSING, INVALID, INVALID, (2, 3)),
    _altered(_A.TOTAL_TEXT, INVALID, INVALID, (2, 2)),
    _altered(_A.TOTAL_NEGATIVE, INVALID, INVALID, (2, 2)),
    _altered(_A.TOTAL_FLOAT, INVALID, INVALID, (2, 2)),
    _altered(_A.TOTAL_NAN, INVALID, INVALID, (2, 2)),
    _altered(_A.TOTAL_HUGE, INVALID, INVALID, (2, 2)),
    _altered(_A.TOTAL_WRONG, OK, OK, WHOLE),
    _altered(_A.TOTAL_WRONG, OK, OK, WHOLE, page=3, total=lambda total: total + 1_000),
    _altered(_A.TOTAL_WRONG, OK, OK, WHOLE, page=0, total=lambda total: total + 1_000),
    # Metadata: without `next` the list ends, and then it is checked whether it was whole.
    _altered(_A.METADATA_NULL, OK, PARTIAL, TWICE),
    _altered(_A.METADATA_EMPTY, OK, PARTIAL, TWICE),
    _altered(_A.METADATA_MISSING, OK, PARTIAL, TWICE),
    _altered(_A.METADATA_NULL, OK, OK, WHOLE, page=3),
    _altered(_A.METADATA_EMPTY, OK, OK, WHOLE, page=3),
    _altered(_A.METADATA_MISSING, OK, OK, WHOLE, page=3),
    _altered(_A.METADATA_EMPTY, OK, OK, ONE_TWICE, page=1, page_size=50),
    _altered(_A.METADATA_LIST, INVALID, INVALID, (2, 2)),
    # The count: where it says nothing of the list, two walks have to agree; where pages differ, the list changed.
    _altered(_A.COUNT_MISSING, OK, OK, AGREED, page=0),
    _altered(_A.COUNT_NULL, OK, OK, AGREED, page=0),
    _altered(_A.COUNT_ZERO, OK, OK, AGREED, page=0),
    _altered(_A.COUNT_PER_PAGE, OK, OK, AGREED, page=0),
    _altered(_A.COUNT_TEXT, INVALID, INVALID, (2, 2)),
    _altered(_A.COUNT_NEGATIVE, INVALID, INVALID, (2, 2)),
    _altered(_A.COUNT_WHOLE_FLOAT, OK, OK, WHOLE, page=0),
    _altered(_A.COUNT_WRONG, OK, PARTIAL, TWICE),
    _altered(_A.COUNT_WRONG, OK, PARTIAL, TWICE, page=3),
    _altered(_A.COUNT_WRONG, OK, PARTIAL, TWICE, page=0),
    # The next page: the key goes to one host, and only the token is taken from the address.
    _altered(_A.NEXT_MISSING, OK, PARTIAL, TWICE),
    _altered(_A.NEXT_NULL, OK, PARTIAL, TWICE),
    _altered(_A.NEXT_EMPTY, OK, PARTIAL, TWICE),
    _altered(_A.NEXT_NULL, OK, OK, WHOLE, page=3),
    _altered(_A.NEXT_EMPTY, OK, OK, WHOLE, page=3),
    _altered(_A.NEXT_NUMBER, INVALID, INVALID, (2, 2)),
    _altered(_A.NEXT_FOREIGN, OK, OK, WHOLE),
    _altered(_A.NEXT_OTHER_SCHEME, OK, OK, WHOLE),
    _altered(_A.NEXT_OTHER_PORT, OK, OK, WHOLE),
    _altered(_A.NEXT_USER, OK, OK, WHOLE),
    _altered(_A.NEXT_RELATIVE, OK, OK, WHOLE),
    _altered(_A.NEXT_WITHOUT_TOKEN, INVALID, INVALID, (2, 2)),
    _altered(_A.NEXT_REPEATED, INVALID, INVALID, (2, 4)),
    _altered(_A.NEXT_SAME_PAGE, OK, INVALID, UNBOUNDED, rows=_sixty, page_size=25),
    _altered(_A.ENDLESS, OK, INVALID, UNBOUNDED, page=0, page_size=50),
    # Rows that do not make one list: the last good stays, until the same has come three times; no row is doubled then.
    _altered(_A.PAGE_REPEATED, OK, PARTIAL, TWICE),
    _altered(_A.PAGE_REPEATED, OK, PARTIAL, TWICE, rows=_equal, name="page repeated, equal numbers everywhere"),
    _altered(_A.ROW_MOVED, OK, PARTIAL, TWICE),
    _altered(_A.ROW_LOST, OK, PARTIAL, TWICE),
    _altered(_A.ROW_TWICE, OK, PARTIAL, TWICE),
    _altered(_A.ROWS_TWICE, OK, PARTIAL, TWICE, page=0),
    _altered(_A.ROWS_TWICE, OK, PARTIAL, TWICE, page=0, rows=_placeless, name="rows twice, without a location"),
    _altered(_A.ROW_NULL, INVALID, INVALID, (2, 2)),
    # Clicks.
    _altered(_A.CLICKS_NULL, INVALID, INVALID, (2, 2)),
    _altered(_A.CLICKS_MISSING, INVALID, INVALID, (2, 2)),
    _altered(_A.CLICKS_TEXT, INVALID, INVALID, (2, 2)),
    _altered(_A.CLICKS_TRUE, INVALID, INVALID, (2, 2)),
    _altered(_A.CLICKS_ZERO, OK, OK, WHOLE, shows=_row(2, clicks=0)),
    _altered(_A.CLICKS_NEGATIVE, INVALID, INVALID, (2, 2)),
    _altered(_A.CLICKS_FLOAT, INVALID, INVALID, (2, 2)),
    _altered(_A.CLICKS_WHOLE_FLOAT, OK, OK, WHOLE),
    _altered(_A.CLICKS_NAN, INVALID, INVALID, (2, 2)),
    _altered(_A.CLICKS_INFINITY, INVALID, INVALID, (2, 2)),
    _altered(_A.CLICKS_HUGE, INVALID, INVALID, (2, 2)),
    # Labels: text is repaired and bounded, anything but text is refused.
    _altered(_A.URL_NULL, INVALID, INVALID, (2, 2)),
    _altered(_A.URL_MISSING, INVALID, INVALID, (2, 2)),
    _altered(_A.URL_NUMBER, INVALID, INVALID, (2, 2)),
    _altered(_A.URL_SURROGATE, OK, OK, WHOLE, shows=_row(2, url="https://example.com/\ufffd")),
    _altered(_A.URL_LONG, OK, OK, WHOLE, shows=_row(2, url=_LONG)),
    _altered(_A.STEP_NULL, INVALID, INVALID, (2, 2)),
    _altered(_A.STEP_MISSING, INVALID, INVALID, (2, 2)),
    _altered(_A.STEP_NUMBER, INVALID, INVALID, (2, 2)),
    _altered(_A.PLACE_NULL, OK, OK, WHOLE, shows=_row(2, url_location=None)),
    _altered(_A.PLACE_TEXT, INVALID, INVALID, (2, 2)),
    _altered(_A.PLACE_NEGATIVE, OK, OK, WHOLE, shows=_row(2, url_location=-1)),
    _altered(_A.PLACE_FLOAT, INVALID, INVALID, (2, 2)),
    _altered(_A.PLACE_HUGE, INVALID, INVALID, (2, 2)),
    _altered(_A.EXTRA_FIELDS, OK, OK, WHOLE, page=0),
    # Bodies.
    _altered(_A.TOP_NULL, INVALID, INVALID, (2, 2)),
    _altered(_A.TOP_LIST, INVALID, INVALID, (2, 2)),
    _altered(_A.TOP_NUMBER, INVALID, INVALID, (2, 2)),
    _altered(_A.BODY_EMPTY, INVALID, INVALID, (2, 2)),
    _altered(_A.BODY_HTML, INVALID, INVALID, (2, 2)),
    _altered(_A.BODY_TRUNCATED, INVALID, INVALID, (2, 2)),
    _altered(_A.BODY_NOT_JSON, INVALID, INVALID, (2, 2)),
    _altered(_A.BODY_INVALID_UTF8, OK, OK, WHOLE, shows=_damaged),
    _altered(_A.BODY_BOM, OK, OK, WHOLE, page=0),
    _altered(_A.BODY_TRAILING, INVALID, INVALID, (2, 2)),
    _altered(_A.BODY_DEEP, INVALID, INVALID, (2, 2)),
    _altered(_A.BODY_DOUBLE_KEYS, OK, OK, WHOLE),
    _altered(_A.TYPE_WRONG, OK, OK, WHOLE),
    Case("a captive portal's page", INVALID, INVALID, ONE,
         Fault(body=b"<html><title>Hotel WiFi</title></html>", headers=(("Content-Type", "text/html"),))),
    Case("a page of more rows than any list has", INVALID, INVALID, ONE,
         Fault(body=b'{"results":[' + b",".join([b"{}"] * 350_000) + b'],"total_clicks":0}')),
    # A hostile server: a list of large pages must not fill the memory before the number of pages ends it.
    Case("pages of 2 MB without an end", OK, INVALID, (2, 20), Fault(alter=_A.ENDLESS),
         rows=lambda more: (Row(STEP, "u" * 2_000_000, 0, 10 + more),)),
)  # fmt: skip

DELIVERIES: Final = _group(
    "The answer arrives in another way",
    _delivered(_D.WHOLE, OK, OK, WHOLE),
    _delivered(_D.CLOSE_AFTER, OK, OK, WHOLE),
    _delivered(_D.CHUNKED, OK, OK, WHOLE),
    _delivered(_D.GZIP, OK, OK, WHOLE),
    _delivered(_D.CONTINUE, OK, OK, WHOLE),
    # Interim answers are read over; what comes behind an answer is read as no other request's.
    _delivered(_D.EARLY_HINTS, OK, OK, WHOLE, name="102 and 103, and the answer a little later", pace=0.1),
    _delivered(_D.SECOND_ANSWER, OK, OK, WHOLE, name="the answer twice"),
    _delivered(_D.TRICKLE_STATUS, OK, LATE, RETRIED, timeout=0.25, pace=0.05),
    _delivered(_D.TRICKLE_HEADERS, OK, LATE, RETRIED, timeout=0.25, pace=0.05),
    _delivered(_D.TRICKLE_BODY, OK, LATE, RETRIED, timeout=0.25, pace=0.05),
    _delivered(_D.STALL, OK, LATE, RETRIED, timeout=0.25),
    _delivered(_D.STALL_IN_HEADERS, OK, LATE, RETRIED, timeout=0.25),
    _delivered(_D.STALL_IN_BODY, OK, LATE, RETRIED, timeout=0.25),
    _delivered(_D.RESET_BEFORE, OK, BROKEN, RETRIED),
    _delivered(_D.RESET_IN_HEADERS, OK, BROKEN, RETRIED),
    _delivered(_D.RESET_IN_BODY, OK, BROKEN, RETRIED),
    _delivered(_D.CLOSE, OK, BROKEN, RETRIED),
    # Headers that end too early are a broken connection, whatever status they began with: never an empty list.
    _delivered(_D.CUT_HEADERS, OK, BROKEN, RETRIED),
    _delivered(_D.CUT_BODY, OK, BROKEN, RETRIED),
    _delivered(_D.CUT_CHUNK, OK, BROKEN, RETRIED),
    _delivered(_D.CUT_GZIP, INVALID, INVALID, ONE),
    _delivered(_D.WRONG_GZIP, INVALID, INVALID, ONE),
    _delivered(_D.GZIP_BOMB, INVALID, INVALID, ONE, name="gzip bomb of 1 GB"),
    _delivered(_D.HUGE_BODY, INVALID, INVALID, ONE, name="body of 1 GB"),
    _delivered(_D.HUGE_CHUNKS, INVALID, INVALID, ONE, name="chunks of 1 GB"),
    _delivered(_D.HUGE_HEADERS, OK, BROKEN, RETRIED, name="headers of 1 GB"),
    _delivered(_D.NOT_HTTP, OK, BROKEN, RETRIED),
    Case("an encoding that was not asked for", INVALID, INVALID, ONE, Fault(headers=(("Content-Encoding", "br"),))),
    *(Case(f"Content-Encoding: {word}, on a plain answer", OK, OK, WHOLE, Fault(headers=(("Content-Encoding", word),)))
      for word in ("UTF-8", "none", "identity, identity", "aws-chunked")),
)  # fmt: skip

_UNAUTHORIZED: Final = (
    b'{"errors":[{"field":null,"message":"authorization required"}]}',
    b'{"errors":[{"field":null,"message":"The provided authorization grant is invalid, expired, or revoked"}]}',
    b'{"errors":[{"field":null,"message":"Permission denied, wrong credentials"}]}',
)
_BODIES: Final[Mapping[str, bytes]] = {
    "with the documented body": b'{"errors":[{"field":null,"message":"internal error"}]}',
    "with help null": b'{"errors":[{"field":null,"message":"internal error","help":null}],"id":"x"}',
    "with a message only": b'{"message":"internal error"}',
    "with an error only": b'{"error":"internal error"}',
    "with HTML": b"<html><body><h1>Bad Gateway</h1></body></html>",
    "with an empty body": b"",
    "with errors null": b'{"errors":null}',
    "with errors as text": b'{"errors":"none"}',
    "with errors of texts": b'{"errors":["one",2,null,{}]}',
    "with a list": b"[1,2]",
    "with deep nesting": b'{"errors":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "with nesting that can just be read": b'{"errors":[{"help":' + b"[" * 976 + b"]" * 976 + b"}]}",
    "with invalid UTF-8": b'{"message":"\xff\xfe\xed\xa0\x80"}',
    "with a surrogate": b'{"message":"\\ud83d"}',
    "with control characters": b'{"message":"line\\nbreak\\u0000\\u001b[31m"}',
    "with a good list": b'{"results":[],"total_clicks":0,"_metadata":{"count":0}}',
}

REFUSALS: Final = _group(
    "SendGrid refuses",
    # Stray ones happen: tried again once, then left alone.
    # A key that was never accepted is refused to the others too, for ten seconds.
    *(_answered(f"wording {n}", 401, OK, Outcome.UNAUTHORIZED, (2, 2), body=body, pause=10.0)
      for n, body in enumerate(_UNAUTHORIZED, 1)),
    # Also a temporary block.
    _answered("", 403, OK, Outcome.FORBIDDEN, (2, 2)),
    _answered("", 404, Outcome.NOT_FOUND, Outcome.NOT_FOUND, ONE),
    # A proxy's; asked again and again it would lock the account.
    _answered("of a proxy", 407, REFUSED, REFUSED, ONE),
    _answered("on the first page", 400, REFUSED, REFUSED, ONE),
    _answered("on a page token", 400, OK, REFUSED, (4, 4), page=2),
    _answered("with field and help", 400, REFUSED, REFUSED, ONE,
              body=b'{"errors":[{"field":"page_size","message":"wrong","help":{"a":1}}],"id":"x"}'),
    *(_answered("", status, REFUSED, REFUSED, ONE) for status in (402, 405, 406, 408, 410, 413, 415, 422, 451, 499)),
    *(_answered("", status, OK, FAILED, RETRIED) for status in (500, 501, 502, 503, 504, 520, 599)),
    *(_answered(name, 500, OK, FAILED, RETRIED, body=body) for name, body in _BODIES.items()),
    *(_answered(name, 404, Outcome.NOT_FOUND, Outcome.NOT_FOUND, ONE, body=body) for name, body in _BODIES.items()),
    # The status has told the failure already; its explanation is only lost.
    _delivered(_D.HUGE_BODY, OK, FAILED, RETRIED, status=503, name="503 with a body of 1 GB"),
    _delivered(_D.CUT_BODY, OK, FAILED, RETRIED, status=503, name="503 with a cut body"),
    _delivered(_D.CUT_HEADERS, OK, BROKEN, RETRIED, status=503, name="503 with cut headers"),
    _delivered(_D.WRONG_GZIP, OK, FAILED, RETRIED, status=503, name="503 with wrong gzip"),
    _delivered(_D.STALL_IN_BODY, OK, FAILED, RETRIED, status=503, name="503 that stalls in its body", timeout=0.25),
    # Neither an answer of the API nor a documented refusal.
    *(_answered("", status, INVALID, INVALID, ONE, body=b"") for status in (201, 202, 204, 205, 206, 226, 600, 999)),
    _answered("with a good page", 206, INVALID, INVALID, ONE, body=_BODIES["with a good list"]),
    # Redirects are never followed: the key goes to one host.
    *(_answered("to another host", status, INVALID, INVALID, ONE, body=b"",
                headers=(("Location", "https://foreign.example.com/v3/marketing"),))
      for status in (301, 302, 303, 307, 308)),
    _answered("to the same host", 302, INVALID, INVALID, ONE, body=b"",
              headers=(("Location", "/v3/marketing/stats/automations"),)),
    _answered("without an address", 302, INVALID, INVALID, ONE, body=b""),
    _answered("", 304, INVALID, INVALID, ONE, body=b""),
)  # fmt: skip

_NO_RATE: Final = (("X-RateLimit-Limit", None), ("X-RateLimit-Remaining", None), ("X-RateLimit-Reset", None))


def _limited(name: str, *headers: tuple[str, str | None], waits: tuple[float, float], **more: Any) -> Case:
    asked, once = more.pop("asked", RETRIED), more.pop("once", OK)
    return _answered(name, 429, once, LIMITED, asked, headers=(*_NO_RATE, *headers), waits=waits, **more)


_SOME: Final = (0.0, 60.0)
"""A back-off of our own."""
_TWENTY: Final = (20.0, 60.0)

LIMITS: Final = _group(
    "Too many requests",
    _limited("without headers", waits=_SOME),
    _limited("Retry-After in seconds", ("Retry-After", "20"), waits=_TWENTY),
    _limited("retry-after in lower case", ("retry-after", "20"), waits=_TWENTY),
    _limited("Retry-After as a date", ("Date", formatdate(1e9, usegmt=True)),
             ("Retry-After", formatdate(1e9 + 20, usegmt=True)), waits=_TWENTY),
    _limited("Retry-After as a date in asctime's form", ("Date", formatdate(1e9, usegmt=True)),
             ("Retry-After", "Sun Sep  9 01:47:00 2001"), waits=_TWENTY),
    _limited("Retry-After as a date of no zone", ("Date", formatdate(1e9, usegmt=True)),
             ("Retry-After", formatdate(1e9 + 20)), waits=_TWENTY),
    _limited("Retry-After as a date in the past", ("Date", formatdate(1e9, usegmt=True)),
             ("Retry-After", formatdate(1e9 - 20, usegmt=True)), waits=_SOME),
    _limited("Retry-After that is garbage", ("Retry-After", "soon"), waits=_SOME),
    _limited("Retry-After empty", ("Retry-After", ""), waits=_SOME),
    _limited("Retry-After negative", ("Retry-After", "-20"), waits=_SOME),
    _limited("Retry-After infinite", ("Retry-After", "inf"), waits=_SOME),
    _limited("Retry-After of a year", ("Retry-After", "31536000"), waits=_SOME, asked=ONE, once=LIMITED,
             pause=301.0),
    _limited("reset as an epoch", ("Date", formatdate(1.8e9, usegmt=True)), ("X-RateLimit-Limit", "600"),
             ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1800000020"), waits=_TWENTY),
    _limited("reset as an epoch, in lower case", ("date", formatdate(1.8e9, usegmt=True)),
             ("x-ratelimit-limit", "600"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000020"),
             waits=_TWENTY),
    _limited("reset as seconds from now", ("X-RateLimit-Limit", "600"), ("X-RateLimit-Remaining", "0"),
             ("X-RateLimit-Reset", "20"), waits=_TWENTY),
    _limited("reset alone", ("X-RateLimit-Reset", "20"), waits=_TWENTY),
    _limited("reset in the past", ("Date", formatdate(1.8e9, usegmt=True)), ("X-RateLimit-Remaining", "0"),
             ("X-RateLimit-Reset", "1799990000"), waits=_SOME),
    _limited("headers that are garbage", ("X-RateLimit-Limit", "many"), ("X-RateLimit-Remaining", "none"),
             ("X-RateLimit-Reset", "tomorrow"), waits=_SOME),
    _limited("headers that are not numbers", ("X-RateLimit-Limit", "nan"), ("X-RateLimit-Remaining", "inf"),
             ("X-RateLimit-Reset", "-inf"), waits=_SOME),
    _limited("a Date that is garbage", ("Date", "yesterday"), ("Retry-After", "20"), waits=_TWENTY),
    _limited("with HTML", ("Retry-After", "20"), waits=_TWENTY, body=b"<h1>Too many requests</h1>"),
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """An address where no SendGrid answers; nothing of it passes by itself, so there is no `once`."""

    name: str
    outcome: Outcome
    says: str
    """What the log line must tell of the reason."""
    timeout: float = 20.0


PLACES: Final = (
    Place("name that does not resolve", BROKEN, "Name or service not known; check .* DNS"),
    Place("port where nobody listens", BROKEN, "Connection refused; check .* firewall"),
    Place("TLS for another host", BROKEN, "certificate is not valid for.*; check sendgrid.base_url"),
    Place("TLS that has expired", BROKEN, "certificate has expired.*; check .* clock"),
    Place("TLS of an unknown authority", BROKEN, "unable to get local issuer certificate.*; check .* sendgrid.ca_file"),
    Place("TLS asked of a plain server", BROKEN, "SSL.*; check that the port"),
    Place("plain HTTP asked of a TLS server", BROKEN, "breaks HTTP|reset|closed"),
    Place("server that never says a word", LATE, "in time; check .* sendgrid.timeout", timeout=0.25),
    Place("TLS server that never says a word", LATE, "in time; check the network", timeout=0.25),
    Place("proxy that refuses", BROKEN, "the proxy: .*Connection refused; check .* sendgrid.proxy"),
)

CASES: Final[Sequence[Case]] = (*HONEST, *PAGES, *DELIVERIES, *REFUSALS, *LIMITS)
