"""Plain values from what a person wrote: text, numbers, durations, lists, the API key.

Each function raises ValueError with a phrase that follows "key: ", and never repeats what was written: a key pasted
into the wrong place must not come out in a message.
"""

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from pydantic import SecretStr

from exporter.probes import ALWAYS_EXCLUDED, means_nothing
from exporter.web.toolkit.parsing import closest, seconds

LAST_OF_LATIN_1: Final = 0xFF
"""The last character that an HTTP header can carry."""
LONGEST_KEY: Final = 4096
"""Characters of an API key."""
LONGEST_INTERVAL: Final = 30 * 86400.0

_Choice = TypeVar("_Choice", bound=StrEnum)
_Number = TypeVar("_Number", int, float)

_UNITS: Final[Mapping[str, float]] = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_DECIMAL: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")
_TRUE: Final = frozenset({"true", "yes", "on", "1"})
_FALSE: Final = frozenset({"false", "no", "off", "0"})
SWITCH_WORDS: Final = _TRUE | _FALSE
_MOST_STARS: Final = 10
_CONTROL: Final = frozenset({"Cc", "Cs"})
_USUAL_KEY: Final = re.compile(r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}")
_FILLED: Final = re.compile(r"[xX]{10}|[*.]{4}")
_PLACEHOLDER: Final = re.compile(
    rf"(?i)your|change.?me|replace|placeholder|example|dummy|insert|todo|[<>{{}}$]|{_FILLED.pattern}"
)
"""What stands in a template where the key belongs."""
_USUAL_KEY_LENGTH: Final = 69
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*[=:]")
_EMPTY: Final = "is empty; leave it out to get the default"
_NOT_A_DURATION: Final = "must be a duration such as 30s, 5m or 1h30m, or a number of seconds"


def text(value: object, *, at_most: int = 4096) -> str:
    """Return text without surrounding blanks, control characters or halves of surrogate pairs."""
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004
    stripped = value.strip()
    if not stripped:
        raise ValueError(_EMPTY)
    if len(stripped) > at_most:
        raise ValueError(f"is longer than {at_most} characters")
    if any(unicodedata.category(character) in _CONTROL for character in stripped):
        raise ValueError("holds a control character, or bytes that are not UTF-8")
    return stripped


def path(value: object) -> Path:
    """Return the path of a file, as written: relative ones start at the working directory."""
    return value if isinstance(value, Path) else Path(text(value))


def boolean(value: object) -> bool:
    """Return a switch's state."""
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("must be true or false")


def choice(kind: type[_Choice]) -> Callable[[object], _Choice]:
    """Return a reader of one of the enumeration's words, in any case of letters."""
    words = [member.value for member in kind]

    def read(value: object) -> _Choice:
        # YAML 1.1 reads an unquoted `off` as false.
        word = value.strip().lower() if isinstance(value, str) else "off" if value is False else ""
        if word in words:
            return kind(word)
        close = closest(word, words)
        raise ValueError(f"must be one of {', '.join(words)}" + (f"; did you mean {close}?" if close else ""))

    return read


def whole_number(least: int, most: int) -> Callable[[object], int]:
    """Return a reader of a whole number within the bounds, both included."""

    def read(value: object) -> int:
        return _bounded(_whole(value), least, most, str)

    return read


def number(least: float, most: float) -> Callable[[object], float]:
    """Return a reader of a number within the bounds, both included."""

    def read(value: object) -> float:
        if isinstance(value, str) and not value.strip():
            raise ValueError(_EMPTY)
        if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
            return _bounded(float(value), least, most, _plain)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(_bounded(value, least, most, _plain))
        raise ValueError("must be a number")

    return read


def duration(least: float, most: float) -> Callable[[object], float]:
    """Return a reader of a duration in seconds within the bounds, both included."""

    def read(value: object) -> float:
        return float(_bounded(_seconds(value), least, most, duration_text))

    return read


