"""Colors by meaning, the same on every dashboard."""

from enum import StrEnum
from typing import Final


class Colour(StrEnum):
    """The meaning of a color; panels name meanings, never colors."""

    NOW = "blue"
    LAST_WEEK = "purple"
    USUAL = "green"
    GOOD = "green"
    LOOK = "orange"
    ACT = "red"
    NEUTRAL = "text"
    QUIET = "#8e8e99"


HUES: Final = ("blue", "yellow", "purple", "#2cb5b5", "#f29ac0", "#9ccc3c", "#b58a5a", "#b9b4f5")
"""Colors for up to eight series without a meaning; none is red, orange or the green of 'everything is fine'."""

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
"""One color per outcome of a poll: green is good, yellow is temporary, orange needs action."""

CODE_COLOURS: Final = {
    "/^2/": Colour.GOOD,
    "/^3/": "light-yellow",
    "/^4/": Colour.LOOK,
    "/^5/": "yellow",
    "/^none$/": "dark-yellow",
}
"""One color per class of HTTP status; `none` means no answer."""
