"""Pages that break the API's promises: the possible defects, and how to apply them to a correct page."""

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from sendgrid_simulator.messages import Response, json_response
from sendgrid_simulator.pages import Page


class Alteration(StrEnum):
    """The defect of a page, and where it is; in a list of statistics `CLICKS_…` applies to the statistics."""

    RESULTS_NULL = "results_null"
    RESULTS_MISSING = "results_missing"
    RESULTS_OBJECT = "results_object"
    RESULTS_TEXTS = "results_texts"
    TOTAL_NULL = "total_null"
    TOTAL_MISSING = "total_missing"
    TOTAL_TEXT = "total_text"
    TOTAL_NEGATIVE = "total_negative"
    TOTAL_FLOAT = "total_float"
    TOTAL_NAN = "total_nan"
    TOTAL_HUGE = "total_huge"
    TOTAL_WRONG = "total_wrong"
    METADATA_NULL = "metadata_null"
    METADATA_EMPTY = "metadata_empty"
    METADATA_MISSING = "metadata_missing"
    METADATA_LIST = "metadata_list"
    COUNT_MISSING = "count_missing"
    COUNT_NULL = "count_null"
    COUNT_TEXT = "count_text"
    COUNT_NEGATIVE = "count_negative"
    COUNT_WHOLE_FLOAT = "count_whole_float"
    COUNT_WRONG = "count_wrong"
    COUNT_ZERO = "count_zero"
    COUNT_PER_PAGE = "count_per_page"
    NEXT_MISSING = "next_missing"
    NEXT_NULL = "next_null"
    NEXT_EMPTY = "next_empty"
    NEXT_NUMBER = "next_number"
    NEXT_FOREIGN = "next_foreign"
    NEXT_OTHER_SCHEME = "next_other_scheme"
    NEXT_OTHER_PORT = "next_other_port"
    NEXT_USER = "next_user"
    NEXT_RELATIVE = "next_relative"
    NEXT_WITHOUT_TOKEN = "next_without_token"  # noqa: S105 - no secret
    NEXT_REPEATED = "next_repeated"
    NEXT_SAME_PAGE = "next_same_page"
    ENDLESS = "endless"
    PAGE_REPEATED = "page_repeated"
    ROW_MOVED = "row_moved"
    ROW_LOST = "row_lost"
    ROW_TWICE = "row_twice"
    ROWS_TWICE = "rows_twice"
    CLICKS_NULL = "clicks_null"
    CLICKS_MISSING = "clicks_missing"
    CLICKS_TEXT = "clicks_text"
    CLICKS_TRUE = "clicks_true"
    CLICKS_ZERO = "clicks_zero"
    CLICKS_NEGATIVE = "clicks_negative"
    CLICKS_FLOAT = "clicks_float"
    CLICKS_WHOLE_FLOAT = "clicks_whole_float"
    CLICKS_NAN = "clicks_nan"
    CLICKS_INFINITY = "clicks_infinity"
    CLICKS_HUGE = "clicks_huge"
    URL_NULL = "url_null"
    URL_MISSING = "url_missing"
    URL_NUMBER = "url_number"
    URL_SURROGATE = "url_surrogate"
    URL_LONG = "url_long"
    STEP_NULL = "step_null"
    STEP_MISSING = "step_missing"
    STEP_NUMBER = "step_number"
    PLACE_NULL = "place_null"
    PLACE_TEXT = "place_text"
    PLACE_NEGATIVE = "place_negative"
    PLACE_FLOAT = "place_float"
    PLACE_HUGE = "place_huge"
    ROW_NULL = "row_null"
    EXTRA_FIELDS = "extra_fields"
    TOP_NULL = "top_null"
    TOP_LIST = "top_list"
    TOP_NUMBER = "top_number"
    BODY_EMPTY = "body_empty"
    BODY_HTML = "body_html"
    BODY_TRUNCATED = "body_truncated"
    BODY_NOT_JSON = "body_not_json"
    BODY_INVALID_UTF8 = "body_invalid_utf8"
    BODY_BOM = "body_bom"
    BODY_TRAILING = "body_trailing"
    BODY_DEEP = "body_deep"
    BODY_DOUBLE_KEYS = "body_double_keys"
    TYPE_WRONG = "type_wrong"


