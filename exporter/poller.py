"""What one poll does: read, clean, render, publish — or keep the last good and say why."""

import logging
from array import array
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.domain import Automation, AutomationId, AutomationStats, LinkClicks, Outcome, PollResult
from exporter.errors import IncompleteError, SendGridError, StoppedError
from exporter.exposition.block import Block, block_of, key_of, lines_of
from exporter.labels import LabelHygiene
from exporter.store import Store
from exporter.telemetry import Telemetry

_log = logging.getLogger(__name__)

_HASH_MASK: Final = 0xFFFFFFFF
_LASTING: Final = 3
"""Polls in a row that must show the same difference before it counts as SendGrid's own."""


class Source(Protocol):
    """Where the stats come from."""

    def stats(self, automation: Automation, deadline: float) -> AutomationStats:
        """Return the automation's stats, whole, before the deadline (monotonic); raise SendGridError otherwise."""

    def holding(self) -> AbstractContextManager[None]:
        """Account for what this thread's poll keeps in memory, until the end of the block."""


class Keeper(Protocol):
    """Where good blocks outlive the process."""

    def save(self, automation_id: AutomationId, question: str, block: Block, last_success: float) -> None:
        """Keep the block, and what it answers; never raise."""


_Reason = tuple[Outcome, int | str | None]
"""What tells failures apart: the outcome, and the status or the step that failed; not a message's changing figures."""


@dataclass(slots=True)
class _Memory:
    """What is remembered of an automation from poll to poll."""

    failing: "_Reason | None" = None
    """Why the last poll failed; None after a success."""
    last: Outcome | None = None
    succeeded_at: float | None = None
    """Monotonic."""
    question: str = ""
    """What the block that is shown answers."""
    difference: tuple[int, int] | None = None
    repeated: int = 0
    folded: "array[int]" = field(default_factory=lambda: array("I"))
    """Hashes of the rows in the rest, to count a row once when it enters it; 4 bytes each, since they may be many."""


