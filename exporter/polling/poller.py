"""What one poll does: read, clean, render, publish; or keep the last good and say why."""

import logging
from array import array
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.domain import (
    Automation,
    AutomationId,
    AutomationStats,
    Fingerprint,
    LinkClicks,
    Outcome,
    PollResult,
    Unchanged,
)
from exporter.errors import (
    Failing,
    IncompleteError,
    SendGridError,
    StoppedError,
    log_fields,
    result_of,
    text_of,
)
from exporter.exposition import Block, block_of, key_of, lines_of
from exporter.labels import LabelHygiene
from exporter.store import Store
from exporter.telemetry import Telemetry

_log = logging.getLogger(__name__)

_HASH_MASK: Final = 0xFFFFFFFF
_LASTING: Final = 3
"""Polls in a row that must contradict SendGrid's count or total before that counts as SendGrid's own."""


class Source(Protocol):
    """Where the stats come from."""

    def stats(self, automation: Automation, deadline: float, known: Fingerprint = ()) -> AutomationStats | Unchanged:
        """Return the automation's stats, whole, before the deadline (monotonic); raise SendGridError otherwise.

        Returns Unchanged where SendGrid says what it said when the fingerprint was taken.
        """

    def holding(self) -> AbstractContextManager[None]:
        """Account for what this thread's poll keeps in memory, until the end of the block."""


class Keeper(Protocol):
    """Where good blocks outlive the process."""

    def save(self, automation_id: AutomationId, question: str, block: Block, last_success: float) -> None:
        """Keep the block, and what it answers; never raise."""


@dataclass(frozen=True, slots=True)
class Questions:
    """What each automation's block answers: who was asked, for which steps, which label rules, which form.

    A block that answers another question is not shown, whether a reload or an earlier version asked it.
    """

    common: str = ""
    """Of every automation that has none of its own."""
    own: Mapping[AutomationId, str] = field(default_factory=dict)

    def of(self, automation_id: AutomationId) -> str:
        """Return the automation's question."""
        return self.own.get(automation_id, self.common)


@dataclass(slots=True)
class _Doubted:
    """Rows that nothing showed to be the whole list."""

    rows: frozenset[int] = frozenset()
    """Hashes of the last poll's."""
    polls: int = 0
    """How many polls in a row gave these rows, or some of them and no other ones."""
    question: str = ""
    """What they answer."""
    is_logged: bool = False