class StatisticsAlteration(StrEnum):
    """The defect of the first row of a list of statistics."""

    ID_NULL = "id_null"
    ID_MISSING = "id_missing"
    ID_NUMBER = "id_number"
    ID_NO_UUID = "id_no_uuid"
    AGGREGATION_OTHER = "aggregation_other"
    STATS_NULL = "stats_null"
    STATS_MISSING = "stats_missing"
    STATS_EMPTY = "stats_empty"
    STATS_LIST = "stats_list"
    DELIVERED_NULL = "delivered_null"
    DELIVERED_MISSING = "delivered_missing"
    DELIVERED_TEXT = "delivered_text"
    DELIVERED_TRUE = "delivered_true"
    DELIVERED_NEGATIVE = "delivered_negative"
    DELIVERED_FLOAT = "delivered_float"
    DELIVERED_NAN = "delivered_nan"
    DELIVERED_HUGE = "delivered_huge"
    EXTRA_STATS = "extra_stats"
    ENDLESS_IDS = "endless_ids"
    """Endless pages, in which every row is a different automation."""


_A: Final = Alteration
_MISSING: Final = object()
_HUGE: Final = 10**30
_TOP: Final[Mapping[Alteration, tuple[str, object]]] = MappingProxyType(
    {
        _A.RESULTS_NULL: ("results", None),
        _A.RESULTS_MISSING: ("results", _MISSING),
        _A.RESULTS_OBJECT: ("results", {"url": "https://example.com/"}),
        _A.RESULTS_TEXTS: ("results", ["https://example.com/"]),
        _A.TOTAL_NULL: ("total_clicks", None),
        _A.TOTAL_MISSING: ("total_clicks", _MISSING),
        _A.TOTAL_TEXT: ("total_clicks", "many"),
        _A.TOTAL_NEGATIVE: ("total_clicks", -1),
        _A.TOTAL_FLOAT: ("total_clicks", 3.5),
        _A.TOTAL_NAN: ("total_clicks", math.nan),
        _A.TOTAL_HUGE: ("total_clicks", _HUGE),
        _A.METADATA_NULL: ("_metadata", None),
        _A.METADATA_EMPTY: ("_metadata", {}),
        _A.METADATA_MISSING: ("_metadata", _MISSING),
        _A.METADATA_LIST: ("_metadata", []),
        _A.EXTRA_FIELDS: ("served_by", {"node": 7, "tags": ["a", None]}),
    }
)
_METADATA: Final[Mapping[Alteration, tuple[str, object]]] = MappingProxyType(
    {
        _A.COUNT_MISSING: ("count", _MISSING),
        _A.COUNT_NULL: ("count", None),
        _A.COUNT_TEXT: ("count", "many"),
        _A.COUNT_NEGATIVE: ("count", -1),
        _A.COUNT_ZERO: ("count", 0),
        _A.NEXT_MISSING: ("next", _MISSING),
        _A.NEXT_NULL: ("next", None),
        _A.NEXT_EMPTY: ("next", ""),
        _A.NEXT_NUMBER: ("next", 7),
    }
)
_ROW: Final[Mapping[Alteration, tuple[str, object]]] = MappingProxyType(
    {
        _A.CLICKS_NULL: ("clicks", None),
        _A.CLICKS_MISSING: ("clicks", _MISSING),
        _A.CLICKS_TEXT: ("clicks", "many"),
        _A.CLICKS_TRUE: ("clicks", True),
        _A.CLICKS_ZERO: ("clicks", 0),
        _A.CLICKS_NEGATIVE: ("clicks", -1),
        _A.CLICKS_FLOAT: ("clicks", 3.5),
        _A.CLICKS_NAN: ("clicks", math.nan),
        _A.CLICKS_INFINITY: ("clicks", math.inf),
        _A.CLICKS_HUGE: ("clicks", _HUGE),
        _A.URL_NULL: ("url", None),
        _A.URL_MISSING: ("url", _MISSING),
        _A.URL_NUMBER: ("url", 7),
        _A.URL_SURROGATE: ("url", "https://example.com/\ud83d"),
        _A.URL_LONG: ("url", "https://example.com/" + "x" * 100_000),
        _A.STEP_NULL: ("step_id", None),
        _A.STEP_MISSING: ("step_id", _MISSING),
        _A.STEP_NUMBER: ("step_id", 7),
        _A.PLACE_NULL: ("url_location", None),
        _A.PLACE_TEXT: ("url_location", "top"),
        _A.PLACE_NEGATIVE: ("url_location", -1),
        _A.PLACE_FLOAT: ("url_location", 1.5),
        _A.PLACE_HUGE: ("url_location", _HUGE),
    }
)


