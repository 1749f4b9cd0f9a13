"""The simulated account: its automations and its keys, which change while the API runs."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace

from sendgrid_simulator.counts import FixedSource, GeneratedSource, Order, Source
from sendgrid_simulator.model import Automation, FixedAutomation

AnyAutomation = Automation | FixedAutomation


class Account:
    """Automations by id and keys with their right to read; every method may be called from any thread."""

    def __init__(self, seed: int, automations: Iterable[AnyAutomation] = (), order: Order = Order.BIRTH) -> None:
        self._seed = seed
        self.secret = f"tokens {seed}".encode()
        """What page tokens are signed with."""
        self._order = order
        self._sources: dict[str, Source] = {}
        self._keys: dict[str, bool] = {}
        self._lock = threading.Lock()
        for automation in automations:
            self.put(automation)

    @property
    def automations(self) -> tuple[AnyAutomation, ...]:
        """Return the automations in the order in which they were added."""
        with self._lock:
            return tuple(source.automation for source in self._sources.values())

    def put(self, automation: AnyAutomation) -> None:
        """Add an automation, or replace the one of that id."""
        with self._lock:
            self._sources[automation.id.lower()] = self._source(automation)

    def remove(self, automation_id: str) -> None:
        with self._lock:
            del self._sources[automation_id.lower()]

    def change(self, automation_id: str, changed: Callable[[Automation], Automation]) -> None:
        """Replace a generated automation by what the function returns for it."""
        with self._lock:
            automation = self._sources[automation_id.lower()].automation
            if not isinstance(automation, Automation):
                raise TypeError(f"automation {automation_id} is fixed: give it other rows instead")
            self._sources[automation_id.lower()] = self._source(changed(automation))

    def rename(self, automation_id: str, name: str) -> None:
        with self._lock:
            automation = self._sources[automation_id.lower()].automation
            self._sources[automation_id.lower()] = self._source(replace(automation, name=name))

    def source(self, automation_id: str) -> Source | None:
        with self._lock:
            return self._sources.get(automation_id.lower())

    def allow(self, key: str, *, scoped: bool = True) -> None:
        """Accept a key; one that is not scoped may not read statistics."""
        with self._lock:
            self._keys[key] = scoped

    def revoke(self, key: str) -> None:
        with self._lock:
            del self._keys[key]

    def scope(self, key: str) -> bool | None:
        """Return whether the key may read statistics; None for a key that is not accepted at all."""
        with self._lock:
            return self._keys.get(key)

    def _source(self, automation: AnyAutomation) -> Source:
        if isinstance(automation, FixedAutomation):
            return FixedSource(automation)
        return GeneratedSource(automation, self._seed, self._order)
