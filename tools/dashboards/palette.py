"""Colours by what they mean, the same on every dashboard."""

from enum import StrEnum
from typing import Final


class Colour(StrEnum):
    """What a colour says; panels name meanings and never colours."""

    NOW = "blue"
    LAST_WEEK = "purple"
    USUAL = "green"
    GOOD = "green"
    LOOK = "orange"
    ACT = "red"
    NEUTRAL = "text"
    QUIET = "#8e8e99"


HUES: Final = ("blue", "yellow", "purple", "#2cb5b5", "#f29ac0", "#9ccc3c", "#b58a5a", "#b9b4f5")
"""Distinguish up to eight series without a meaning: none is red, orange or the green for 'everything is fine'."""

OUTCOME_COLOURS: Final = {
    "success": Colour.GOOD,
    "not_found": Colour.QUIET,
    "incomplete": "yellow",
    "rate_limited": "semi-dark-yellow",
    "timeout": "dark-yellow",
    "connection_error": "light-yellow",
    "server_error": "super-light-yellow",
    "bad_request": "semi-dark-orange",
    "unauthorized": Colour.LOOK,
    "forbidden": "dark-orange",
    "invalid_response": "light-orange",
    "internal_error": "super-light-orange",
}
"""One colour per outcome of a poll: green is good, yellow passes by itself, orange needs somebody."""

CODE_COLOURS: Final = {
    "/^2/": Colour.GOOD,
    "/^3/": "light-yellow",
    "/^4/": Colour.LOOK,
    "/^5/": "yellow",
    "/^none$/": "dark-yellow",
}
"""One colour per class of HTTP status; `none` means that no answer came."""
