"""The list of automations, with every problem of every entry."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from exporter.domain import Automation, AutomationId, is_automation_id
from exporter.settings import values
from exporter.settings.problems import KeyPath, no_such_setting, printable

AUTOMATIONS: Final[KeyPath] = ("automations",)
_ENTRY_KEYS: Final = ("id", "name", "step_ids", "interval")
_FORM: Final = "must be a list of ids, or of mappings with id, name, step_ids and interval"

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
            return [part.strip() for part in written.rstrip().removesuffix(",").split(",")] if written.strip() else []
    if not isinstance(written, list):
        raise ValueError(_FORM)  # noqa: TRY004
    return written


def _json(written: str) -> object:
    try:
        return json.loads(written)
    except (ValueError, RecursionError):
        raise ValueError("begins like JSON, but is not valid JSON") from None


def _entry(index: int, item: object, interval: float, faults: list[Fault]) -> Automation | None:
    """Return the automation, as far as it has a valid id, and add what is wrong with the entry to the faults."""
    place: tuple[str | int, ...] = (*AUTOMATIONS, index)
    if not isinstance(item, dict):
        faults.append((place, "must be an id or a mapping with id, name, step_ids and interval"))
        return None
    faults += _unknown(place, item)
    automation_id = _field(place, item, "id", faults)
    name = _field(place, item, "name", faults)
    own = _field(place, item, "interval", faults)
    step_ids = _field(place, item, "step_ids", faults)
    if automation_id is None:
        return None
    return Automation(
        id=AutomationId(str(automation_id)),
        name=str(name or automation_id),
        interval=own if isinstance(own, float) else interval,
        step_ids=step_ids if isinstance(step_ids, tuple) else (),
    )


def _unknown(place: tuple[str | int, ...], item: Mapping[object, object]) -> Iterator[Fault]:
    for name in item:
        if name not in _ENTRY_KEYS:
            shown = printable(name)
            text = no_such_setting(shown, _ENTRY_KEYS) if shown else "holds a key that is not the name of a setting"
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
    if not isinstance(value, str) or not is_automation_id(value.strip()):
        raise ValueError("must be an automation's UUID, such as 2d4f8a5c-0b1e-4c7a-9f63-5a1d2e3f4b5c")
    return value.strip()


def _step_ids(value: object) -> tuple[str, ...]:
    steps = values.texts(value)
    if any("," in step for step in steps):
        raise ValueError("must hold one step in each entry, without commas")
    if len(set(steps)) < len(steps):
        raise ValueError("names a step twice")
    return steps


_READERS: Final[Mapping[str, Callable[[object], str | float | tuple[str, ...]]]] = {
    "id": _id,
    "name": lambda value: values.text(value, at_most=256),
    "interval": values.duration(0.001, values.LONGEST_INTERVAL),
    "step_ids": _step_ids,
}
