"""What can go wrong with the account's list of automations, and what must come of it.

Written by hand from what is published of the list and from the exporter's rules, as the table of links is. The list has
three pages; a fault is on the second unless its name says another one. Whatever fails changes nobody's polling and no
statistics, and whatever succeeds lets nobody leave within three lists.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from exporter.domain import Outcome
from sendgrid_simulator import Alteration, Delivery, Fault, StatisticsAlteration
from tests.matrix.table import (
    AGREED,
    CASES,
    FAILED,
    INVALID,
    LIMITED,
    OK,
    ONE,
    ONE_TWICE,
    PARTIAL,
    REFUSED,
    RETRIED,
    UNBOUNDED,
    WHOLE,
    Case,
)

_GROUP: Final = "The list of automations"
_A: Final = Alteration
_S: Final = StatisticsAlteration
_TWO_PAGES: Final = (2, 2)
_ANY: Final = (1, 12)

_TAKEN: Final = (
    _A.TOTAL_NULL, _A.TOTAL_MISSING, _A.TOTAL_TEXT, _A.TOTAL_NEGATIVE, _A.TOTAL_FLOAT, _A.TOTAL_NAN, _A.TOTAL_HUGE,
    _A.TOTAL_WRONG, _A.COUNT_MISSING, _A.COUNT_NULL, _A.COUNT_WHOLE_FLOAT, _A.NEXT_FOREIGN, _A.NEXT_OTHER_SCHEME,
    _A.NEXT_OTHER_PORT, _A.NEXT_USER, _A.NEXT_RELATIVE, _A.ROW_TWICE, _A.ROWS_TWICE, _A.CLICKS_NULL,
    _A.CLICKS_MISSING, _A.CLICKS_ZERO, _A.CLICKS_WHOLE_FLOAT, _A.URL_NULL, _A.URL_MISSING, _A.URL_NUMBER,
    _A.URL_SURROGATE, _A.URL_LONG, _A.STEP_NULL, _A.STEP_MISSING, _A.PLACE_NULL, _A.PLACE_TEXT, _A.PLACE_NEGATIVE,
    _A.PLACE_FLOAT, _A.PLACE_HUGE, _A.EXTRA_FIELDS, _A.BODY_INVALID_UTF8, _A.BODY_BOM, _A.BODY_DOUBLE_KEYS,
    _A.TYPE_WRONG, _S.ID_NO_UUID, _S.STATS_NULL, _S.STATS_MISSING, _S.STATS_EMPTY, _S.DELIVERED_NULL,
    _S.DELIVERED_MISSING, _S.EXTRA_STATS,
)  # fmt: skip
"""Read as if nothing were wrong, but for the number or the id that is not there."""
_HALF: Final = (
    _A.RESULTS_NULL, _A.RESULTS_MISSING, _A.METADATA_NULL, _A.METADATA_EMPTY, _A.METADATA_MISSING, _A.COUNT_WRONG,
    _A.COUNT_ZERO, _A.NEXT_MISSING, _A.NEXT_NULL, _A.NEXT_EMPTY, _A.PAGE_REPEATED, _A.ROW_MOVED, _A.ROW_LOST,
)  # fmt: skip
"""A list that does not show all of its automations is read again, and given up where it stays so."""
_REFUSED: Final = (
    _A.RESULTS_OBJECT, _A.RESULTS_TEXTS, _A.METADATA_LIST, _A.COUNT_TEXT, _A.COUNT_NEGATIVE, _A.NEXT_NUMBER,
    _A.NEXT_WITHOUT_TOKEN, _A.NEXT_REPEATED, _A.ROW_NULL, _A.CLICKS_TEXT, _A.CLICKS_TRUE, _A.CLICKS_NEGATIVE,
    _A.CLICKS_FLOAT, _A.CLICKS_NAN, _A.CLICKS_INFINITY, _A.CLICKS_HUGE, _A.STEP_NUMBER, _A.TOP_NULL, _A.TOP_LIST,
    _A.TOP_NUMBER, _A.BODY_EMPTY, _A.BODY_HTML, _A.BODY_TRUNCATED, _A.BODY_NOT_JSON, _A.BODY_TRAILING, _A.BODY_DEEP,
    _S.ID_NULL, _S.ID_MISSING, _S.ID_NUMBER, _S.AGGREGATION_OTHER, _S.STATS_LIST, _S.DELIVERED_TEXT,
    _S.DELIVERED_TRUE, _S.DELIVERED_NEGATIVE, _S.DELIVERED_FLOAT, _S.DELIVERED_NAN, _S.DELIVERED_HUGE,
)  # fmt: skip
"""What no API gives refuses the whole list at once."""

_AN_ID: Final = "00000000-0000-4000-8000-{:012}"


def _document(ids: Sequence[str], **more: object) -> bytes:
    rows = [{"id": id_, "aggregation": "total", "step_id": "all", "stats": None} for id_ in ids]
    return json.dumps({"results": rows, **more}).encode()


def _case(
    name: str, fault: Fault, once: Outcome, lasting: Outcome, asked: tuple[int, int], *, timeout: float = 20.0
) -> Case:
    return Case(name, once, lasting, asked, fault, group=_GROUP, timeout=timeout)


def _alterations() -> Iterator[Case]:
    for alteration in _TAKEN:
        yield _case(_named(alteration), Fault(alter=alteration, page=2), OK, OK, WHOLE)
    for alteration in _HALF:
        yield _case(_named(alteration), Fault(alter=alteration, page=2), OK, PARTIAL, _ANY)
    for alteration in _REFUSED:
        yield _case(_named(alteration), Fault(alter=alteration, page=2), INVALID, INVALID, _TWO_PAGES)


def _named(alteration: Alteration | StatisticsAlteration) -> str:
    return alteration.replace("_", " ")


def _deliveries() -> Iterator[Case]:
    """Yield a case for each way in which bytes get lost: the exchange is the one of links."""
    for case in CASES:
        if case.fault is not None and case.fault.deliver is not Delivery.WHOLE and case.fault.status is None:
            yield _case(case.name, case.fault, case.once, case.lasting, case.asked, timeout=case.timeout)


LISTS: Final = (
    *_alterations(),
    _case("count per page, each page", Fault(alter=_A.COUNT_PER_PAGE), OK, OK, AGREED),
    _case("next same page", Fault(alter=_A.NEXT_SAME_PAGE, page=2), INVALID, INVALID, UNBOUNDED),
    _case("endless, each page", Fault(alter=_A.ENDLESS), OK, INVALID, UNBOUNDED),
    _case("endless ids, each page", Fault(alter=_S.ENDLESS_IDS), OK, INVALID, UNBOUNDED),
    _case("no rows, and nothing says so", Fault(body=_document([])), OK, PARTIAL, ONE_TWICE),
    _case("no rows, but a count of 5", Fault(body=_document([], _metadata={"count": 5})), OK, PARTIAL, ONE_TWICE),
    _case("errors beside the list", Fault(body=_document([], errors=[{"message": "later"}])), OK, PARTIAL, ONE_TWICE),
    _case(
        "a hundred thousand automations on one page",
        Fault(body=_document([_AN_ID.format(number) for number in range(100_000)])),
        INVALID,
        INVALID,
        ONE,
    ),
    *_deliveries(),
    _case("400", Fault(status=400), REFUSED, REFUSED, ONE),
    _case("401", Fault(status=401), OK, Outcome.UNAUTHORIZED, ONE_TWICE),
    _case("403", Fault(status=403), OK, Outcome.FORBIDDEN, ONE_TWICE),
    _case("404", Fault(status=404), Outcome.NOT_FOUND, Outcome.NOT_FOUND, ONE),
    _case("429", Fault(status=429), OK, LIMITED, RETRIED),
    _case("451", Fault(status=451), REFUSED, REFUSED, ONE),
    _case("500", Fault(status=500), OK, FAILED, RETRIED),
    _case("503 with HTML", Fault(status=503, body=b"<h1>Later</h1>"), OK, FAILED, RETRIED),
    _case("302", Fault(status=302), INVALID, INVALID, ONE),
)
