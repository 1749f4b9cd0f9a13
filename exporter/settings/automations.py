"""The list of automations, with every problem of every entry."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.domain import Automation, AutomationId, automation_ids_in, is_automation_id, label_name
from exporter.settings import values
from exporter.settings.values import KeyPath, no_such_setting, printable

AUTOMATIONS: Final[KeyPath] = ("automations",)
_ENTRY_KEYS: Final = ("id", "name", "step_ids", "interval", "steps", "labels")
_KEYS_IN_WORDS: Final = f"{', '.join(_ENTRY_KEYS[:-1])} and {_ENTRY_KEYS[-1]}"
_FORM: Final = f"must be a list of ids, or of mappings with {_KEYS_IN_WORDS}"
_NOT_AN_ID: Final = (
    "must be an automation's UUID, such as 2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c, or the address of its page"
)
_MOST_STEPS: Final = 500
_MOST_LABELS: Final = 32
_LONGEST_STEP_ID: Final = 256
_LONGEST_LABEL_NAME: Final = 128
_LONGEST_VALUE: Final = 256


Fault = tuple[tuple[str | int, ...], str]
"""The path of what is wrong, and the sentence."""


@dataclass(slots=True)
class Entries:
    """The automations that can be read, and what is wrong with the others."""

    automations: list[Automation] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    """The place of each automation in what was written."""
    faults: list[Fault] = field(default_factory=list)


class WrongAutomationsError(ValueError):
    """Something is wrong with the list; `entries` holds all of it, and what can be read nevertheless."""

    def __init__(self, entries: Entries) -> None:
        super().__init__("the list has mistakes")
        self.entries = entries


def read_automations(written: object, *, interval: float) -> tuple[Automation, ...]:
    """Read a list, a text with commas or a JSON list; `interval` is for the entries without their own.

    Raise WrongAutomationsError with every fault of every entry: pydantic knows one error for each validator only.
    """
    entries = _read(written, interval)
    if entries.faults:
        raise WrongAutomationsError(entries)
    return tuple(entries.automations)


def _read(written: object, interval: float) -> Entries:
    entries = Entries()
    try:
        items = _items(written)
    except ValueError as exc:
        entries.faults.append((AUTOMATIONS, str(exc)))
        return entries
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        before = len(entries.faults)
        automation = _entry(index, {"id": item} if isinstance(item, str) else item, interval, entries.faults)
        if automation is None:
            continue
        earlier = first.setdefault(automation.id.lower(), index)
        if earlier != index:
            text = f"{automation.id} is listed twice; automations[{earlier}] is the same"
            entries.faults.append(((*AUTOMATIONS, index, "id"), text))
        elif len(entries.faults) == before:
            entries.automations.append(automation)
            entries.positions.append(index)
    return entries


def _items(written: object) -> list[object]:
    if isinstance(written, str):
        if written.lstrip().startswith(("[", "{")):
            written = _json(written)
        else:
            parts = [part.strip() for part in written.rstrip().removesuffix(",").split(",")] if written.strip() else []
            # Ids one to a line, as a file without dashes and a copied column have them, are as plain as with commas.
            return [item for part in parts for item in (part.split() if part and _are_ids(part) else [part])]
    if not isinstance(written, list):
        raise ValueError(_FORM)  # noqa: TRY004
    return written


def _are_ids(text: str) -> bool:
    return all(map(is_automation_id, text.split()))


def _json(written: str) -> object:
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        raise ValueError(
            'begins like JSON, but is not valid JSON; write a list such as ["…", "…"], or the ids with commas'
        ) from None


def _entry(index: int, item: object, interval: float, faults: list[Fault]) -> Automation | None:
    """Return the automation, as far as it has a valid id, and add what is wrong with the entry to the faults."""
    place: tuple[str | int, ...] = (*AUTOMATIONS, index)
    if not isinstance(item, dict):
        faults.append((place, f"must be an id or a mapping with {_KEYS_IN_WORDS}"))
        return None
    faults += _unknown(place, item)
    # A key that is none may have been meant to give the id: to report it as missing too would mislead.
    automation_id = _field(place, item, "id", faults) if "id" in item or item.keys() <= set(_ENTRY_KEYS) else None
    name = _field(place, item, "name", faults)
    own = _field(place, item, "interval", faults)
    step_ids = _field(place, item, "step_ids", faults)
    steps = _pairs(place, item, "steps", faults)
    labels = _pairs(place, item, "labels", faults)
    if automation_id is None:
        return None
    return Automation(
        id=AutomationId(str(automation_id)),
        name=str(name or automation_id),
        interval=own if isinstance(own, float) else interval,
        step_ids=step_ids if isinstance(step_ids, tuple) else (),
        steps=steps,
        labels=labels,
    )


def _unknown(place: tuple[str | int, ...], item: Mapping[object, object]) -> Iterator[Fault]:
    for name in item:
        if name not in _ENTRY_KEYS:
            shown = printable(name)
            unnamed = f"holds a key that is not the name of a setting; here are {_KEYS_IN_WORDS}"
            text = no_such_setting(shown, _ENTRY_KEYS) if shown else unnamed
            yield (*place, shown) if shown else place, text


def _field(
    place: tuple[str | int, ...], item: Mapping[object, object], name: str, faults: list[Fault]
) -> str | float | tuple[str, ...] | None:
    value = item.get(name)
    if value is None and name != "id":
        return None
    try:
        return _READERS[name](value)
    except ValueError as exc:
        faults.append(((*place, name), str(exc)))
        return None


def _id(value: object) -> str:
    if value is None:
        raise ValueError("is missing")
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty")
    if not isinstance(value, str):
        raise ValueError(_NOT_AN_ID)  # noqa: TRY004
    written = value.strip()
    return written if is_automation_id(written) else _id_in_address(written)


def _id_in_address(address: str) -> str:
    if address.lower() == "all":
        raise ValueError("stands for every automation of the account, and alone: automations: all")
    ids = automation_ids_in(address)
    if not ids:
        raise ValueError(_NOT_AN_ID)
    if len(ids) > 1 and "/" not in address:
        raise ValueError("holds several UUIDs; separate them with commas, or make each an entry of the list")
    if len(ids) > 1:
        raise ValueError(
            "is an address with several UUIDs, and none or several behind /automations/; give the id alone"
        )
    return ids[0]


def _step_ids(value: object) -> tuple[str, ...]:
    steps = values.texts(value)
    if any("," in step for step in steps):
        raise ValueError("must hold one step in each entry, without commas")
    if len(set(steps)) < len(steps):
        raise ValueError("names a step twice")
    return steps


def _pairs(
    place: tuple[str | int, ...], item: Mapping[object, object], name: str, faults: list[Fault]
) -> tuple[tuple[str, str], ...]:
    """Return the pairs of a mapping as far as they are valid, and add what is wrong with the others to the faults."""
    written = item.get(name)
    if written is None:
        return ()
    what, most, longest = _MAPPINGS[name]
    if not isinstance(written, dict):
        faults.append(((*place, name), f"must be a mapping of {what}"))
        return ()
    if len(written) > most:
        faults.append(((*place, name), f"has more than {most} entries"))
        return ()
    pairs = []
    for index, (key, value) in enumerate(written.items()):
        # The key's own text is no part of the place: it may be anything, a secret pasted into the wrong line too.
        try:
            pairs.append((values.text(key, at_most=longest), values.text(value, at_most=_LONGEST_VALUE)))
        except ValueError as exc:
            faults.append(((*place, name), f"entry {index} {exc}"))
    faults += [((*place, name), text) for text in _doubles(name, [key for key, _ in pairs])]
    return tuple(pairs)


def _doubles(name: str, keys: list[str]) -> Iterator[str]:
    """Yield a sentence for each key that is the same as an earlier one, in the exposition if not in the file."""
    first: dict[str, int] = {}
    for index, key in enumerate(keys):
        shown = label_name(key) if name == "labels" else key
        earlier = first.setdefault(shown, index)
        if earlier != index:
            became = f"both become {shown}; rename one of them" if name == "labels" else "are the same step"
            yield f"entries {earlier} and {index} {became}"


_READERS: Final[Mapping[str, Callable[[object], str | float | tuple[str, ...]]]] = {
    "id": _id,
    "name": lambda value: values.text(value, at_most=256),
    "interval": values.duration(0.0, values.LONGEST_INTERVAL),
    "step_ids": _step_ids,
}

_MAPPINGS: Final[Mapping[str, tuple[str, int, int]]] = {
    "steps": ("step ids to names", _MOST_STEPS, _LONGEST_STEP_ID),
    "labels": ("names to values", _MOST_LABELS, _LONGEST_LABEL_NAME),
}
"""What each mapping of an entry holds, how many of it, and how long its keys may be."""
