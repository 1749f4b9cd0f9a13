"""Which automations of the account are polled without being configured: a state machine over lists, without I/O."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from exporter.domain import AutomationId, AutomationList, DiscoveryMode, Standing


@dataclass(frozen=True, slots=True)
class DiscoveryRules:
    """What the configuration's `discovery` group says, and what it is said of."""

    mode: DiscoveryMode = DiscoveryMode.OFF
    exclude: tuple[str, ...] = ()
    """Shell patterns of ids, in any letter case."""
    forget_after: int = 3
    max_automations: int = 1000
    configured: frozenset[str] = frozenset()
    """The ids that the configuration lists, in lower case."""
    owns: Callable[[AutomationId], bool] = lambda _: True
    """Whether an automation falls to this process, and not to another shard."""


@dataclass(frozen=True, slots=True)
class News:
    """What a list changed."""

    came: tuple[AutomationId, ...] = ()
    went: tuple[AutomationId, ...] = ()


@dataclass(slots=True)
class _Known:
    id: AutomationId
    missed: int = 0
    """Whole lists in a row without it."""


@dataclass(slots=True)
class Discovery:
    """Remembers the account's automations, and decides which are polled beside the configured ones.

    One leaves only after `forget_after` whole lists in a row without it: a list that failed, is not whole, or is not of
    the account, proves nothing. Those that are polled keep their places where the cap is reached.
    """

    rules: DiscoveryRules = field(default_factory=DiscoveryRules)
    _known: dict[str, _Known] = field(default_factory=dict)
    """By id in lower case, in the order of first sight."""
    _found: dict[str, AutomationId] = field(default_factory=dict)
    """Those that are polled."""

    @property
    def found(self) -> tuple[AutomationId, ...]:
        """The automations to poll beside the configured ones."""
        return tuple(self._found.values())

    def configure(self, rules: DiscoveryRules) -> None:
        """Follow other rules: who is configured, excluded or another shard's by them leaves at once."""
        self.rules = rules
        if rules.mode is DiscoveryMode.OFF:
            self.forget()
        self._known = {key: known for key, known in self._known.items() if rules.owns(known.id)}
        self._choose()

    def forget(self) -> None:
        """Forget every automation, since another account is asked from now on."""
        self._known, self._found = {}, {}

    def learn(self, listed: AutomationList) -> News:
        """Take note of a list, and return who came into the account and who left it."""
        present = {id_.lower(): id_ for id_ in listed.statistics if self.rules.owns(id_)}
        came = [id_ for key, id_ in present.items() if key not in self._known]
        for key, id_ in present.items():
            self._known.setdefault(key, _Known(id_)).missed = 0
        went = self._miss(present) if listed.is_whole and listed.is_of_account else []
        self._choose()
        return News(tuple(came), tuple(went))

    def remembered(self) -> Mapping[AutomationId, int]:
        """Return every automation, with the whole lists in a row that lacked it; those that are polled come first."""
        first = [known for key, known in self._known.items() if key in self._found]
        others = [known for key, known in self._known.items() if key not in self._found]
        return {known.id: known.missed for known in (*first, *others)}

    def restore(self, remembered: Mapping[AutomationId, int]) -> None:
        """Begin with what an earlier run remembered."""
        for id_, missed in remembered.items():
            if self.rules.owns(id_):
                self._known[id_.lower()] = _Known(id_, missed)
        self._choose()

    def standings(self, idle: Collection[AutomationId]) -> Mapping[AutomationId, Standing]:
        """Return how each automation of the account stands."""
        sleeping = {id_.lower() for id_ in idle}
        return {known.id: self._standing(key, sleeping) for key, known in self._known.items()}

    def _standing(self, key: str, idle: Collection[str]) -> Standing:
        if key in self._found or key in self.rules.configured:
            return Standing.IDLE if key in idle else Standing.POLLED
        if self._is_excluded(key):
            return Standing.EXCLUDED
        return Standing.OVER_CAP if self.rules.mode is DiscoveryMode.POLL else Standing.UNWATCHED

    def _miss(self, present: Collection[str]) -> Iterable[AutomationId]:
        for key, known in self._known.items():
            known.missed += key not in present
        gone = [key for key, known in self._known.items() if known.missed >= self.rules.forget_after]
        return [self._known.pop(key).id for key in gone]

    def _choose(self) -> None:
        """Keep who is polled and may be, and add others, in the order of first sight, up to the cap."""
        may_be = self._eligible() if self.rules.mode is DiscoveryMode.POLL else {}
        self._found = {key: id_ for key, id_ in self._found.items() if key in may_be}
        # May be negative after a reload with a smaller cap: those that are polled stay, and none is added.
        room = self.rules.max_automations - len(self.rules.configured) - len(self._found)
        others = [key for key in may_be if key not in self._found][: max(room, 0)]
        self._found |= {key: may_be[key] for key in others}

    def _eligible(self) -> dict[str, AutomationId]:
        return {
            key: known.id
            for key, known in self._known.items()
            if key not in self.rules.configured and not self._is_excluded(key)
        }

    def _is_excluded(self, key: str) -> bool:
        return any(fnmatchcase(key, pattern.lower()) for pattern in self.rules.exclude)
