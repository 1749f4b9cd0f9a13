"""What is wrong with a setting: its place, and a sentence that holds no value."""

import errno
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from exporter.web.toolkit.parsing import closest

KeyPath = tuple[str, ...]
"""A setting's place: `("poll", "interval")`, or `("automations",)`."""

_NAME: Final = re.compile(r"[A-Za-z_-]{1,40}(\.[A-Za-z_-]{1,40})?")
_KEYS: Final[frozenset[KeyPath]] = frozenset({("sendgrid", "api_key"), ("sendgrid", "api_key_file")})
REQUIRED: Final[frozenset[KeyPath]] = _KEYS | {("automations",)}
"""What a run cannot do without: a name that resembles none may have been meant to give it."""
_NEXT_STEPS: Final[Mapping[int, str]] = MappingProxyType(
    {
        errno.ENOENT: "make it, or correct the path",
        errno.EACCES: "let the user that the exporter runs as read it",
        errno.EISDIR: "name a file in it",
    }
)
_SEPARATORS: Final = re.compile(r"__|[.-]")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to put right."""

    path: Sequence[str | int]
    text: str
    origin: str = ""
    """The flag, the variable, or the file with its line; empty when nothing was given."""
    meant: frozenset[KeyPath] = frozenset()
    """Required settings that it may have been meant to give: to report them as missing too would mislead."""

    def __str__(self) -> str:
        return f"{dotted(self.path)}{f' ({self.origin})' if self.origin else ''}: {self.text}"


def dotted(path: Sequence[str | int]) -> str:
    """Return the path as the documentation writes it: `automations[1].id`."""
    written = ""
    for part in path:
        written += f"[{part}]" if isinstance(part, int) else f".{part}" if written else part
    return written


def printable(name: object) -> str | None:
    """Return the name of a setting where a message may repeat it; anything else may be a secret in the wrong place."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else None


def shown_path(path: Path) -> str:
    """Return the path as messages may show it: a bare word could be a secret that was put in the wrong place."""
    written = str(path)
    return written if "/" in written or path.suffix in (".yaml", ".yml") else "the file that it names"


def why_unread(exc: OSError) -> str:
    """Return why a file could not be read, in brackets, and the next step where there is one."""
    step = _NEXT_STEPS.get(exc.errno or 0)
    return f"({exc.strerror or type(exc).__name__}){f'; {step}' if step else ''}"


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate that a mistyped name most likely means."""
    shapes = {_shape(candidate): candidate for candidate in candidates}
    close = closest(_shape(name), shapes)
    return shapes[close] if close else None


def unknown(path: Sequence[str | int], name: str, candidates: Mapping[str, KeyPath | None], origin: str) -> Problem:
    """Return the problem of a mistyped name: with the nearest right one, or all where they are few.

    `candidates` are the right names, each with its setting; None where it is none.
    """
    close = nearest(name, candidates)
    if close is not None:
        meant = candidates[close]
        return Problem(path, f"no such setting; did you mean {close}?", origin, _meant(meant) if meant else frozenset())
    return Problem(path, no_such_setting(name, tuple(candidates)), origin, REQUIRED)


def no_such_setting(name: str, candidates: Sequence[str]) -> str:
    """Return the sentence for a mistyped name: the nearest right one, or all where they are few."""
    close = nearest(name, candidates)
    if close is not None:
        return f"no such setting; did you mean {close}?"
    if len(candidates) <= 8:  # noqa: PLR2004 - as many as a sentence holds
        return f"no such setting; here are {', '.join(candidates)}"
    return "no such setting; --help lists all of them"


def _meant(path: KeyPath) -> frozenset[KeyPath]:
    """Return what cannot be said to be missing where the setting was meant to be given."""
    return REQUIRED if path == ("config", "file") else _KEYS if path in _KEYS else frozenset({path})


def _shape(name: str) -> str:
    """Return the name without the prefix that all share and without what people get wrong most: case and separators."""
    return _SEPARATORS.sub("_", name.lower().lstrip("-")).removeprefix("exporter_")
