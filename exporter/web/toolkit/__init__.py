"""Prometheus's exporter-toolkit in Python: TLS, passwords, headers and a rate limit from the web config file.

It imports nothing of the exporter, so that another exporter can take the folder as it is. Here is how the values of a
file are taken, block by block: unknown keys are reported with the name that was meant, and durations are numbers with
units. Nothing here needs YAML itself, which takes 1 MB and is imported where there is a file to read.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([a-zµ]+)")
_PLAIN: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_LONGEST_NAME: Final = 100
_TRUE: Final = frozenset({"true", "yes", "on", "y"})
_FALSE: Final = frozenset({"false", "no", "off", "n"})


class WebConfigError(Exception):
    """The web config file cannot be used; `problems` names each reason in a sentence that begins with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Escape what is not printable: a sentence may quote the file, and must not break a log line."""
        self.problems = tuple(map(_printable, problems))
        super().__init__("; ".join(self.problems))


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


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


class Section:
    """Reads values by key; what is wrong goes to `problems`, with the key's path, and reads as absent."""

    def __init__(self, path: str, values: object, problems: list[str]) -> None:
        self._path = path
        self._problems = problems
        if values is not None and not isinstance(values, Mapping):
            self.complain("", "a block of keys and values is needed here")
        found = values if isinstance(values, Mapping) else {}
        self._values: Mapping[str, object] = {str(key or ""): value for key, value in found.items()}

    def complain(self, key: str, sentence: str) -> None:
        """Add a problem of this key, or of the block itself where the key is empty."""
        path = ".".join(part for part in (self._path, key) if part)
        self._problems.append(f"{path}: {sentence}" if path else sentence)

    def only(self, known: Iterable[str]) -> None:
        """Complain of every other key and name the nearest right one."""
        names = tuple(known)
        for key in self._values:
            if key not in names:
                self.complain(key[:60], f"unknown key ({nearest(key, names)})")

    def block(self, key: str) -> "Section":
        """Return the block below this key, empty where there is none."""
        path = f"{self._path}.{key}" if self._path else key
        return Section(path, self._values.get(key), self._problems)

    def keys(self) -> tuple[str, ...]:
        return tuple(self._values)

    def text(self, key: str) -> str | None:
        """Return a text, None where it is absent or empty."""
        value = self._values.get(key)
        if value is None or isinstance(value, str):
            return value or None
        self.complain(key, "a single text is needed here")
        return None

    def texts(self, key: str) -> tuple[str, ...] | None:
        """Return a list of texts, None where it is absent."""
        value = self._values.get(key)
        if value is None:
            return None
        if isinstance(value, list) and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        self.complain(key, "a list of texts is needed here")
        return None

    def flag(self, key: str) -> bool | None:
        """Return true or false, None where it is absent."""
        value = self.text(key)
        if value is None:
            return None
        if value.lower() in _TRUE | _FALSE:
            return value.lower() in _TRUE
        self.complain(key, "true or false is needed here")
        return None


def nearest(name: str, known: tuple[str, ...]) -> str:
    """Return the question whether the nearest of the known names was meant, or else all of them."""
    near = closest(name, known)
    return f"did you mean {near}?" if near else f"known are {', '.join(known)}"
