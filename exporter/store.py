"""The snapshot: one automation's block is swapped at a time, and readers never wait for writers."""

import math
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from exporter.domain import NO_HISTORY, Automation, AutomationId, page_of
from exporter.exposition import PER_AUTOMATION, AutomationView, Block, Compressed, Group, join, render_group

_SMALLEST_GROUP: Final = 32
_FAMILY_NAMES: Final = tuple(family.name for family in PER_AUTOMATION)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Snapshot:
    """One consistent state of all automations, as a scrape sees it; equal to itself alone."""

    groups: tuple[Group, ...]
    link_series: int
    place: Mapping[AutomationId, int]
    """The number of each automation's group."""
    joined: dict[str, Compressed] = field(default_factory=dict)
    """The families that a scrape has put together, and that no change since has touched, by name."""

    @property
    def lines(self) -> Mapping[str, Compressed]:
        """Of all automations, by the family's name; put together here, since there are more changes than scrapes."""
        for name in _FAMILY_NAMES:
            if name not in self.joined:
                # Two scrapes may both do it, with the same result.
                self.joined[name] = join([group.lines[name] for group in self.groups])
        return {name: self.joined[name] for name in _FAMILY_NAMES}

    def block(self, automation_id: AutomationId) -> Block | None:
        """Return the block that is shown of an automation; None where there is none."""
        index = self.place.get(automation_id)
        views = () if index is None else self.groups[index].views
        return next((view.block for view in views if view.id == automation_id), None)

    def views(self) -> Sequence[AutomationView]:
        """Return every automation in the order of the configuration."""
        return [view for group in self.groups for view in group.views]