def duration_text(seconds: float) -> str:
    """Return the duration as a person writes it: 330 seconds are `5m30s`."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _UNITS.items():
        count, rest = divmod(rest, round(size * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def texts(value: object, *, each_at_most: int = 256, at_most: int = 1000) -> tuple[str, ...]:
    """Return the texts of a list, or of one text with commas; an empty one is an empty list."""
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, Sequence):
        raise ValueError("must be a list, or text with commas")  # noqa: TRY004
    if len(value) > at_most:
        raise ValueError(f"has more than {at_most} entries")
    return tuple(_numbered(value, each_at_most))


def probe_patterns(value: object) -> tuple[str, ...]:
    """Return the patterns of links that no prober may visit, the built-in ones first."""
    if isinstance(value, str) and not value.strip():
        return ALWAYS_EXCLUDED
    patterns = texts(value, at_most=200)
    for index, pattern in enumerate(patterns):
        if means_nothing(pattern):
            raise ValueError(f"entry {index} holds nothing but separators, which stand in every address")
    return tuple(dict.fromkeys((*ALWAYS_EXCLUDED, *patterns)))


def path_patterns(value: object) -> tuple[str, ...]:
    """Return patterns of paths such as `/unsubscribe/*`."""
    patterns = texts(value, at_most=100)
    for index, pattern in enumerate(patterns):
        if any(mark in pattern for mark in ("://", "?", "#")):
            raise ValueError(f"entry {index} must be a path such as /unsubscribe/*, without a scheme, a host, ? or #")
        if "*" not in pattern:
            raise ValueError(f"entry {index} must hold a * for what to leave out, such as /unsubscribe/*")
        if pattern.count("*") > _MOST_STARS:
            raise ValueError(f"entry {index} has more than {_MOST_STARS} *")
    return patterns


def api_key(value: object) -> SecretStr:
    """Return the key without surrounding blanks; raise ValueError, without the key, for what no header can carry."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str):
        raise ValueError("must be text; put it in quotes")  # noqa: TRY004
    key = value.strip()
    if not key:
        raise ValueError("the key is empty; put one there")
    if len(key) > LONGEST_KEY:
        raise ValueError(f"the key is longer than {LONGEST_KEY} characters")
    if key[0] in "\"'" and key[0] == key[-1]:
        raise ValueError("the key stands in quotes; give it without them")
    if any(character.isspace() for character in key):
        raise ValueError('the key holds blanks or line ends; give the key alone, without "Bearer"')
    if any(ord(character) > LAST_OF_LATIN_1 or unicodedata.category(character) == "Cc" for character in key):
        raise ValueError("the key holds characters that no HTTP header can carry")
    return SecretStr(key)


def key_oddity(secret: SecretStr) -> str | None:
    """Return in what the key differs from those that SendGrid makes, `SG.`, 22, `.` and 43 characters; never the key.

    Nothing promises that form, and a gateway may have keys of its own: this is worth a warning, no more.
    """
    key = secret.get_secret_value()
    return _difference(key) if not _USUAL_KEY.fullmatch(key) or _FILLED.search(key) else None


def _difference(key: str) -> str:
    for is_so, words in (
        (_decoded(key).startswith(b"SG."), "looks like the base64 of a key; give it decoded"),
        (_ASSIGNMENT.match(key), "looks like a whole line NAME=key; give only what follows the sign"),
        (_PLACEHOLDER.search(key), "looks like a placeholder; give the key that SendGrid showed when it was made"),
        (key[0] in "\"'`" or key[-1] in "\"'`", "begins or ends with a quote"),
    ):
        if is_so:
            return words
    if not key.startswith("SG."):
        return "does not begin with SG. as SendGrid's keys do"
    if len(key) != _USUAL_KEY_LENGTH:
        return f"has {len(key)} characters, where SendGrid's keys have {_USUAL_KEY_LENGTH}"
    return "is not made of SG. and two groups of 22 and 43 letters, digits, - and _, as SendGrid's keys are"


def _numbered(values: Iterable[object], each_at_most: int) -> Iterable[str]:
    for index, value in enumerate(values):
        try:
            yield text(value, at_most=each_at_most)
        except ValueError as exc:
            raise ValueError(f"entry {index} {exc}") from None


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        if not value.strip():
            raise ValueError(_EMPTY)
        if _WHOLE.fullmatch(value.strip()):
            return int(value)
    raise ValueError("must be a whole number")


def _seconds(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError(_NOT_A_DURATION)  # noqa: TRY004
    written = value.strip()
    if not written:
        raise ValueError(_EMPTY)
    if _DECIMAL.fullmatch(written):
        return float(written)
    found = seconds(written, _UNITS, ordered=True)
    if found is None:
        raise ValueError(_NOT_A_DURATION)
    return found


def _bounded(value: _Number, least: _Number, most: _Number, shown: Callable[[_Number], str]) -> _Number:
    if value < least:
        raise ValueError(f"must be at least {shown(least)}")
    if value > most:
        raise ValueError(f"must be at most {shown(most)}")
    if value != value:  # noqa: PLR0124 - NaN, and unlike math.isnan no failure on an integer beyond every float
        raise ValueError("must be a number")
    return value


def _plain(value: float) -> str:
    return f"{value:g}"


def _decoded(key: str) -> bytes:
    try:
        return base64.b64decode(key, validate=True)
    except (binascii.Error, ValueError):
        return b""
