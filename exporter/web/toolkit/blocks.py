"""One block of the web config file: known keys, values of the right kind, and every problem reported."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Final

_TRUE: Final = frozenset({"true", "yes", "on", "y"})
_FALSE: Final = frozenset({"false", "no", "off", "n"})


class Block:
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
                self.complain(key[:60], f"there is no such key ({nearest(key, names)})")

    def block(self, key: str) -> "Block":
        """Return the block below this key, empty where there is none."""
        path = f"{self._path}.{key}" if self._path else key
        return Block(path, self._values.get(key), self._problems)

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
    # The matcher's time grows with the product of the lengths: a long name is near to none.
    near = difflib.get_close_matches(name[:100], known, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