class Store:
    """Holds the current snapshot. Writers take turns; readers take the reference without waiting.

    The automations stand in groups of about the square root of their number: a change renders its group, and the next
    scrape puts the groups together again, so that neither's cost grows much with the number of automations.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshot = _snapshot((), {}, None)
        self._expiry: dict[AutomationId, float] = {}

    @property
    def snapshot(self) -> Snapshot:
        """Return the current snapshot, without waiting."""
        # Reading one attribute is atomic in CPython, and a snapshot never changes once it is assigned.
        return self._snapshot

    def block(self, automation_id: AutomationId) -> Block | None:
        """Return the block that is shown of an automation; None where there is none."""
        return self._snapshot.block(automation_id)

    def link_series(self) -> int:
        """Return how many link series are shown."""
        return self._snapshot.link_series

    def total_clicks(self) -> Mapping[AutomationId, int]:
        """Return the total that is shown of each automation, where one is."""
        return {view.id: view.block.total_clicks for view in self._snapshot.views() if view.block is not None}

    def configure(self, automations: Sequence[Automation], app_url: str = "") -> None:
        """Hold exactly these automations: new ones without data, known ones with theirs, others gone at once.

        `app_url` is the address of an automation's page, with a placeholder for its id; empty for none.
        """
        with self._lock:
            known = {view.id: view for view in self._snapshot.views()}
            views = [_configured(automation, known.get(automation.id), app_url) for automation in automations]
            # sqrt(n) groups of sqrt(n) automations: a change costs its group plus one step for each group, which is
            # least where both are equal.
            size = max(_SMALLEST_GROUP, math.isqrt(len(views)))
            groups = tuple(render_group(views[start : start + size]) for start in range(0, len(views), size))
            place = {view.id: index for index, group in enumerate(groups) for view in group.views}
            # An automation that is gone must not wake `expire` for a block that nobody shows.
            self._expiry = {id_: at for id_, at in self._expiry.items() if id_ in place}
            self._snapshot = _snapshot(groups, place, None)

    def publish(
        self,
        automation_id: AutomationId,
        block: Block,
        *,
        last_success: float,
        expires: float,
        decreased: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> bool:
        """Show a good block, read at `last_success` (wall clock), until `expires` (monotonic).

        Return False, and show nothing, where `is_wanted` no longer holds. No withdrawal can come between that and the
        block: what makes it false first and withdraws then never leaves the block behind.
        """

        def published(view: AutomationView) -> AutomationView:
            fell = view.decreased + int(decreased)
            history = view.history.with_total(block.total_clicks, last_success)
            return replace(view, block=block, up=True, last_success=last_success, decreased=fell, history=history)

        with self._lock:
            # Asked under the lock that `withdraw` takes: checked before it, a withdrawal could slip in between.
            if not is_wanted():
                return False
            if automation_id in self._snapshot.place:
                self._expiry[automation_id] = expires
                self._change({automation_id: published})
            return True

    def restore(self, automation_id: AutomationId, block: Block, *, last_success: float, expires: float) -> None:
        """Show a block of an earlier run with its true age; whether the automation is up is not known yet."""
        with self._lock:
            if automation_id in self._snapshot.place:
                self._expiry[automation_id] = expires
                history = NO_HISTORY.with_total(block.total_clicks, last_success)
                self._change(
                    {automation_id: lambda view: replace(view, block=block, last_success=last_success, history=history)}
                )

    def failed(self, automation_id: AutomationId) -> None:
        """Note a failed poll: the last good block stays."""
        with self._lock:
            if automation_id in self._snapshot.place:
                self._change({automation_id: lambda view: replace(view, up=False)})

    def keep_intervals(self, intervals: Mapping[AutomationId, float]) -> None:
        """Show the intervals in effect, in seconds."""
        with self._lock:
            known = {id_: seconds for id_, seconds in intervals.items() if id_ in self._snapshot.place}
            self._change({id_: partial(_with_interval, seconds=seconds) for id_, seconds in known.items()})

    def withdraw(self, automation_ids: Collection[AutomationId]) -> None:
        """Show the blocks of these automations no longer."""
        with self._lock:
            known = [id_ for id_ in automation_ids if id_ in self._snapshot.place]
            for id_ in known:
                self._expiry.pop(id_, None)
            self._change(dict.fromkeys(known, _withdrawn))

    def expire(self, now: float) -> float:
        """Drop stale blocks, so that Prometheus marks their series; return when the next becomes stale."""
        with self._lock:
            stale = [automation_id for automation_id, at in self._expiry.items() if at <= now]
            for automation_id in stale:
                del self._expiry[automation_id]
            self._change({automation_id: lambda view: replace(view, block=None) for automation_id in stale})
            return min(self._expiry.values(), default=math.inf)

    def postpone(self, expiries: Mapping[AutomationId, float]) -> None:
        """Change when the shown blocks become stale, after the intervals changed."""
        with self._lock:
            self._expiry.update({id_: at for id_, at in expiries.items() if id_ in self._expiry})

    def _change(self, changes: Mapping[AutomationId, Callable[[AutomationView], AutomationView]]) -> None:
        # One assignment at the end: a reader has the former snapshot or the new one, never a mixture, without a lock.
        if not changes:
            return
        groups = list(self._snapshot.groups)
        for index in {self._snapshot.place[automation_id] for automation_id in changes}:
            views = [changes[view.id](view) if view.id in changes else view for view in groups[index].views]
            groups[index] = render_group(views, groups[index])
        self._snapshot = _snapshot(tuple(groups), self._snapshot.place, self._snapshot)


def _withdrawn(view: AutomationView) -> AutomationView:
    return replace(view, block=None, last_success=None, up=None, history=NO_HISTORY)


def _with_interval(view: AutomationView, seconds: float) -> AutomationView:
    return replace(view, poll_interval=seconds)


def _configured(automation: Automation, known: AutomationView | None, app_url: str) -> AutomationView:
    view = known or AutomationView(automation.id, automation.name, automation.interval)
    return replace(
        view,
        name=automation.name,
        poll_interval=automation.interval,
        steps=automation.steps,
        labels=automation.labels,
        page=page_of(automation.id, app_url),
    )


def _snapshot(groups: tuple[Group, ...], place: Mapping[AutomationId, int], before: Snapshot | None) -> Snapshot:
    joined: dict[str, Compressed] = {}
    if before is not None:
        changed = [(new, old) for new, old in zip(groups, before.groups, strict=True) if new is not old]
        # Of a copy, since a scrape may put families together meanwhile. By identity: `render_group` passes on the very
        # object where a family of a group has not changed.
        kept = before.joined.copy().items()
        joined = {name: run for name, run in kept if all(new.lines[name] is old.lines[name] for new, old in changed)}
    return Snapshot(groups, sum(group.link_series for group in groups), place, joined)
