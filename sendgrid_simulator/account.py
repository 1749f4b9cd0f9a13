"""The simulated account: its automations and its keys, which change while the API runs."""

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from sendgrid_simulator.counts import FixedSource, GeneratedSource, Order, Source
from sendgrid_simulator.messages import Endpoint
from sendgrid_simulator.model import Automation, FixedAutomation, Stats

AnyAutomation = Automation | FixedAutomation


_USUAL_SCOPES: Final = ("2fa_required", "sender_verification_eligible")
_MARKETING_SCOPES: Final = ("marketing.automation.read", "marketing.read")


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do."""

    scoped: bool = True
    """Whether it has the scopes that statistics need."""
    forbidden: frozenset[Endpoint] = frozenset()
    """Endpoints that are refused to it regardless of its scopes."""

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return its scopes as the API lists them."""
        return tuple(sorted((*_USUAL_SCOPES, *(_MARKETING_SCOPES if self.scoped else ("mail.send",)))))

    def allow(self, endpoint: Endpoint) -> bool:
        """Return whether the key may use the endpoint."""
        return endpoint not in self.forbidden and (self.scoped or endpoint is Endpoint.SCOPES)


class Listed(NamedTuple):
    """An automation in the list of all, and the moment whose numbers are listed."""

    source: Source
    moment: float

    @property
    def id(self) -> str:
        return self.source.automation.id

    def stats(self) -> Mapping[str, Stats]:
        """Return the statistics by step."""
        return self.source.stats(self.moment)


class Account:
    """Automations by id, and keys with their permissions; every method is thread-safe."""

    def __init__(self, seed: int, automations: Iterable[AnyAutomation] = (), order: Order = Order.FIRST_CLICK) -> None:
        self._seed = seed
        self.secret = f"tokens {seed}".encode()
        """What page tokens are signed with."""
        self._order = order
        self._sources: dict[str, Source] = {}
        self._deleted: dict[str, float] = {}
        self._keys: dict[str, Rights] = {}
        self._lock = threading.Lock()
        for automation in automations:
            self.put(automation)

    @property
    def automations(self) -> tuple[AnyAutomation, ...]:
        """Return the automations in the order in which they were added, without deleted ones."""
        with self._lock:
            return tuple(source.automation for id_, source in self._sources.items() if id_ not in self._deleted)

    def listed(self, now: float, *, drafts: bool, deleted: bool) -> tuple[Listed, ...]:
        """Return the content of a list of all automations; a deleted one keeps its last numbers."""
        with self._lock:
            listed = [Listed(source, min(now, self._deleted.get(id_, now))) for id_, source in self._sources.items()]
            gone = {id_ for id_, at in self._deleted.items() if at <= now} if not deleted else set()
        return tuple(
            each for each in listed if each.id.lower() not in gone and (drafts or each.source.known(each.moment))
        )

    def put(self, automation: AnyAutomation) -> None:
        """Add an automation, or replace the one of that id."""
        with self._lock:
            self._deleted.pop(automation.id.lower(), None)
            self._sources[automation.id.lower()] = self._source(automation)

    def remove(self, automation_id: str) -> None:
        """Remove an automation without a trace."""
        with self._lock:
            del self._sources[automation_id.lower()]
            self._deleted.pop(automation_id.lower(), None)

    def delete(self, automation_id: str, at: float) -> None:
        """Delete an automation as a user does: its links are not found, but the list may still contain it."""
        with self._lock:
            if automation_id.lower() not in self._sources:
                raise LookupError(f"the account has no automation {automation_id}")
            self._deleted[automation_id.lower()] = at

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
        """Return the automation's source, None if there is no such automation or it was deleted."""
        with self._lock:
            if automation_id.lower() in self._deleted:
                return None
            return self._sources.get(automation_id.lower())

    def allow(self, key: str, *, scoped: bool = True, forbidden: Iterable[Endpoint] = ()) -> None:
        """Accept a key; one that is not scoped may not read statistics, and any may be refused single endpoints."""
        with self._lock:
            self._keys[key] = Rights(scoped, frozenset(forbidden))

    def revoke(self, key: str) -> None:
        with self._lock:
            del self._keys[key]

    def rights(self, key: str) -> Rights | None:
        """Return the permissions of the key; None for a key that is not accepted."""
        with self._lock:
            return self._keys.get(key)

    def _source(self, automation: AnyAutomation) -> Source:
        if isinstance(automation, FixedAutomation):
            return FixedSource(automation)
        return GeneratedSource(automation, self._seed, self._order)