@dataclass(slots=True)
class _Memory:
    """What is remembered of an automation from poll to poll."""

    failing: Failing = field(default_factory=Failing)
    last: PollResult | None = None
    succeeded_at: float | None = None
    """Monotonic."""
    question: str = ""
    """What the block that is shown answers."""
    block: Block | None = None
    """The last that was shown, also when it has grown stale since."""
    fingerprint: Fingerprint = ()
    """Of the pages that the block was made of."""
    doubted: _Doubted = field(default_factory=_Doubted)
    counted: bool = True
    """Whether SendGrid counted the links that were last shown; an API whose counts are each page's own does not."""
    gaps: int = 0
    """Polls in a row whose links' clicks did not make SendGrid's total."""
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
    questions: Questions = field(default_factory=Questions)
    """An answer to a former question is not published."""
    failure_level: int = logging.WARNING
    """The level of a new failure's log line; lower where somebody else reports the results."""
    _memories: dict[AutomationId, _Memory] = field(default_factory=dict)

    def take_over(self, source: Source, hygiene: LabelHygiene, questions: Questions) -> None:
        """Read from another source, or clean by other rules, from the next poll on."""
        self.source, self.hygiene, self.questions = source, hygiene, questions

    def forget_all_but(self, automations: Collection[AutomationId]) -> None:
        """Forget the automations that are neither configured nor being polled."""
        for gone in [id_ for id_ in list(self._memories) if id_ not in automations]:  # workers may add meanwhile
            self._memories.pop(gone, None)

    def poll(self, automation: Automation, *, deadline: float, stale_after: float) -> PollResult:
        """Poll the automation once, publish what came, and return its outcome; never raise.

        A poll that the end of the process cuts short is neither counted nor logged.
        """
        memory = self._memories.setdefault(automation.id, _Memory())
        started = self.clock.monotonic()
        question = self.questions.of(automation.id)
        try:
            with self.source.holding():
                stats = self._read(automation, memory, deadline, question)
                if not self._publish(automation, memory, stats, stale_after, question):
                    return PollResult(Outcome.SUCCESS, stats.pages)  # a reload came between: it is polled again at once
            self._note_success(automation, memory)
            result = PollResult(Outcome.SUCCESS, stats.pages)
        except StoppedError:
            return PollResult(Outcome.TIMEOUT)
        except Exception as exc:  # also a defect, which must not end the polling of the others; it is counted and shown
            result = result_of(exc)
            self._note_failure(automation, memory, exc, result)
        memory.last = result
        self.telemetry.polled(result.outcome, self.clock.monotonic() - started)
        return result

    def last_result(self, automation_id: AutomationId) -> PollResult | None:
        """Return what came of the automation's last poll; None before the first."""
        memory = self._memories.get(automation_id)
        return None if memory is None else memory.last

    def succeeded_at(self, automation_id: AutomationId) -> float | None:
        """Return when the automation was last read (monotonic); None before the first success."""
        memory = self._memories.get(automation_id)
        return None if memory is None else memory.succeeded_at

    def remember(self, automation_id: AutomationId, succeeded_at: float, block: Block) -> None:
        """Take note of a success of an earlier run (monotonic) and of what it showed."""
        memory = self._memories.setdefault(automation_id, _Memory())
        memory.succeeded_at, memory.question = succeeded_at, self.questions.of(automation_id)
        memory.block = block

    def _read(
        self, automation: Automation, memory: _Memory, deadline: float, question: str
    ) -> AutomationStats | Unchanged:
        """Return what can be published; raise SendGridError where nothing can.

        Rows that nothing shows to be the whole list are published once three polls in a row gave the same ones, or
        more: that is SendGrid's own way then, which must not blind the exporter.
        """
        try:
            stats = self._checked(automation, memory, deadline, question)
        except IncompleteError as exc:
            return self._doubted(automation, memory, exc, question)
        except SendGridError:
            memory.doubted = _Doubted()
            raise
        memory.doubted = _Doubted()
        self._note_gap(automation, memory, stats)
        return stats

    def _checked(
        self, automation: Automation, memory: _Memory, deadline: float, question: str
    ) -> AutomationStats | Unchanged:
        """Return the stats; raise IncompleteError where links are gone and SendGrid does not say how many there are.

        Where it did not before, the count of a list without them may be that of the only page that came.
        """
        known = memory.fingerprint if memory.block is not None and question == memory.question else ()
        stats = self.source.stats(automation, deadline, known)
        if isinstance(stats, Unchanged):
            return stats
        believed = stats.counted and (memory.counted or not stats.links)
        lost, shown = (0, 0) if believed else self._lost(automation.id, memory, stats, question)
        if lost:
            why = "SendGrid counted none of them before" if stats.counted else "SendGrid gives no count of them"
            raise IncompleteError(f"{lost} of {shown} links are gone, and {why}", stats=stats)
        return stats

    def _doubted(
        self, automation: Automation, memory: _Memory, doubt: IncompleteError, question: str
    ) -> AutomationStats:
        """Return the stats all the same where they have lasted; raise the doubt otherwise.

        A list without half of the links that were shown is never published unless SendGrid counts as many as it has.
        """
        stats = doubt.stats
        if stats is None:
            memory.doubted = _Doubted()
            raise doubt
        rows = frozenset(hash(row[:3]) for row in stats.links)
        # The same rows or more: a list may grow while it is doubted, but one that loses rows begins again.
        stays = question == memory.doubted.question and memory.doubted.rows <= rows
        polls = memory.doubted.polls + 1 if stays else 1
        memory.doubted = _Doubted(rows, polls, question, is_logged=stays and memory.doubted.is_logged)
        lost, shown = (0, 0) if stats.counted else self._lost(automation.id, memory, stats, question)
        # Half of the shown links gone looks like a lost page, however often it comes.
        if polls < _LASTING or 2 * lost >= shown > 0:
            raise doubt
        if not memory.doubted.is_logged:
            message = "the list is published although inconsistent in %d polls in a row: %s"
            _log.warning(message, _LASTING, doubt.text, extra=log_fields(automation, Outcome.SUCCESS))
        memory.doubted.is_logged = True
        self.telemetry.mismatched()
        return stats

    def _lost(
        self, automation_id: AutomationId, memory: _Memory, stats: AutomationStats, question: str
    ) -> tuple[int, int]:
        """Return how many of the links that are shown the stats do not have, and how many are shown.

        Whatever answers another question, under other label rules say, has no links in common with the stats.
        """
        if memory.block is None or question != memory.question:
            return 0, 0
        shown = memory.block.link_keys()
        return len(shown - {key_of(automation_id, row) for row in self.hygiene.clean(stats.links)}), len(shown)

    def _note_gap(self, automation: Automation, memory: _Memory, stats: AutomationStats | Unchanged) -> None:
        if isinstance(stats, Unchanged) or not stats.gap:
            memory.gaps = 0
            return
        memory.gaps += 1
        if memory.gaps == _LASTING:
            message = "in %d polls the links' clicks did not add up to SendGrid's total; now they are %d %s than its %d"
            more = "more" if stats.gap > 0 else "fewer"
            values = (_LASTING, abs(stats.gap), more, stats.total_clicks)
            _log.warning(message, *values, extra=log_fields(automation, Outcome.SUCCESS))
        if memory.gaps >= _LASTING:
            self.telemetry.mismatched()

    def _publish(
        self,
        automation: Automation,
        memory: _Memory,
        stats: AutomationStats | Unchanged,
        stale_after: float,
        question: str,
    ) -> bool:
        """Show and keep what was read; return False, and do neither, where a reload asks another question by now."""
        if question != self.questions.of(automation.id):
            return False
        if isinstance(stats, Unchanged):
            former = memory.block
            return former is not None and self._show(automation, memory, former, stale_after, question)
        before = self.store.block(automation.id)
        links = self._capped(automation.id, memory, self.hygiene.clean(stats.links), before)
        lines = lines_of(automation.id, links)
        block = block_of(lines, links, stats.total_clicks)
        # Share the former bytes where nothing changed: one copy in memory, and comparing them again costs nothing.
        if before is not None and before.links == block.links:
            block = replace(block, links=before.links)
        decreased = before is not None and question == memory.question and block.fell_below(before, lines)
        if not self._show(automation, memory, block, stale_after, question, decreased=decreased):
            return False
        memory.counted, memory.fingerprint = stats.counted, stats.fingerprint
        return True

    def _show(
        self,
        automation: Automation,
        memory: _Memory,
        block: Block,
        stale_after: float,
        question: str,
        *,
        decreased: bool = False,
    ) -> bool:
        succeeded_at, wall = self.clock.monotonic(), round(self.clock.time(), 3)
        published = self.store.publish(
            automation.id,
            block,
            last_success=wall,
            expires=succeeded_at + stale_after,
            decreased=decreased,
            is_wanted=lambda: question == self.questions.of(automation.id),  # a reload may come while this is rendered
        )
        if not published:
            return False
        memory.succeeded_at = succeeded_at
        if self.keeper is not None:
            self.keeper.save(automation.id, question, block, wall)
        memory.question, memory.block = question, block
        return True

    def _capped(
        self, automation_id: AutomationId, memory: _Memory, links: tuple[LinkClicks, ...], before: Block | None
    ) -> tuple[LinkClicks, ...]:
        published = before.clicks_by_link() if before is not None and self.hygiene.exceeds(links) else {}
        capped = self.hygiene.cap(links, lambda row: key_of(automation_id, row) in published)
        # Two links with the same 32-bit hash only make the counter one too low.
        folded = array("I", (hash(row[:3]) & _HASH_MASK for row in capped.folded))
        if entered := set(folded).difference(memory.folded):
            self.telemetry.folded(len(entered))
        memory.folded = folded
        return capped.links

    def _note_success(self, automation: Automation, memory: _Memory) -> None:
        # Mostly nothing failed before, and there is nothing to end.
        if memory.failing.reason is not None and memory.failing.end():
            _log.info("the automation recovered", extra=log_fields(automation, Outcome.SUCCESS))

    def _note_failure(self, automation: Automation, memory: _Memory, exc: Exception, result: PollResult) -> None:
        self.store.failed(automation.id)
        how, level = memory.failing.note(exc, self.failure_level)
        is_defect = not isinstance(exc, SendGridError)
        fields = log_fields(automation, exc)
        _log.log(level, "the automation %s: %s", how, text_of(result), extra=fields, exc_info=is_defect)
