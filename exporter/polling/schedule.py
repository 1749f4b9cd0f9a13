"""Who is due when: a pure state machine over time, without threads and without I/O."""

import heapq
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from exporter.domain import Automation, AutomationId, Outcome, PollResult

_SLOWEST: Final = 8.0
"""Refusals double the interval up to this factor."""
_LATE: Final = 0.05
"""Later than this share of its interval, an automation gets a new phase: the interval cannot be met."""
_MOST_IDLE: Final = 3 / 60
"""Requests a second for all idle automations together; where an hour between two polls needs more, it is longer. An
account of 20,000 with 5 % alive fits the default budget of 300 a minute only so: its idle ones would need 317 alone."""
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_NOTICEABLE: Final = 0.02
"""The stretch changes in steps of this size, so that each page more does not change every interval."""


class Plan(NamedTuple):
    """What is planned for an automation."""

    wait: float | None
    """Seconds until its next poll; None while it is polled."""
    is_idle: bool


@dataclass(slots=True)
class _Entry:
    automation: Automation
    due: float
    pages: int = 0
    """Pages of the last good poll; 0 before it."""
    refused: int = 0
    """Refusals of this automation (403) in a row."""
    key_refused: int = 0
    """Refusals of the key (401) in a row."""
    running: bool = False
    started: float = -math.inf
    first: bool = True
    again: bool = False
    """To be polled at once after the poll under way, which answers a former question."""
    idle: bool = False
    """In the idle lane: its numbers have not moved for long."""
    woken: float = -math.inf
    """When it last left the idle lane."""


