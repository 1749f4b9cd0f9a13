"""Reads the account's list of automations at its own interval, and passes on what follows from it.

`Account` is what is known; `AccountRunner` keeps it known, by threads that read the list and the statistics by step.
"""

import logging
import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from exporter.account.discovery import LONGEST_READING, OUTDATED, SHARE, AccountOptions, Discovery, News
from exporter.account.memory import Movement, Remembered, decoded, encoded
from exporter.account.statistics import StatisticsStore, Steps, StepSource
from exporter.clock import Clock
from exporter.domain import (
    Automation,
    AutomationId,
    AutomationList,
    DiscoveryMode,
    Endpoint,
    Outcome,
    PollResult,
    Standing,
)
from exporter.errors import (
    Failing,
    IncompleteError,
    SendGridError,
    StoppedError,
    log_fields,
    reason_of,
    result_of,
    some_of,
    text_of,
)
from exporter.sendgrid.budget import Budget
from exporter.sendgrid.statistics import MOST_IDS
from exporter.telemetry import Telemetry

_log = logging.getLogger(__name__)

_SHORTEST_READING: Final = 60.0
"""Maximum seconds of a read, whatever the interval."""
_FIRST_RETRY: Final = 60.0
"""Maximum seconds between two reads until one succeeds."""
_LASTING: Final = 3
"""Reads in a row with the same automations after which an incomplete list is used."""
_SLOWEST: Final = 8.0
"""Refusals double the interval up to this factor."""
_PAGE: Final = 50
_FEW: Final = 100
"""Up to this number, configured automations are requested by id while the account's size is unknown."""
_MOST_NAMED: Final = 20
_TICK: Final = 1.0
_SLOWED: Final = frozenset({Outcome.UNAUTHORIZED, Outcome.FORBIDDEN})


class ListSource(Protocol):
    """Where the list comes from."""

    def listed(self, deadline: float, only: Sequence[AutomationId] | None = None) -> AutomationList:
        """Return the account's automations, or those of `only`, before the deadline; raise SendGridError otherwise."""


class Follower(Protocol):
    """Polls the automations, and is notified when they change."""

    def follow(self, automations: Sequence[Automation]) -> None:
        """Poll these automations from now on."""

    def rest(self, idle: Collection[AutomationId], interval: float) -> None:
        """Poll these of them at the idle interval (seconds)."""


