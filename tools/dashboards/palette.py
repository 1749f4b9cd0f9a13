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


OUTCOME_COLOURS: Final = {
    "success": Colour.GOOD,
    "not_found": Colour.QUIET,
    "incomplete": "yellow",
    "rate_limited": Colour.LOOK,
    "timeout": "dark-orange",
    "connection_error": "semi-dark-orange",
    "server_error": "light-red",
    "bad_request": "semi-dark-red",
    "unauthorized": Colour.ACT,
    "forbidden": "dark-red",
    "invalid_response": "semi-dark-yellow",
    "internal_error": "dark-purple",
}
"""One colour per outcome of a poll: green is well, yellow to orange passes by itself, red needs somebody."""

CODE_COLOURS: Final = {
    "/^2/": Colour.GOOD,
    "/^3/": "yellow",
    "/^4/": Colour.LOOK,
    "/^5/": Colour.ACT,
    "/^none$/": "dark-red",
}
"""One colour per class of HTTP status; `none` means that no answer came."""
