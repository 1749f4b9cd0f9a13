"""The alterations that put one wrong value in one place of a page."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from sendgrid_simulator.alterations import Alteration

_A: Final = Alteration
_MISSING: Final = object()
_HUGE: Final = 10**30
TOP: Final[Mapping[Alteration, tuple[str, object]]] = MappingProxyType(
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
METADATA: Final[Mapping[Alteration, tuple[str, object]]] = MappingProxyType(
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
ROW: Final[Mapping[Alteration, tuple[str, object]]] = MappingProxyType(
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


def set_value(document: dict[str, Any], name: str, value: object) -> None:
    """Put the value in its place, or take the place away."""
    if value is _MISSING:
        document.pop(name, None)
    else:
        document[name] = value
