"""What is wrong with a setting, in a sentence that begins with its path and holds no value."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"[A-Za-z_-]{1,40}(\.[A-Za-z_-]{1,40})?")
_JOINTS: Final = re.compile(r"__|[.-]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right."""

    path: Sequence[str | int]
    text: str
    origin: str = ""
    """The flag, the variable, or the file with its line; empty when nothing was given."""

    def __str__(self) -> str:
        return f"{dotted(self.path)}{f' ({self.origin})' if self.origin else ''}: {self.text}"


def dotted(path: Sequence[str | int]) -> str:
    """Return the path as the documentation writes it: `automations[1].id`."""
    written = ""
    for part in path:
        written += f"[{part}]" if isinstance(part, int) else f".{part}" if written else part
    return written


def printable(name: object) -> str | None:
    """Return the name of a key when it is fit to be repeated; anything else may be a secret in the wrong place."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a misspelt name most likely means."""
    shapes = {_shape(candidate): candidate for candidate in candidates}
    close = difflib.get_close_matches(_shape(name), list(shapes), n=1, cutoff=0.6)
    return shapes[close[0]] if close else None


def no_such_key(name: str, candidates: Sequence[str]) -> str:
    """Return the sentence for a misspelt key: the nearest right one, or all where they are few."""
    close = nearest(name, candidates)
    if close is not None:
        return f"no such setting; did you mean {close}?"
    if len(candidates) <= 8:  # noqa: PLR2004 - as many as a sentence holds
        return f"no such setting; here are {', '.join(candidates)}"
    return "no such setting; --help lists all of them"


def _shape(name: str) -> str:
    """Return the name without the prefix that all share and without what people mistake most: case and joints."""
    return _JOINTS.sub("_", name.lower().lstrip("-")).removeprefix("exporter_")