_S: Final = StatisticsAlteration
_STATISTICS_ROW: Final[Mapping[StatisticsAlteration, tuple[str, object]]] = MappingProxyType(
    {
        _S.ID_NULL: ("id", None),
        _S.ID_MISSING: ("id", _MISSING),
        _S.ID_NUMBER: ("id", 7),
        _S.ID_NO_UUID: ("id", 'spring sale"\n'),
        _S.AGGREGATION_OTHER: ("aggregation", "2021-01-01"),
        _S.STATS_NULL: ("stats", None),
        _S.STATS_MISSING: ("stats", _MISSING),
        _S.STATS_EMPTY: ("stats", {}),
        _S.STATS_LIST: ("stats", [7]),
    }
)
_STATS: Final[Mapping[StatisticsAlteration, tuple[str, object]]] = MappingProxyType(
    {
        _S.DELIVERED_NULL: ("delivered", None),
        _S.DELIVERED_MISSING: ("delivered", _MISSING),
        _S.DELIVERED_TEXT: ("delivered", "many"),
        _S.DELIVERED_TRUE: ("delivered", True),
        _S.DELIVERED_NEGATIVE: ("delivered", -1),
        _S.DELIVERED_FLOAT: ("delivered", 3.5),
        _S.DELIVERED_NAN: ("delivered", math.nan),
        _S.DELIVERED_HUGE: ("delivered", _HUGE),
        _S.EXTRA_STATS: ("group_unsubscribes", 7),
    }
)


def _with_next(document: dict[str, Any], url: str) -> None:
    document["_metadata"]["next"] = url


def _correct_next(page: Page[Any]) -> str:
    """Return the URL of the next page, whether the list has one or not."""
    return page.listing.url(page.listing.token(page.offset + page.listing.size))


def _next_foreign(document: dict[str, Any], page: Page[Any]) -> None:
    _with_next(document, _correct_next(page).replace(page.listing.origin, "https://foreign.example.com", 1))


def _next_other_scheme(document: dict[str, Any], page: Page[Any]) -> None:
    scheme, _, rest = _correct_next(page).partition("://")
    _with_next(document, f"{'http' if scheme == 'https' else 'https'}://{rest}")


def _next_other_port(document: dict[str, Any], page: Page[Any]) -> None:
    parts = urlsplit(_correct_next(page))
    _with_next(document, parts._replace(netloc=f"{parts.hostname}:1").geturl())


def _next_user(document: dict[str, Any], page: Page[Any]) -> None:
    _with_next(document, _correct_next(page).replace("://", "://api.sendgrid.com@", 1))


def _next_relative(document: dict[str, Any], page: Page[Any]) -> None:
    _with_next(document, _correct_next(page).removeprefix(page.listing.origin))


def _next_without_token(document: dict[str, Any], page: Page[Any]) -> None:
    _with_next(document, page.listing.url(None))


def _next_repeated(document: dict[str, Any], page: Page[Any]) -> None:
    _with_next(document, page.listing.url(page.listing.token(page.offset, page.turn)))


# The same page under new tokens again and again: a client that only remembers tokens never stops.
def _next_same_page(document: dict[str, Any], page: Page[Any]) -> None:
    _with_next(document, page.listing.url(page.listing.token(page.offset, page.turn + 1)))


def _endless(document: dict[str, Any], page: Page[Any]) -> None:
    if page.rows:
        start = page.offset % len(page.rows)
        document["results"] = [page.encode(row) for row in page.rows[start : start + page.listing.size]]
    _with_next(document, _correct_next(page))


def _page_repeated(document: dict[str, Any], page: Page[Any]) -> None:
    start = max(page.offset - page.listing.size, 0)
    document["results"] = [page.encode(row) for row in page.rows[start : start + page.listing.size]]


def _row_moved(document: dict[str, Any], page: Page[Any]) -> None:
    if page.offset and document["results"]:
        document["results"][0] = page.encode(page.rows[page.offset - 1])


def _row_lost(document: dict[str, Any], _: Page[Any]) -> None:
    del document["results"][-1:]


def _row_twice(document: dict[str, Any], _: Page[Any]) -> None:
    document["results"] += document["results"][-1:]


def _row_null(document: dict[str, Any], _: Page[Any]) -> None:
    document["results"][:1] = [None]


def _total_wrong(document: dict[str, Any], page: Page[Any]) -> None:
    document["total_clicks"] = (page.total or 0) + 1_000


def _rows_twice(document: dict[str, Any], _: Page[Any]) -> None:
    document["results"] = [row for row in document["results"] for _ in range(2)]


def _count_per_page(document: dict[str, Any], _: Page[Any]) -> None:
    document["_metadata"]["count"] = len(document["results"])


def _count_wrong(document: dict[str, Any], page: Page[Any]) -> None:
    document["_metadata"]["count"] = len(page.rows) + 1


def _count_whole_float(document: dict[str, Any], page: Page[Any]) -> None:
    document["_metadata"]["count"] = float(len(page.rows))


def _clicks_whole_float(document: dict[str, Any], _: Page[Any]) -> None:
    for row in document["results"]:
        counts = row.get("stats", row)
        counts["clicks"] = float(counts["clicks"])


