"""Words for people, where a sentence has a number or a list in it."""

from collections.abc import Sequence


def counted(count: int, what: str) -> str:
    """Return so many of these, in the singular or the plural: `1 automation`, `2 automations`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def some_of(names: Sequence[str], most: int) -> str:
    """Return the first names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