@dataclass(slots=True)
class Schedule:
    """The rhythm of the polls.

    Every automation is due at once; the moment of its first poll is its phase, which it keeps. If all requests do not
    fit the budget, every interval stretches by the same factor. Idle automations have a longer interval.
    """

    stretch: float = 1.0
    version: int = 0
    """Rises whenever an interval changes."""
    _entries: dict[AutomationId, _Entry] = field(default_factory=dict)
    _leaving: dict[AutomationId, _Entry] = field(default_factory=dict)
    """No longer configured, but still being polled: one that comes back meanwhile must not be polled twice at once."""
    _queue: list[tuple[float, int, AutomationId]] = field(default_factory=list)
    _sequence: int = 0
    _key_refused: int = 0
    """The most refusals in a row of the key, over all automations."""
    _idle_interval: float = 0.0
    """Seconds, as long as the requests for all idle automations are few."""
    _idle_pages: float = 0.0
    """Requests that one poll of every idle automation takes."""
    _fallen_asleep: int = 0
    """How many automations have entered the idle lane so far."""

    def configure(
        self,
        automations: Sequence[Automation],
        now: float,
        again: Collection[AutomationId] = (),
        *,
        forgive: bool = True,
    ) -> None:
        """Poll exactly these automations: new ones and those of `again` at once, the others in their rhythm.

        What refusals have slowed down is normal again, unless `forgive` is false.
        """
        # `_entries` wins where both have it: what is configured is newer than what is leaving.
        known = self._leaving | self._entries
        self._entries = {}
        # Built again as a whole, since heapq cannot remove the entries of automations that are gone.
        self._queue = []
        self._key_refused = 0 if forgive else self._key_refused
        self.version += 1
        for automation in automations:
            entry = known.get(automation.id) or _Entry(automation, now)
            entry.automation = automation
            if forgive:
                entry.refused = entry.key_refused = 0
            self._entries[automation.id] = entry
            entry.again = entry.again or automation.id in again
            if entry.again and not entry.running:
                entry.again, entry.due = False, now
            elif not entry.first and not entry.running:
                # A shorter interval takes effect at once; a longer one only after the poll that is planned already.
                entry.due = min(entry.due, entry.started + self._interval(entry))
            if not entry.running:
                self._push(entry)
        self._leaving = {id_: entry for id_, entry in known.items() if entry.running and id_ not in self._entries}

    def take(self, now: float) -> Automation | None:
        """Return the automation that is most overdue and mark it as being polled; None when none is due."""
        while self._queue and self._queue[0][0] <= now:
            due, _, automation_id = heapq.heappop(self._queue)
            entry = self._entries.get(automation_id)
            # heapq cannot remove: an entry that was rescheduled leaves its former place behind, which is skipped here.
            if entry is None or entry.running or entry.due != due:
                continue
            entry.running, entry.started = True, now
            return entry.automation
        return None

    def leaving(self) -> Collection[AutomationId]:
        """Return the automations that are no longer configured but still being polled."""
        return self._leaving.keys()

    def next_due(self) -> float:
        """Return when the next automation is due; infinity when none waits."""
        return self._queue[0][0] if self._queue else math.inf

    def done(self, automation_id: AutomationId, result: PollResult, now: float) -> None:
        """Plan the next poll after one that ended."""
        self._leaving.pop(automation_id, None)
        entry = self._entries.get(automation_id)
        if entry is None:
            return
        entry.running = False
        outcome = result.outcome
        # A failed poll may have no pages; the last good number still predicts what the next poll costs.
        entry.pages = result.pages or entry.pages
        recovered = outcome is Outcome.SUCCESS and self._key_refused > 0
        self._note_refusal(entry, outcome)
        interval = self._interval(entry)
        on_time = not entry.first and entry.started - entry.due <= _LATE * interval
        # After a start all were polled together: the idle ones find their places in the longer interval now.
        share = self._offset() if entry.first and entry.idle else 1.0
        entry.first = False
        # From when it was due, not from when it was done: otherwise each poll's duration would shift the phase.
        entry.due = (entry.due if on_time else entry.started) + share * interval
        if entry.due <= now:
            # A poll that took longer than its interval skips the turns it missed: catching up would double the load.
            entry.due += math.ceil((now - entry.due) / interval) * interval
        if entry.again:
            entry.again, entry.due = False, now
        self._push(entry)
        if recovered:
            self._hurry()

    def forgive(self, now: float) -> None:
        """End every slow-down, since the key has changed: what was refused is polled at once."""
        slowed = [entry for entry in self._entries.values() if self._key_refused or entry.refused]
        self._key_refused = 0
        self.version += bool(slowed)
        for entry in slowed:
            entry.refused = entry.key_refused = 0
            if entry.running:
                entry.again = True
            else:
                entry.due = now
                self._push(entry)

    def rest(self, idle: Collection[AutomationId], interval: float, now: float) -> None:
        """Poll these automations at the idle interval (seconds), and all others at their own.

        One that is no longer idle is due at once if its own interval has passed since its last poll. Those that become
        idle together are spread over the idle interval, so that their polls do not come all at one time.
        """
        asleep = [entry for id_, entry in self._entries.items() if id_ in idle and not entry.idle]
        awake = [entry for id_, entry in self._entries.items() if id_ not in idle and entry.idle]
        for entry in asleep:
            entry.idle = True
        for entry in awake:
            entry.idle, entry.woken = False, now
        # `version` rises only on a real change: readers recompute every interval when it does.
        before = self._idle_interval, self._idle_pages
        average = self._average_pages()
        self._idle_interval = interval
        self._idle_pages = sum(entry.pages or average for entry in self._entries.values() if entry.idle)
        if not asleep and not awake and before == (self._idle_interval, self._idle_pages):
            return
        self.version += 1
        for entry in asleep:
            if not entry.first and not entry.running:
                entry.due = now + self._offset() * self._interval(entry)
                self._push(entry)
        self._bring_forward()

    def is_idle(self, automation_id: AutomationId) -> bool:
        """Return whether the automation is polled at the idle interval."""
        entry = self._entries.get(automation_id)
        return entry is not None and entry.idle

    def woken_at(self, automation_id: AutomationId) -> float:
        """Return when the automation last left the idle lane; minus infinity where it never did."""
        entry = self._entries.get(automation_id)
        return -math.inf if entry is None else entry.woken

    def plans(self, now: float) -> Mapping[AutomationId, Plan]:
        """Return what is planned for each automation."""
        return {
            id_: Plan(None if entry.running else max(entry.due - now, 0.0), is_idle=entry.idle)
            for id_, entry in self._entries.items()
        }

    def fit(self, requests_per_second: float) -> bool:
        """Stretch the intervals so that all requests fit the budget; return whether that changed them."""
        wanted = max(1.0, self.demand() / requests_per_second) if requests_per_second > 0 else self.stretch
        # demand / allowed: with every interval longer by that factor, demand is exactly what is allowed.
        if wanted == self.stretch or (wanted > 1 and abs(wanted / self.stretch - 1) < _NOTICEABLE):
            return False
        # Longer intervals need no rescheduling: each automation takes its new one when its next poll ends.
        shorter = wanted < self.stretch
        self.stretch = wanted
        self.version += 1
        if shorter:
            self._bring_forward()
        return True

    def demand(self) -> float:
        """Return the requests per second that the configured intervals, or the idle one, ask for.

        An automation that was not read yet counts as the average of the others.
        """
        average, idle = self._average_pages(), self._idle_lane()
        return sum((entry.pages or average) / _own(entry, idle) for entry in self._entries.values())

    def planned_interval(self, automation_id: AutomationId) -> float:
        """Return the seconds between two polls as planned: configured or idle, and stretched; refusals apart."""
        entry = self._entries.get(automation_id)
        return math.inf if entry is None else _own(entry, self._idle_lane()) * self.stretch

    def intervals(self) -> Mapping[AutomationId, float]:
        """Return the intervals in effect, in seconds, with the stretch and the slow-down after refusals."""
        return {automation_id: self._interval(entry) for automation_id, entry in self._entries.items()}

    def _interval(self, entry: _Entry) -> float:
        # Exponential back-off: 1, 2, 4, 8 times the interval. A refused key (401) slows down every automation, since
        # all use it; a forbidden automation (403) only itself. The larger of both counts, they do not multiply.
        refused = max(entry.refused, self._key_refused)
        return _own(entry, self._idle_lane()) * self.stretch * min(2.0**refused, _SLOWEST)

    def _idle_lane(self) -> float:
        """Return the seconds between two polls of an idle automation, before any stretch."""
        return max(self._idle_interval, self._idle_pages / _MOST_IDLE)

    def _average_pages(self) -> float:
        # Before the first poll nothing is known, and one page is the least that a poll takes.
        known = [entry.pages for entry in self._entries.values() if entry.pages]
        return sum(known) / len(known) if known else 1.0

    def _offset(self) -> float:
        """Return where in the idle interval the next automation that becomes idle is polled first, from 0 to 1.

        Multiples of the golden ratio, modulo 1, lie evenly over the interval however many there are (the additive
        recurrence of quasi-random sequences).
        """
        self._fallen_asleep += 1
        return self._fallen_asleep * _GOLDEN % 1.0

    def _note_refusal(self, entry: _Entry, outcome: Outcome) -> None:
        before = entry.refused, self._key_refused
        if outcome is Outcome.SUCCESS:
            entry.refused = entry.key_refused = 0
        entry.refused += outcome is Outcome.FORBIDDEN
        entry.key_refused += outcome is Outcome.UNAUTHORIZED
        # The maximum and not the sum: a key that is refused for a hundred automations in one round is refused once.
        self._key_refused = max(self._key_refused, entry.key_refused)
        self.version += before != (entry.refused, self._key_refused)

    def _hurry(self) -> None:
        """Return to the normal pace, since the key works again."""
        self._key_refused = 0
        self.version += 1
        for entry in self._entries.values():
            entry.key_refused = 0
        self._bring_forward()

    def _bring_forward(self) -> None:
        """Let nobody wait longer than its interval, which has become shorter."""
        for entry in self._entries.values():
            soon = entry.started + self._interval(entry)
            if not entry.running and soon < entry.due:
                entry.due = soon
                self._push(entry)

    def _push(self, entry: _Entry) -> None:
        # The sequence number breaks ties, so that automations due at the same time keep the configuration's order.
        self._sequence += 1
        heapq.heappush(self._queue, (entry.due, self._sequence, entry.automation.id))


def _own(entry: _Entry, idle_lane: float) -> float:
    """Return the automation's interval, where idle automations have the other one; never a shorter one."""
    return max(entry.automation.interval, idle_lane) if entry.idle else entry.automation.interval
