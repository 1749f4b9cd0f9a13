"""What every configuration file needs: durations in words, and the name that a mistyped one was meant to be."""

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Final

_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([a-zµ]+)")
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONGEST_NAME: Final = 100


def seconds(text: str, units: Mapping[str, float], *, ordered: bool = False) -> float | None:
    """Return the seconds of a duration such as `1h30m`, a row of numbers each with one of the units; else None.

    Go takes `.5s`, `1.s` and `1m1h`; when `ordered`, units come in the order given, each once, and numbers are plain.
    """
    total, end, rest = 0.0, 0, list(units)
    # Anchored where the last part ended: a search would try every digit of a long number again.
    while end < len(text) and (part := _PART.match(text, end)):
        number, unit = part.groups()
        if unit not in rest or (ordered and not _PLAIN.fullmatch(number)):
            return None
        if ordered:
            rest = rest[rest.index(unit) + 1 :]
        total, end = total + float(number) * units[unit], part.end()
    return total if 0 < end == len(text) else None


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like this one, None where none is near."""
    # The matcher's time grows with the product of the lengths: a long name is near to none.
    near = difflib.get_close_matches(name[:_LONGEST_NAME], list(known), n=1, cutoff=0.6)
    return near[0] if near else None