_PAGES: Final[Mapping[Alteration, Callable[[dict[str, Any], Page[Any]], None]]] = MappingProxyType(
    {
        _A.NEXT_FOREIGN: _next_foreign,
        _A.NEXT_OTHER_SCHEME: _next_other_scheme,
        _A.NEXT_OTHER_PORT: _next_other_port,
        _A.NEXT_USER: _next_user,
        _A.NEXT_RELATIVE: _next_relative,
        _A.NEXT_WITHOUT_TOKEN: _next_without_token,
        _A.NEXT_REPEATED: _next_repeated,
        _A.NEXT_SAME_PAGE: _next_same_page,
        _A.ENDLESS: _endless,
        _A.PAGE_REPEATED: _page_repeated,
        _A.ROW_MOVED: _row_moved,
        _A.ROW_LOST: _row_lost,
        _A.ROW_TWICE: _row_twice,
        _A.ROWS_TWICE: _rows_twice,
        _A.ROW_NULL: _row_null,
        _A.TOTAL_WRONG: _total_wrong,
        _A.COUNT_WRONG: _count_wrong,
        _A.COUNT_PER_PAGE: _count_per_page,
        _A.COUNT_WHOLE_FLOAT: _count_whole_float,
        _A.CLICKS_WHOLE_FLOAT: _clicks_whole_float,
    }
)


def _body(change: Callable[[bytes], bytes]) -> Callable[[Response], Response]:
    return lambda correct: Response(correct.status, change(correct.body), correct.headers)


def _html(body: bytes) -> Response:
    return Response(200, body, (("Content-Type", "text/html; charset=utf-8"),))


_RAW: Final[Mapping[Alteration, Callable[[Response], Response]]] = MappingProxyType(
    {
        _A.TOP_NULL: _body(lambda _: b"null"),
        _A.TOP_LIST: _body(lambda body: b"[%b]" % body),
        _A.TOP_NUMBER: _body(lambda _: b"7"),
        _A.BODY_EMPTY: _body(lambda _: b""),
        _A.BODY_HTML: lambda _: _html(b"<!doctype html><title>Maintenance</title><p>We will be back soon.</p>"),
        _A.BODY_TRUNCATED: _body(lambda body: body[: len(body) * 2 // 3]),
        _A.BODY_NOT_JSON: _body(lambda _: b"{'results': []}"),
        _A.BODY_INVALID_UTF8: _body(lambda body: body.replace(b'":"', b'":"\xff\xc3(', 1)),
        _A.BODY_BOM: _body(lambda body: b"\xef\xbb\xbf" + body),
        _A.BODY_TRAILING: _body(lambda body: body + b"}"),
        _A.BODY_DEEP: _body(lambda _: b'{"results":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        _A.BODY_DOUBLE_KEYS: _body(lambda body: b'{"results":[],"total_clicks":1,' + body[1:]),
        _A.TYPE_WRONG: lambda correct: _html(correct.body),
    }
)


def altered(alteration: Alteration | StatisticsAlteration, page: Page[Any]) -> Response:
    """Return the response with the page and this defect; raise ValueError if its rows have no such field."""
    document: dict[str, Any] = page.document()
    if isinstance(alteration, StatisticsAlteration):
        _alter_statistics(alteration, document, page)
    elif alteration in _TOP:
        _set_value(document, *_TOP[alteration])
    elif alteration in _METADATA:
        _set_value(document["_metadata"], *_METADATA[alteration])
    elif alteration in _ROW:
        name, value = _ROW[alteration]
        for row in document["results"][:1]:
            _set_value(row["stats"] if name == "clicks" and "stats" in row else row, name, value)
    elif alteration in _PAGES:
        _PAGES[alteration](document, page)
    else:
        return _RAW[alteration](json_response(document))
    return json_response(document)


def _alter_statistics(alteration: StatisticsAlteration, document: dict[str, Any], page: Page[Any]) -> None:
    if any("stats" not in row for row in document["results"]):
        raise ValueError(f"{alteration} is of a list of statistics, and this one is of links")
    if alteration is StatisticsAlteration.ENDLESS_IDS:
        if not page.rows:
            return
        rows = [page.encode(page.rows[number % len(page.rows)]) for number in range(page.listing.size)]
        numbers = range(page.offset, page.offset + page.listing.size)
        document["results"] = [
            {**row, "id": f"{number:08x}-eeee-4eee-8eee-eeeeeeeeeeee"}
            for row, number in zip(rows, numbers, strict=True)
        ]
        _with_next(document, _correct_next(page))
        return
    for row in document["results"][:1]:
        if alteration in _STATS:
            _set_value(row["stats"], *_STATS[alteration])
        else:
            _set_value(row, *_STATISTICS_ROW[alteration])


def _set_value(document: dict[str, Any], name: str, value: object) -> None:
    """Set a field, or remove it."""
    if value is _MISSING:
        document.pop(name, None)
    else:
        document[name] = value