class Account:
    """The account's known automations, kept up to date by one thread that runs `run`.

    A list that is refused, broken or away changes nothing: who is polled stays polled, and the statistics stay until
    they are stale. Each change of that is one line of the log.
    """

    def __init__(
        self,
        source: ListSource,
        options: AccountOptions,
        *,
        store: StatisticsStore,
        telemetry: Telemetry,
        clock: Clock,
        rate: Callable[[], float] = lambda: math.inf,
        total_clicks: Callable[[], Mapping[AutomationId, int]] = dict,
    ) -> None:
        """Send at most `rate` requests per second; `total_clicks` returns the totals shown for the links."""
        self._source = source
        self._options = options
        self._store = store
        self._telemetry = telemetry
        self._clock = clock
        self._rate = rate
        self._total_clicks = total_clicks
        self._lock = threading.Lock()
        """Guards all that follows; never held while SendGrid is asked."""
        self._discovery = Discovery(options.rules)
        self._movement = Movement()
        self._due = -math.inf
        self._pages = 0
        self._account_size: int | None = None
        """Automations that the last list of the account had, those of other shards too."""
        self._succeeded_at = -math.inf
        self._is_tried = False
        self._failing = Failing()
        self._failed: PollResult | None = None
        """Why it failed, in words."""
        self.failure_level = logging.WARNING
        """Level of a new failure's log line; lower if the results are reported elsewhere."""
        self._refused = 0
        self._doubted: tuple[frozenset[AutomationId], int] = (frozenset(), 0)
        self._idle: frozenset[AutomationId] = frozenset()
        self._nameless = 0
        self._announce()

    @property
    def options(self) -> AccountOptions:
        """The current configuration."""
        return self._options

    @property
    def staleness(self) -> float:
        """The seconds after which an automation's statistics are no longer shown."""
        stale_after = self._options.stale_after
        return OUTDATED * self._interval() if stale_after is None else stale_after

    @property
    def requests_per_second(self) -> float:
        """The requests that reading the list takes in the long run."""
        return self._pages / self._interval() if self._options.reads_list else 0.0

    @property
    def failure(self) -> PollResult | None:
        """How the last reading of the list failed; None after one that succeeded."""
        return self._failed if self._failing.reason else None

    def automations(self) -> tuple[Automation, ...]:
        """Return the automations to poll: the configured ones, then those that were found."""
        with self._lock:
            return self._automations()

    def idle(self) -> frozenset[AutomationId]:
        """Return which of them are idle now."""
        return self._idle

    def standings(self) -> Mapping[AutomationId, Standing]:
        """Return each automation's state in the account; empty while discovery is off."""
        with self._lock:
            return self._discovery.standings(self._idle) if self._options.discovers else {}

    def is_tried(self) -> bool:
        """Return whether the automations to poll are known, from a first read of the list or an earlier run."""
        return self._is_tried or self._options.rules.mode is not DiscoveryMode.POLL

    def take_over(self, source: ListSource, options: AccountOptions) -> None:
        """Follow other settings, read from another source, and read the list again at once."""
        with self._lock:
            self._source, former, self._options = source, self._options, options
            if former.whom != options.whom:
                self._discovery.forget()
                self._movement = Movement()
                self._succeeded_at, self._account_size = -math.inf, None
                self._store.keep_only((), steps=())
            self._discovery.configure(options.rules)
            self._due, self._refused = -math.inf, 0
            self._settle()

    def forgive(self) -> None:
        """Read the list again at once where it was refused, since the key has changed."""
        with self._lock:
            if self._refused:
                self._due, self._refused = -math.inf, 0

    def run(self, stop: threading.Event, follower: Follower) -> None:
        """Read the list whenever it is due, until the stop."""
        while not stop.is_set():
            if self._options.reads_list and self._clock.monotonic() >= self._due:
                self.read(follower)
            elif self._idle and self._is_outdated():
                self._wake(follower)
            self._clock.wait(stop, _TICK)

    def read(self, follower: Follower) -> Outcome | None:
        """Read the list once and notify the follower; None if the stop interrupted it. Never raises."""
        source, options = self._source, self._options
        outcome = self._read(source, options, follower)
        if outcome is None:
            return None
        with self._lock:
            self._is_tried = True
            if options is self._options:  # a reload that came between wants its own reading at once
                self._refused = self._refused + 1 if outcome in _SLOWED else 0
                self._due = self._clock.monotonic() + self._pause()
        self._telemetry.list_read(outcome, self._clock.time())
        return outcome

    def remembered(self) -> Remembered:
        """Return what a later run should know from its start."""
        with self._lock:
            return Remembered(
                self._discovery.remembered(), self._movement.remembered(), self._store.totals(), self._store.steps()
            )

    def restore(self, remembered: Remembered) -> None:
        """Start with what an earlier run knew."""
        with self._lock:
            if self._options.discovers:
                self._discovery.restore(remembered.missed)
            self._movement.restore(remembered.still)
            if self._options.statistics:
                self._store.restore(remembered.totals, remembered.steps)
            self._is_tried = self._is_tried or bool(remembered.missed)
            self._succeeded_at = max((each.read_at for each in remembered.totals.values()), default=-math.inf)
            self._settle()

    def _read(self, source: ListSource, options: AccountOptions, follower: Follower) -> Outcome | None:
        deadline = self._clock.monotonic() + min(max(options.interval, _SHORTEST_READING), LONGEST_READING)
        try:
            self._take(self._listed(source, options, deadline), options, follower)
        except StoppedError:
            return None
        except Exception as exc:  # noqa: BLE001  # whatever is wrong with the list, the links go on; it is counted and logged
            outcome = reason_of(exc)[0]
            self._note_failure(exc)
        else:
            self._note_success()
            return Outcome.SUCCESS
        if self._is_outdated():
            self._wake(follower)
        return outcome

    def _listed(self, source: ListSource, options: AccountOptions, deadline: float) -> AutomationList:
        """Return the list; one that is not whole all the same once it has been the same, or longer, for three readings.

        An API whose counts are wrong for good must not blind the exporter; what such a list lacks proves nothing.
        """
        try:
            listed = source.listed(deadline, self._only(options))
        except IncompleteError as exc:
            if exc.listed is None:
                self._doubted = (frozenset(), 0)
                raise
            before, times = self._doubted
            present = frozenset(exc.listed.statistics)
            times = times + 1 if before <= present else 1
            self._doubted = (present, times)
            if times < _LASTING:
                raise
            if times == _LASTING:
                _log.warning(
                    "the list of automations: used although inconsistent in %d reads in a row: %s", _LASTING, exc.text
                )
            self._telemetry.mismatched()
            return exc.listed
        self._doubted = (frozenset(), 0)
        return listed

    def _only(self, options: AccountOptions) -> Sequence[AutomationId] | None:
        """Return the ids to request; None for the whole account, also if that takes fewer requests."""
        if options.discovers:
            return None
        ids = [automation.id for automation in options.automations]
        if self._account_size is None:
            return ids if len(ids) <= _FEW else None
        return ids if len(ids) / MOST_IDS <= max(self._account_size / _PAGE, 1) else None

    def _take(self, listed: AutomationList, options: AccountOptions, follower: Follower) -> None:
        """Apply the list, unless a reload intervened, and notify the follower."""
        now, clicks = self._clock.monotonic(), self._total_clicks()
        if listed.nameless > self._nameless:
            # An id that became unreadable is that of an automation that now seems to be missing.
            listed = replace(listed, is_whole=False)
        with self._lock:
            if options is not self._options:
                return
            known = bool(self._discovery.remembered())
            before = self._automations()
            spelled = {each.id.lower(): each.id for each in before}
            statistics = {spelled.get(id_.lower(), id_): counts for id_, counts in listed.statistics.items()}
            news = self._discovery.learn(listed) if options.discovers else News()
            self._pages, self._succeeded_at = listed.pages, now
            if listed.is_of_account:
                self._account_size = len(listed.statistics)
            after = self._automations()
            watched = {each.id for each in after}
            self._movement.see({id_: counts for id_, counts in statistics.items() if id_ in watched}, now)
            self._movement.see_clicks(clicks, now)
            shown = self._shown(watched)
            if options.statistics:
                self._store.publish({id_: counts for id_, counts in statistics.items() if id_ in shown}, now)
            self._settle()
        self._log_news(news, known=known)
        self._log_nameless(listed.nameless)
        if after != before:
            follower.follow(after)
        follower.rest(self._idle, options.idle_interval)

    def _automations(self) -> tuple[Automation, ...]:
        interval = self._options.poll_interval
        return (*self._options.automations, *(Automation(id_, id_, interval) for id_ in self._discovery.found))

    def _shown(self, watched: Collection[AutomationId]) -> frozenset[AutomationId]:
        """Return the ids whose statistics are shown: those polled, and those not polled up to the cap."""
        standings = self._discovery.standings(())
        unwatched = [id_ for id_, standing in standings.items() if standing is Standing.UNWATCHED]
        room = max(self._options.rules.max_automations - len(watched), 0)
        return frozenset([*watched, *unwatched[:room]])

    def _settle(self) -> None:
        """Update what is shown and which automations are idle."""
        watched = {each.id for each in self._automations()}
        self._movement.keep_only(watched)
        self._store.keep_only(self._shown(watched) if self._options.statistics else (), steps=watched)
        idle = self._movement.idle(self._clock.monotonic(), self._options.idle_after)
        self._idle = frozenset() if self._is_outdated() else idle & watched
        self._announce()

    def _announce(self) -> None:
        self._telemetry.list_enabled(enabled=self._options.reads_list)
        if not self._options.discovers:
            self._telemetry.discovered(None)
            return
        standings = list(self._discovery.standings(self._idle).values())
        self._telemetry.discovered({standing: standings.count(standing) for standing in Standing})

    def _wake(self, follower: Follower) -> None:
        """End all idling, since without a list no automation is known to be idle."""
        with self._lock:
            idle, self._idle = self._idle, frozenset()
            self._announce()
        if idle:
            follower.rest((), self._options.idle_interval)

    def _is_outdated(self) -> bool:
        return self._clock.monotonic() - self._succeeded_at > OUTDATED * self._interval()

    def _interval(self) -> float:
        """Return the seconds between two reads that the request budget allows."""
        rate = self._rate() * SHARE
        return max(self._options.interval, self._pages / rate) if rate > 0 else self._options.interval

    def _pause(self) -> float:
        if self._refused:
            return self._interval() * min(2.0**self._refused, _SLOWEST)
        return self._interval() if self._succeeded_at > -math.inf else min(self._interval(), _FIRST_RETRY)

    def _note_success(self) -> None:
        if self._failing.end():
            _log.info("the list of automations recovered", extra=log_fields(None, Outcome.SUCCESS))

    def _note_failure(self, exc: Exception) -> None:
        how, level = self._failing.note(exc, self.failure_level)
        self._failed = failed = result_of(exc)
        is_defect = not isinstance(exc, SendGridError)
        fields = log_fields(None, exc)
        _log.log(level, "the list of automations %s: %s", how, text_of(failed), extra=fields, exc_info=is_defect)

    def _log_nameless(self, nameless: int) -> None:
        if nameless and not self._nameless:
            _log.warning("the list of automations: %d ids are not UUIDs and are ignored", nameless)
        self._nameless = nameless

    def _log_news(self, news: News, *, known: bool) -> None:
        """Log new and dropped automations once; for the first list only the number of each kind."""
        standings = self.standings()
        if news.came and not known:
            counts = [f"{sum(each is kind for each in standings.values())} {kind}" for kind in Standing]
            _log.info("the account has %d automations: %s", len(standings), ", ".join(counts))
        elif news.came:
            named = [f"{self._named(id_)} ({standings[id_]})" for id_ in news.came]
            _log.info("new in the account: %s", some_of(named, _MOST_NAMED))
        if news.went:
            named = [self._named(id_) for id_ in news.went]
            _log.info("no longer in the account: %s", some_of(named, _MOST_NAMED))

    def _named(self, automation_id: AutomationId) -> str:
        names = {each.id.lower(): each.name for each in self._options.automations}
        name = names.get(automation_id.lower(), automation_id)
        return automation_id if name == automation_id else f"{automation_id} ({name})"