@dataclass(slots=True)
class Poller:
    """Polls one automation at a time on behalf of any worker; an automation is never with two workers at once."""

    source: Source
    hygiene: LabelHygiene
    store: Store
    telemetry: Telemetry
    keeper: Keeper | None
    clock: Clock
    question: Callable[[AutomationId], str] = str
    """Tells what an automation's block answers: an answer to a former question is not published."""
    _memories: dict[AutomationId, _Memory] = field(default_factory=dict)

    def take_over(self, source: Source, hygiene: LabelHygiene, question: Callable[[AutomationId], str]) -> None:
        """Read from another source, or clean by other rules, from the next poll on."""
        self.source, self.hygiene, self.question = source, hygiene, question

    def forget_all_but(self, automations: Collection[AutomationId]) -> None:
        """Forget the automations that are neither configured nor being polled."""
        for gone in [id_ for id_ in list(self._memories) if id_ not in automations]:  # workers may add meanwhile
            self._memories.pop(gone, None)

    def poll(self, automation: Automation, *, deadline: float, stale_after: float) -> PollResult:
        """Poll the automation once, publish what came, and return how it ended; never raise.

        A poll that the end of the process cuts short is neither counted nor logged.
        """
        memory = self._memories.setdefault(automation.id, _Memory())
        started = self.clock.monotonic()
        question = self.question(automation.id)
        try:
            with self.source.holding():
                stats = self._read(automation, memory, deadline)
                if question != self.question(automation.id):
                    return PollResult(Outcome.SUCCESS, stats.pages)  # a reload came between: it is polled again at once
                self._publish(automation, memory, stats, stale_after, question)
            self._note_success(automation, memory)
            result = PollResult(Outcome.SUCCESS, stats.pages)
        except SendGridError as exc:
            self._note_failure(automation, memory, (exc.outcome, exc.reason), str(exc))
            result = PollResult(exc.outcome)
        except StoppedError:
            return PollResult(Outcome.TIMEOUT)
        except (
            Exception
        ) as exc:  # one automation's defect must not end the polling of the others; it is counted and shown
            reason = (Outcome.INTERNAL_ERROR, type(exc).__name__)
            self._note_failure(automation, memory, reason, "a defect of the exporter", traceback=True)
            result = PollResult(Outcome.INTERNAL_ERROR)
        memory.last = result.outcome
        self.telemetry.polled(result.outcome, self.clock.monotonic() - started)
        return result

    def last_outcome(self, automation_id: AutomationId) -> Outcome | None:
        """Return how the automation's last poll ended; None before the first."""
        memory = self._memories.get(automation_id)
        return None if memory is None else memory.last

    def succeeded_at(self, automation_id: AutomationId) -> float | None:
        """Return when the automation was last read (monotonic); None before the first success."""
        memory = self._memories.get(automation_id)
        return None if memory is None else memory.succeeded_at

    def remember(self, automation_id: AutomationId, succeeded_at: float) -> None:
        """Take note of a success of an earlier run (monotonic)."""
        memory = self._memories.setdefault(automation_id, _Memory())
        memory.succeeded_at, memory.question = succeeded_at, self.question(automation_id)

    def _read(self, automation: Automation, memory: _Memory, deadline: float) -> AutomationStats:
        """Read the stats; a difference that lasts is SendGrid's own, and must not blind the exporter."""
        try:
            stats = self.source.stats(automation, deadline)
        except IncompleteError as exc:
            same = exc.difference is not None and exc.difference == memory.difference
            memory.difference, memory.repeated = exc.difference, memory.repeated + 1 if same else 1
            if memory.repeated < _LASTING or exc.stats is None:
                raise
            if memory.repeated == _LASTING:
                _log.warning("automation %s: published all the same, as for %d polls: %s", automation.id, _LASTING, exc)
            self.telemetry.mismatched()
            return exc.stats
        except SendGridError:
            memory.difference, memory.repeated = None, 0
            raise
        memory.difference, memory.repeated = None, 0
        return stats

    def _publish(
        self, automation: Automation, memory: _Memory, stats: AutomationStats, stale_after: float, question: str
    ) -> None:
        before = self.store.snapshot.block(automation.id)
        links = self._capped(automation.id, memory, self.hygiene.clean(stats.links), before)
        lines = lines_of(automation.id, links)
        block = block_of(lines, len(links), stats.total_clicks)
        if before is not None and before.links == block.links:
            block = Block(before.links, block.series, block.total_clicks)
        memory.succeeded_at = self.clock.monotonic()
        wall = round(self.clock.time(), 3)
        self.store.publish(
            automation.id,
            block,
            last_success=wall,
            expires=memory.succeeded_at + stale_after,
            decreased=before is not None and question == memory.question and block.fell_below(before, lines),
        )
        if self.keeper is not None:
            self.keeper.save(automation.id, question, block, wall)
        memory.question = question

    def _capped(
        self, automation_id: AutomationId, memory: _Memory, links: tuple[LinkClicks, ...], before: Block | None
    ) -> tuple[LinkClicks, ...]:
        published = before.clicks_by_link() if before is not None and self.hygiene.exceeds(links) else {}
        capped = self.hygiene.cap(links, lambda row: key_of(automation_id, row) in published)
        folded = array("I", (hash(row[:3]) & _HASH_MASK for row in capped.folded))
        self.telemetry.folded(len(set(folded).difference(memory.folded)))
        memory.folded = folded
        return capped.links

    def _note_success(self, automation: Automation, memory: _Memory) -> None:
        if memory.failing is not None:
            _log.info("automation %s recovered", automation.id)
        memory.failing = None

    def _note_failure(
        self, automation: Automation, memory: _Memory, reason: _Reason, message: str, *, traceback: bool = False
    ) -> None:
        self.store.failed(automation.id)
        before, memory.failing = memory.failing, reason
        level = logging.DEBUG if before == reason else logging.WARNING
        how = "began to fail" if before is None else "still fails" if before == reason else "now fails in another way"
        _log.log(level, "automation %s %s (%s): %s", automation.id, how, reason[0], message, exc_info=traceback)
