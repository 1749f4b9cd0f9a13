"""The style of table cells: properties that columns of several dashboards share."""

from typing import Final

from tools.dashboards.palette import Colour
from tools.dashboards.panels import Properties, fixed, thresholds
from tools.dashboards.promql import ALERT_SCORE

DASH: Final = [{"type": "special", "options": {"match": "null+nan", "result": {"text": "-"}}}]
"""An unknown value, shown as a dash."""
WITHOUT_SCHEME: Final = [{"type": "regex", "options": {"pattern": "/^https?:\\/\\/(.*)$/", "result": {"text": "$1"}}}]
"""A URL without its scheme, so that the distinctive part comes first."""
OPEN_PAGE: Final = [{"type": "regex", "options": {"pattern": "/^.+$/", "result": {"text": "Open"}}}]
"""A URL shown as a word."""
CLICKS: Final = {"unit": "locale", "decimals": 0, "custom.width": 105}
SHARE: Final = {"unit": "percentunit", "decimals": 1, "custom.width": 85, "mappings": DASH}
CHANGE: Final = {"unit": "percentunit", "decimals": 0, "custom.width": 95, "mappings": DASH}
AGE: Final = {"unit": "s", "decimals": 0, "custom.width": 120}
MOMENT: Final = {"unit": "dateTimeFromNow", "custom.width": 135, "mappings": DASH}
TREND: Final = {
    "min": 0,
    "color": fixed(Colour.NOW),
    "custom.width": 130,
    "custom.filterable": False,
    "custom.cellOptions": {
        "type": "sparkline",
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20,
        "showPoints": "never",
        "hideValue": True,
    },
}


def evidence() -> Properties:
    """Return a small gauge that is full at the alert threshold."""
    return {
        "unit": "short",
        "decimals": 1,
        "mappings": DASH,
        "min": 0,
        "max": ALERT_SCORE,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds(Colour.QUIET, (ALERT_SCORE / 2, Colour.LOOK), (ALERT_SCORE, Colour.ACT)),
        "custom.cellOptions": {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"},
        "custom.width": 175,
    }


def suspicion() -> Properties:
    """Return the evidence in words: calm, likely from half of the alert threshold, certain from the threshold on."""
    from_on = [(1, "certain", Colour.ACT), (0.5, "likely", Colour.LOOK), (None, "calm", Colour.QUIET)]
    ranges: list[dict[str, object]] = [
        {"type": "range", "options": {"from": least, "to": None, "result": {"text": text, "color": colour}}}
        for least, text, colour in from_on
    ]
    unknown = {"match": "null+nan", "result": {"text": "-", "color": Colour.QUIET}}
    return {
        "mappings": [{"type": "special", "options": unknown}, *ranges],
        "custom.cellOptions": {"type": "color-text"},
        "custom.width": 95,
    }


def state(words: dict[str, tuple[str, str]], missing: tuple[str, str], width: int = 95) -> Properties:
    """Return a word and color for each value, and for no value."""
    options = {value: {"text": text, "color": colour} for value, (text, colour) in words.items()}
    nothing = {"match": "null+nan", "result": {"text": missing[0], "color": missing[1]}}
    return {
        "mappings": [{"type": "value", "options": options}, {"type": "special", "options": nothing}],
        "custom.cellOptions": {"type": "color-text"},
        "custom.width": width,
    }


def words(texts: dict[str, str]) -> list[dict[str, object]]:
    """Return mappings from values to texts."""
    return [{"type": "value", "options": {value: {"text": text} for value, text in texts.items()}}]


def leads_to(url: str, title: str, *, new_tab: bool = False) -> Properties:
    """Return a link on the cells of a column."""
    return {"links": [{"title": title, "url": url, "targetBlank": new_tab}]}


OPEN: Final = leads_to("${__value.raw:raw}", "Open the link in a new tab", new_tab=True)
"""The URL of a link, opened in a new tab."""
