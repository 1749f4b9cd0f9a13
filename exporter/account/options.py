"""What the configuration says of the account, and what is asked of SendGrid because of it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from exporter.account.discovery import DiscoveryRules
from exporter.domain import Automation, DiscoveryMode
from exporter.polling.sharding import own, shard_of
from exporter.settings import Settings
from exporter.settings.values import duration_text
from exporter.wording import counted, some_of

_MOST_NAMED: Final = 10
OUTDATED: Final = 3
"""Intervals after which a list says nothing of the present: then nobody is idle, and statistics are stale."""
LONGEST_READING: Final = 300.0
"""Seconds that a reading of the list, or of an automation's steps, may take."""
SHARE: Final = 1 / 3
"""Of the request budget that reading the list may take, and reading the steps."""


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """What the configuration says of the account."""

    automations: tuple[Automation, ...] = ()
    """The configured ones that fall to this process."""
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
    """Whose account is asked, and where."""

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
    """Yield a sentence for each thing that SendGrid would be asked for, without asking for any."""
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