Spawn = Callable[[Callable[[], None], str], threading.Thread]
"""Starts a thread of that name for the work."""


class AccountSource(ListSource, StepSource, Protocol):
    """Where the list and the statistics come from."""


class AccountRunner:
    """Owns what is known of the account, and the threads that read it; its owner calls `tend` once a second."""

    def __init__(
        self,
        source: AccountSource,
        options: AccountOptions,
        *,
        store: StatisticsStore,
        follower: Follower,
        telemetry: Telemetry,
        budget: Budget,
        clock: Clock,
        stop: threading.Event,
        spawn: Spawn,
        total_clicks: Callable[[], Mapping[AutomationId, int]],
    ) -> None:
        """Tell the follower what to poll; `total_clicks` returns the totals shown for the links."""
        self._source = source
        self._follower = follower
        self._clock = clock
        self._stop = stop
        self._spawn = spawn
        self._statistics = store
        self._account = Account(
            source,
            options,
            store=store,
            telemetry=telemetry,
            clock=clock,
            rate=lambda: budget.rate_of(Endpoint.STATISTICS),
            total_clicks=total_clicks,
        )
        self._steps = Steps(source, store=store, clock=clock, rate=lambda: budget.rate_of(Endpoint.STEP_STATISTICS))
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
        """Start the required threads that are not running yet; a thread that is disabled later only waits."""
        options = self._account.options
        if options.reads_list and "account" not in self._threads:
            self._threads["account"] = self._spawn(lambda: self._account.run(self._stop, self), "account")
        if options.reads_steps and "steps" not in self._threads:
            self._threads["steps"] = self._spawn(lambda: self._steps.run(self._stop), "steps")

    def tend(self, key: str) -> None:
        """Drop stale statistics, and end slowdowns caused by a previous key."""
        self.refresh()
        if self._key_seen not in (None, key):
            self._account.forgive()
            self._steps.forgive()
        self._key_seen = key

    def refresh(self) -> None:
        """Update what a scrape shows."""
        now = self._clock.monotonic()
        oldest = now - self._account.staleness
        self._statistics.refresh(lambda _: oldest, lambda automation_id: now - self._steps.staleness(automation_id))

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
            _log.warning("state.path: the stored data about the account cannot be read; reading its list again")
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
