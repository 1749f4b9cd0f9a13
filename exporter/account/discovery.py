"""Which of the account's automations are polled, and by which shard; what the configuration says of the account."""

import hashlib
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from exporter.domain import Automation, AutomationId, AutomationList, DiscoveryMode, Standing
from exporter.errors import counted, some_of
from exporter.settings import Settings
from exporter.settings.values import duration_text

_MULTIPLIER: Final = 2862933555777941757
_WORD: Final = 1 << 64
_MOST_NAMED: Final = 10
OUTDATED: Final = 3
"""Intervals after which a list is outdated: then no automation is idle, and statistics are stale."""
LONGEST_READING: Final = 300.0
"""Maximum seconds of reading the list, or an automation's steps."""
SHARE: Final = 1 / 3
"""Share of the request budget for reading the list, and for reading the steps."""


def shard_of(automation_id: AutomationId, total: int) -> int:
    """Return the number of the automation's shard, from 0 to `total` - 1.

    The jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014): the shards
    are of equal size, and one shard more takes over its own part and moves nothing between the others.
    """
    # blake2b and not hash(): Python's differs from process to process (PYTHONHASHSEED), and shards must agree.
    key = int.from_bytes(hashlib.blake2b(automation_id.lower().encode(), digest_size=8).digest(), "big")
    shard, candidate = 0, 0
    while candidate < total:
        # A linear congruential generator seeded by the key; `candidate` is the shard count at which it next moves.
        shard = candidate
        key = (key * _MULTIPLIER + 1) % _WORD
        # The upper 31 bits of the state give a uniform r in (0, 1]: the next move is at (shard + 1) / r.
        candidate = int((shard + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return shard


def own(automations: Iterable[Automation], *, index: int, total: int) -> tuple[Automation, ...]:
    """Return the automations that the shard polls, in their order."""
    return tuple(automation for automation in automations if shard_of(automation.id, total) == index)


@dataclass(frozen=True, slots=True)
class DiscoveryRules:
    """The configuration's `discovery` group, and the automations that it applies to."""

    mode: DiscoveryMode = DiscoveryMode.OFF
    exclude: tuple[str, ...] = ()
    """Shell patterns of ids, in any letter case."""
    forget_after: int = 3
    max_automations: int = 1000
    configured: frozenset[str] = frozenset()
    """The ids that the configuration lists, in lower case."""
    owns: Callable[[AutomationId], bool] = lambda _: True
    """Whether an automation belongs to this shard."""


@dataclass(frozen=True, slots=True)
class News:
    """What a list changed."""

    came: tuple[AutomationId, ...] = ()
    went: tuple[AutomationId, ...] = ()


@dataclass(slots=True)
class _Known:
    id: AutomationId
    missed: int = 0
    """Complete lists in a row without it."""


@dataclass(slots=True)
class Discovery:
    """Keeps the account's automations, and decides which are polled in addition to the configured ones.

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
        """The automations to poll in addition to the configured ones."""
        return tuple(self._found.values())

    def configure(self, rules: DiscoveryRules) -> None:
        """Apply new rules: automations that are now configured, excluded or another shard's leave immediately."""
        self.rules = rules
        if rules.mode is DiscoveryMode.OFF:
            self.forget()
        self._known = {key: known for key, known in self._known.items() if rules.owns(known.id)}
        self._choose()

    def forget(self) -> None:
        """Forget all automations, since another account is used from now on."""
        self._known, self._found = {}, {}

    def learn(self, listed: AutomationList) -> News:
        """Process a list; return the automations that are new in the account and those that left it."""
        present = {id_.lower(): id_ for id_ in listed.statistics if self.rules.owns(id_)}
        came = [id_ for key, id_ in present.items() if key not in self._known]
        for key, id_ in present.items():
            self._known.setdefault(key, _Known(id_)).missed = 0
        went = self._miss(present) if listed.is_whole and listed.is_of_account else []
        self._choose()
        return News(tuple(came), tuple(went))

    def remembered(self) -> Mapping[AutomationId, int]:
        """Return every automation with the number of complete lists in a row without it; those polled come first."""
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
        """Return each automation's state in the account."""
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
        """Keep polled automations that may stay, and add others in order of first sight, up to the cap."""
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


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """What the configuration says of the account."""

    automations: tuple[Automation, ...] = ()
    """The configured ones of this shard."""
    rules: DiscoveryRules = field(default_factory=DiscoveryRules)
    discovery_interval: float = 600.0
    statistics: bool = True
    steps: bool = False
    statistics_interval: float = 300.0
    poll_interval: float = 300.0
    """Of the automations that are found."""
    idle_after: float = 604800.0
    idle_interval: float = 3600.0
    stale_after: float | None = None
    whom: str = ""
    """The account, and its host."""

    @property
    def reads_list(self) -> bool:
        """Whether the list is read at all."""
        return self.statistics or self.discovers

    @property
    def reads_steps(self) -> bool:
        """Whether the statistics are read by step too."""
        return self.statistics and self.steps

    @property
    def discovers(self) -> bool:
        """Whether all automations of the account matter, and not only the configured ones."""
        return self.rules.mode is not DiscoveryMode.OFF

    @property
    def interval(self) -> float:
        """Seconds between two readings of the list."""
        of_statistics = self.statistics_interval if self.statistics else math.inf
        return min(of_statistics, self.discovery_interval if self.discovers else math.inf)


def account_options(settings: Settings) -> AccountOptions:
    """Return what the settings say of the account."""
    index, total = settings.shard.index, settings.shard.total
    discovery = settings.discovery
    configured = own(settings.automations, index=index, total=total)
    rules = DiscoveryRules(
        mode=discovery.mode,
        exclude=discovery.exclude,
        forget_after=discovery.forget_after,
        max_automations=discovery.max_automations,
        configured=frozenset(automation.id.lower() for automation in configured),
        owns=lambda automation_id: shard_of(automation_id, total) == index,
    )
    return AccountOptions(
        automations=configured,
        rules=rules,
        discovery_interval=discovery.interval,
        statistics=settings.statistics.enabled,
        steps=settings.statistics.steps,
        statistics_interval=settings.statistics.interval,
        poll_interval=settings.poll.interval,
        idle_after=settings.poll.idle_after,
        idle_interval=settings.poll.idle_interval,
        stale_after=settings.poll.stale_after,
        whom=repr((settings.sendgrid.base_url, settings.sendgrid.on_behalf_of)),
    )


def asked(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each kind of request that would be sent, without sending any."""
    options = account_options(settings)
    if options.automations:
        yield f"the links of {_named(options.automations)}"
    if options.discovers:
        yield f"the list of all automations of the account, every {duration_text(options.interval)}"
    elif options.reads_list:
        yield f"the statistics of the configured automations, every {duration_text(options.interval)}"
    if options.rules.mode is DiscoveryMode.POLL:
        excluded = f", except {', '.join(options.rules.exclude)}" if options.rules.exclude else ""
        yield f"the links of whatever that list has{excluded}: {options.rules.max_automations} automations at most"
    if options.reads_steps:
        yield f"the statistics by step of each automation, every {duration_text(options.statistics_interval)}"


def _named(automations: Sequence[Automation]) -> str:
    """Return how many automations these are, how often they are polled, and the first of them by name."""
    intervals = sorted(automation.interval for automation in automations)
    often = " to ".join(duration_text(each) for each in dict.fromkeys((intervals[0], intervals[-1])))
    names = some_of([automation.name for automation in automations], _MOST_NAMED)
    return f"{counted(len(automations), 'automation')}, every {often}: {names}"
