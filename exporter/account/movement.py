"""Since when an automation's numbers stand still: what the idle lane goes by."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from exporter.domain import AutomationId, Statistics


@dataclass(slots=True)
class Still:
    """The numbers of an automation, and since when they have been the same."""

    statistics: Statistics
    since: float
    """Monotonic; the first sight of them, where nothing is known of the time before."""
    total_clicks: int | None = None
    """Of its links: only a change of it counts, since the two are counted apart."""


@dataclass(slots=True)
class Movement:
    """Remembers the listed numbers of each automation, and which have stood still for long.

    Clicks on links count as a movement too: should SendGrid's statistics lag or stand still by mistake, an automation
    that is clicked is not idle.
    """

    _still: dict[AutomationId, Still] = field(default_factory=dict)

    def see(self, statistics: Mapping[AutomationId, Statistics], now: float) -> None:
        """Take note of a list; an automation without any number says nothing, and is never idle."""
        for automation_id, counts in statistics.items():
            known = self._still.get(automation_id)
            if counts == Statistics():
                self._still.pop(automation_id, None)
            elif known is None:
                self._still[automation_id] = Still(counts, now)
            # Any difference, also a fall: a number that SendGrid corrects has moved.
            elif known.statistics != counts:
                known.statistics, known.since = counts, now

    def see_clicks(self, totals: Mapping[AutomationId, int], now: float) -> None:
        """Take note of the clicks on the links of these automations."""
        for automation_id, clicks in totals.items():
            known = self._still.get(automation_id)
            if known is None or known.total_clicks == clicks:
                continue
            if known.total_clicks is not None:
                known.since = now
            known.total_clicks = clicks

    def idle(self, now: float, idle_after: float) -> frozenset[AutomationId]:
        """Return the automations that have stood still for so many seconds."""
        return frozenset(id_ for id_, still in self._still.items() if now - still.since >= idle_after)

    def keep_only(self, automation_ids: Collection[AutomationId]) -> None:
        """Forget all others."""
        for gone in self._still.keys() - set(automation_ids):
            del self._still[gone]

    def remembered(self) -> Mapping[AutomationId, Still]:
        """Return what is known of each automation."""
        return dict(self._still)

    def restore(self, remembered: Mapping[AutomationId, Still]) -> None:
        """Begin with what an earlier run knew."""
        self._still.update(remembered)
