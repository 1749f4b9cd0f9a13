"""What keeps the account known: the list, the statistics by step, and the threads that read them."""

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from exporter.account.account import Account, Follower, ListSource
from exporter.account.memory import decoded, encoded
from exporter.account.options import AccountOptions
from exporter.account.statistics import StatisticsStore
from exporter.account.steps import Steps, StepSource
from exporter.clock import Clock
from exporter.domain import Automation, AutomationId, DiscoveryMode, Endpoint
from exporter.exposition.compression import Compressed
from exporter.sendgrid.budget import Budget
from exporter.telemetry import Telemetry

_log = logging.getLogger(__name__)

Spawn = Callable[[Callable[[], None], str], threading.Thread]
"""Starts a thread of that name for the work."""


class AccountSource(ListSource, StepSource, Protocol):
    """Where the list and the statistics come from."""


class AccountRunner:
    """Owns what is known of the account, and the threads that read it; whoever owns it calls `tend` once a second."""

    def __init__(
        self,
        source: AccountSource,
        options: AccountOptions,
        *,
        follower: Follower,
        telemetry: Telemetry,
        budget: Budget,
        clock: Clock,
        stop: threading.Event,
        spawn: Spawn,
        bounded: Callable[[str], str],
        total_clicks: Callable[[], Mapping[AutomationId, int]],
    ) -> None:
        """Tell the follower whom to poll; `bounded` cuts a step's id, `total_clicks` gives the links' shown totals."""
        self._source = source
        self._follower = follower
        self._clock = clock
        self._stop = stop
        self._spawn = spawn
        self._store = StatisticsStore(bounded)
        self._account = Account(
            source,
            options,
            store=self._store,
            telemetry=telemetry,
            clock=clock,
            rate=lambda: budget.rate_of(Endpoint.STATISTICS),
            total_clicks=total_clicks,
        )
        self._steps = Steps(
            source, store=self._store, clock=clock, rate=lambda: budget.rate_of(Endpoint.STEP_STATISTICS)
        )
        self._threads: dict[str, threading.Thread] = {}
        self._key_seen: str | None = None

    @property
    def account(self) -> Account:
        """What is known of the account."""
        return self._account

    @property
    def requests_per_second(self) -> float:
        """The requests that all of this takes in the long run."""
        return self._account.requests_per_second + self._steps.requests_per_second

    def lines(self) -> Mapping[str, Compressed]:
        """Return the lines of the statistics for a scrape, by the family's name, without waiting."""
        return self._store.lines

    def take_over(self, source: AccountSource, options: AccountOptions) -> None:
        """Follow other settings, and read from another source."""
        self._source = source
        self._account.take_over(source, options)

    def configure(self, automations: Sequence[Automation], *, forgive: bool) -> None:
        """Read the steps of these automations, where the settings say so."""
        options = self._account.options
        self._steps.configure(
            self._source,
            automations if options.reads_steps else (),
            interval=options.statistics_interval,
            stale_after=options.stale_after,
            forgive=forgive,
        )
        self._steps.rest(self._account.idle(), options.idle_interval)

    def start(self) -> None:
        """Start the threads that the settings need and that do not run yet; what is switched off later only waits."""
        options = self._account.options
        if options.reads_list and "account" not in self._threads:
            self._threads["account"] = self._spawn(lambda: self._account.run(self._stop, self), "account")
        if options.reads_steps and "steps" not in self._threads:
            self._threads["steps"] = self._spawn(lambda: self._steps.run(self._stop), "steps")

    def tend(self, key: str) -> None:
        """Drop statistics that are stale, and end what a former key slowed down."""
        self.refresh()
        if self._key_seen not in (None, key):
            self._account.forgive()
            self._steps.forgive()
        self._key_seen = key

    def refresh(self) -> None:
        """Bring what a scrape shows to what is known now."""
        now = self._clock.monotonic()
        oldest = now - self._account.staleness
        self._store.refresh(lambda _: oldest, lambda automation_id: now - self._steps.staleness(automation_id))

    def read_first(self) -> None:
        """Read once what names the automations to poll."""
        if self._account.options.rules.mode is DiscoveryMode.POLL:
            self._account.read(self)

    def read_beside(self) -> None:
        """Read once what no poll waits for, until the stop."""
        options = self._account.options
        if options.reads_list and options.rules.mode is not DiscoveryMode.POLL:
            self._account.read(self)
        for automation in self._account.automations() if options.reads_steps else ():
            if not self._stop.is_set():
                self._steps.read(automation)

    def remembered(self) -> bytes:
        """Return what another run should know, as text."""
        return encoded(self._account.remembered(), self._clock.time() - self._clock.monotonic())

    def restore(self, text: bytes) -> None:
        """Begin with what an earlier run remembered."""
        now = self._clock.monotonic()
        remembered = decoded(text, self._clock.time() - now, now)
        if remembered is None:
            _log.warning("state.path: what was kept of the account cannot be read; its list is read again")
        else:
            self._account.restore(remembered)

    def follow(self, automations: Sequence[Automation]) -> None:
        """Poll these automations from now on."""
        self._follower.follow(automations)

    def rest(self, idle: Collection[AutomationId], interval: float) -> None:
        """Poll these of them at the idle interval (seconds)."""
        self._steps.rest(idle, interval)
        self.refresh()
        self._follower.rest(idle, interval)
