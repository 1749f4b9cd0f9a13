"""The threads that poll: they take what is due, and report whether they still work."""

import logging
import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Final

from exporter.clock import Clock
from exporter.domain import Automation, AutomationId
from exporter.errors import counted
from exporter.polling.poller import Poller
from exporter.polling.schedule import Plan, Schedule
from exporter.state import SavedBlock

_log = logging.getLogger(__name__)

_LONGEST_POLL: Final = 300.0
_LONGEST_NAP: Final = 1.0
_STALE_INTERVALS: Final = 3
_GRACE: Final = 60.0
"""A worker may be late by this much on a busy machine."""

Capacity = Callable[[], float]
"""Returns the requests per second that the budget allows."""


Spawn = Callable[[Callable[[], None], str], threading.Thread]
"""Starts a thread of that name for the work."""


class Workers:
    """Polls with several threads, as the schedule says; every shared state change happens under one lock.

    Whoever owns the workers calls `tend` about once a second: it drops what is stale and keeps the schedule within
    the budget. The workers are healthy as long as it is called, every thread lives, and no poll exceeds its deadline
    by more than a minute.
    """

    def __init__(self, poller: Poller, *, clock: Clock, stop: threading.Event, spawn: Spawn | None = None) -> None:
        self._poller = poller
        self._schedule = Schedule()
        self._capacity: Capacity = lambda: math.inf
        self._key: Callable[[], str] = str
        self._key_seen = ""
        self._clock = clock
        self._stop = stop
        self._spawn = spawn or start_thread
        self._lock = threading.Lock()
        self._concurrency = 0
        self._threads: dict[int, threading.Thread] = {}
        self._busy_until: dict[int, float] = {}
        self._tended = clock.monotonic()
        self._stale_after: float | None = None
        self._automations: Mapping[AutomationId, Automation] = {}
        self._shown = -1
        self._all_tried = False

    def configure(
        self,
        automations: Sequence[Automation],
        *,
        concurrency: int,
        stale_after: float | None,
        capacity: Capacity,
        app_url: str = "",
        again: Collection[AutomationId] = (),
        withdrawn: Collection[AutomationId] = (),
        key: Callable[[], str] = str,
        forgive: bool = True,
    ) -> None:
        """Poll these automations from now on; those that were polled already keep their rhythm and their blocks.

        Those of `again` are polled at once, and the blocks of those `withdrawn` are no longer shown. When `key` gives
        another one than before, now or later, what its former value slowed down is polled at once. What refusals have
        slowed down is normal again, unless `forgive` is false. `app_url` is the address of an automation's page.
        """
        self._key = key
        self._notice_key()
        with self._lock:
            self._automations = {automation.id: automation for automation in automations}
            self._concurrency, self._stale_after, self._capacity = concurrency, stale_after, capacity
            self._poller.store.configure(automations, app_url)
            self._poller.store.withdraw(withdrawn)
            self._schedule.configure(automations, self._clock.monotonic(), again, forgive=forgive)
            # A poll under way of an automation that has just gone still writes to what is remembered of it.
            self._poller.forget_all_but({*self._automations, *self._schedule.leaving()})
            if self._schedule.fit(self._capacity()):
                self._log_stretch()
            self._show_rhythm()

    def rest(self, idle: Collection[AutomationId], interval: float) -> None:
        """Poll these automations at the idle interval (seconds), and all others at their own."""
        with self._lock:
            self._schedule.rest(idle, interval, self._clock.monotonic())
            self._show_rhythm()

    def plan(self) -> str:
        """Return a sentence that compares what the automations need with what the budget allows."""
        with self._lock:
            return (
                f"polling {counted(len(self._automations), 'automation')} needs {self._schedule.demand() * 60:.1f} "
                f"requests a minute if each has one page; the budget allows {self._capacity() * 60:.1f}"
            )

    def start(self) -> None:
        """Start the threads that are missing; those beyond the configured number end by themselves."""
        with self._lock:
            for number in range(self._concurrency):
                if number not in self._threads:
                    self._threads[number] = self._spawn(partial(self._work, number), f"poller-{number}")

    def tend(self) -> None:
        """Drop stale blocks, stretch the rhythm to the budget, end what a former key slowed; about once a second."""
        now = self._clock.monotonic()
        self._poller.store.expire(now)
        self._notice_key()
        with self._lock:
            if self._schedule.fit(self._capacity()):
                self._log_stretch()
            self._show_rhythm()
        self._tended = now

    def trouble(self) -> str | None:
        """Return why polling no longer works, as an operator can act on it; None while it does."""
        now = self._clock.monotonic()
        if now - self._tended > _GRACE:
            return f"polling stalled: no supervision for over {_GRACE:.0f} s; restart the exporter"
        if (dead := self.dead()) is not None:
            return dead
        # A copy, since the workers change it meanwhile, without the lock.
        for number, until in list(self._busy_until.items()):
            if now > until + _GRACE:
                late = f"thread {number} is over {_GRACE:.0f} s past its poll's deadline"
                return f"polling stalled: {late}; restart the exporter"
        return None

    def dead(self) -> str | None:
        """Return which thread ended although it should poll; None while all live."""
        with self._lock:
            ended = [number for number, thread in self._threads.items() if not thread.is_alive()]
        return f"polling failed: thread {ended[0]} has ended" if ended and not self._stop.is_set() else None

    def restore(self, saved: SavedBlock) -> bool:
        """Show a block of an earlier run, unless it is stale or its time makes no sense; return whether it is shown."""
        age = self._clock.time() - saved.last_success
        stale_after = self._staleness(saved.automation_id)
        # Negative: the machine's clock was set back since, so the true age is not known.
        if not 0 <= age < stale_after:
            return False
        now = self._clock.monotonic()
        self._poller.remember(saved.automation_id, now - age, saved.block)
        self._poller.store.restore(
            saved.automation_id, saved.block, last_success=saved.last_success, expires=now - age + stale_after
        )
        return True

    def plans(self) -> Mapping[AutomationId, Plan]:
        """Return when each automation is polled next."""
        with self._lock:
            return self._schedule.plans(self._clock.monotonic())

    def demand(self) -> float:
        """Return the requests per second that the configured intervals ask for."""
        with self._lock:
            return self._schedule.demand()

    def untried(self) -> int:
        """Return how many automations have neither been polled nor restored yet.

        Once there were none it stays at none: a reload that adds one must not take the others out of service.
        """
        if self._all_tried:
            return 0
        untried = sum(
            self._poller.last_result(id_) is None and self._poller.succeeded_at(id_) is None
            for id_ in self._automations
        )
        self._all_tried = untried == 0
        return untried

    def join(self, seconds: float) -> None:
        """Wait for the threads to end, all together no longer than the seconds."""
        deadline = self._clock.monotonic() + seconds
        for thread in list(self._threads.values()):
            thread.join(max(deadline - self._clock.monotonic(), 0.0))

    def _work(self, number: int) -> None:
        while self._stays(number):
            automation, wait = self._take()
            if automation is None:
                self._busy_until.pop(number, None)
                self._clock.wait(self._stop, wait)
            else:
                self._poll(number, automation)

    def _stays(self, number: int) -> bool:
        """Return whether the thread goes on; one that does not takes itself off the list in the same step."""
        with self._lock:
            stays = not self._stop.is_set() and number < self._concurrency
            if not stays:
                self._threads.pop(number, None)
                self._busy_until.pop(number, None)
            return stays

    def _take(self) -> tuple[Automation | None, float]:
        with self._lock:
            now = self._clock.monotonic()
            automation = self._schedule.take(now)
            # A nap of bounded length: a reload may make something due earlier, and nobody wakes the thread.
            return automation, min(self._schedule.next_due() - now, _LONGEST_NAP)

    def _notice_key(self) -> None:
        """End what a former key slowed down."""
        key = self._key()
        # Read outside of the lock: the common case, once a second, takes none.
        if key == self._key_seen:
            return
        with self._lock:
            self._key_seen = key
            self._schedule.forgive(self._clock.monotonic())
            self._show_rhythm()

    def _poll(self, number: int, automation: Automation) -> None:
        now = self._clock.monotonic()
        with self._lock:
            planned = self._schedule.planned_interval(automation.id)
            stale_after = self._staleness(automation.id)
        deadline = now + min(planned, _LONGEST_POLL)
        self._busy_until[number] = deadline
        result = self._poller.poll(automation, deadline=deadline, stale_after=stale_after)
        # A poll that the stop cut short says nothing about the automation.
        if self._stop.is_set():
            return
        with self._lock:
            self._schedule.done(automation.id, result, self._clock.monotonic())
            self._show_rhythm()
            self._let_expire([automation.id])  # the interval may have changed while it was polled

    def _staleness(self, automation_id: AutomationId) -> float:
        """Return the seconds after which a block is stale; for an idle automation three of its intervals at least."""
        of_interval = _STALE_INTERVALS * self._schedule.planned_interval(automation_id)
        if self._stale_after is None:
            return of_interval
        return max(self._stale_after, of_interval) if self._schedule.is_idle(automation_id) else self._stale_after

    def _show_rhythm(self) -> None:
        """Bring the intervals, and the moments at which blocks grow stale, to where the schedule has them."""
        if self._shown == self._schedule.version:
            return
        self._shown = self._schedule.version
        self._poller.store.keep_intervals(self._schedule.intervals())
        self._let_expire(self._automations)

    def _let_expire(self, automation_ids: Collection[AutomationId]) -> None:
        """Let blocks grow stale by the intervals as they are planned now.

        One whose automation has just left the idle lane was good there: its time begins when it left.
        """
        succeeded = {id_: self._poller.succeeded_at(id_) for id_ in automation_ids}
        self._poller.store.postpone(
            {
                id_: max(at, self._schedule.woken_at(id_)) + self._staleness(id_)
                for id_, at in succeeded.items()
                if at is not None
            }
        )

    def _log_stretch(self) -> None:
        if self._schedule.stretch > 1:
            _log.warning(
                "the automations' pages need %.1f requests a minute, the budget allows %.1f: every interval is "
                "%.2f times as long; fewer automations, a longer poll.interval or a higher "
                "sendgrid.requests_per_minute would help",
                self._schedule.demand() * 60,
                self._capacity() * 60,
                self._schedule.stretch,
            )
        else:
            _log.info("the automations' pages fit the request budget again: intervals are as configured")


def start_thread(work: Callable[[], None], name: str) -> threading.Thread:
    """Start a thread that does not hold up the end of the process: a poll may be within a read that cannot be cut."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
