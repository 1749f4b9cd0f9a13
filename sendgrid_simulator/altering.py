"""How an honest page becomes one that is not as the API promises."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from sendgrid_simulator.alterations import Alteration
from sendgrid_simulator.altered_values import METADATA, ROW, TOP, set_value
from sendgrid_simulator.messages import Response, json_response
from sendgrid_simulator.paging import Page, row_document

_A: Final = Alteration


def _with_next(document: dict[str, Any], url: str) -> None:
    document["_metadata"]["next"] = url


def _honest_next(page: Page) -> str:
    """Return the URL of the page after this one, whether the list has one or not."""
    return page.listing.url(page.listing.token(page.offset + page.listing.size))


def _next_foreign(document: dict[str, Any], page: Page) -> None:
    _with_next(document, _honest_next(page).replace(page.listing.origin, "https://foreign.example.com", 1))


def _next_other_scheme(document: dict[str, Any], page: Page) -> None:
    scheme, _, rest = _honest_next(page).partition("://")
    _with_next(document, f"{'http' if scheme == 'https' else 'https'}://{rest}")


def _next_other_port(document: dict[str, Any], page: Page) -> None:
    parts = urlsplit(_honest_next(page))
    _with_next(document, parts._replace(netloc=f"{parts.hostname}:1").geturl())


def _next_user(document: dict[str, Any], page: Page) -> None:
    _with_next(document, _honest_next(page).replace("://", "://api.sendgrid.com@", 1))


def _next_relative(document: dict[str, Any], page: Page) -> None:
    _with_next(document, _honest_next(page).removeprefix(page.listing.origin))


def _next_without_token(document: dict[str, Any], page: Page) -> None:
    _with_next(document, page.listing.url(None))


def _next_repeated(document: dict[str, Any], page: Page) -> None:
    _with_next(document, page.listing.url(page.listing.token(page.offset, page.turn)))


def _next_same_page(document: dict[str, Any], page: Page) -> None:
    _with_next(document, page.listing.url(page.listing.token(page.offset, page.turn + 1)))


def _endless(document: dict[str, Any], page: Page) -> None:
    if page.rows:
        begin = page.offset % len(page.rows)
        document["results"] = [row_document(row) for row in page.rows[begin : begin + page.listing.size]]
    _with_next(document, _honest_next(page))


def _page_repeated(document: dict[str, Any], page: Page) -> None:
    begin = max(page.offset - page.listing.size, 0)
    document["results"] = [row_document(row) for row in page.rows[begin : begin + page.listing.size]]


def _row_moved(document: dict[str, Any], page: Page) -> None:
    if page.offset and document["results"]:
        document["results"][0] = row_document(page.rows[page.offset - 1])


def _row_lost(document: dict[str, Any], _: Page) -> None:
    del document["results"][-1:]


def _row_twice(document: dict[str, Any], _: Page) -> None:
    document["results"] += document["results"][-1:]


def _rows_twice(document: dict[str, Any], _: Page) -> None:
    document["results"] = [row for row in document["results"] for _ in range(2)]


def _row_null(document: dict[str, Any], _: Page) -> None:
    document["results"][:1] = [None]


def _total_wrong(document: dict[str, Any], page: Page) -> None:
    document["total_clicks"] = page.total + 1_000


def _count_wrong(document: dict[str, Any], page: Page) -> None:
    document["_metadata"]["count"] = len(page.rows) + 1


def _count_per_page(document: dict[str, Any], _: Page) -> None:
    document["_metadata"]["count"] = len(document["results"])


def _count_whole_float(document: dict[str, Any], page: Page) -> None:
    document["_metadata"]["count"] = float(len(page.rows))


def _clicks_whole_float(document: dict[str, Any], _: Page) -> None:
    for row in document["results"]:
        row["clicks"] = float(row["clicks"])


_PAGES: Final[Mapping[Alteration, Callable[[dict[str, Any], Page], None]]] = MappingProxyType(
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
    return lambda honest: Response(honest.status, change(honest.body), honest.headers)


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
        _A.BODY_INVALID_UTF8: _body(lambda body: body.replace(b'"url":"', b'"url":"\xff\xc3(', 1)),
        _A.BODY_BOM: _body(lambda body: b"\xef\xbb\xbf" + body),
        _A.BODY_TRAILING: _body(lambda body: body + b"}"),
        _A.BODY_DEEP: _body(lambda _: b'{"results":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        _A.BODY_DOUBLE_KEYS: _body(lambda body: b'{"total_clicks":1,' + body[1:]),
        _A.TYPE_WRONG: lambda honest: _html(honest.body),
    }
)


def altered(alteration: Alteration, page: Page) -> Response:
    """Return the page with what is wrong with it."""
    document: dict[str, Any] = page.document()
    if alteration in TOP:
        set_value(document, *TOP[alteration])
    elif alteration in METADATA:
        set_value(document["_metadata"], *METADATA[alteration])
    elif alteration in ROW:
        for row in document["results"][:1]:
            set_value(row, *ROW[alteration])
    elif alteration in _PAGES:
        _PAGES[alteration](document, page)
    else:
        return _RAW[alteration](json_response(document))
    return json_response(document)
