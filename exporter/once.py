"""Polling every automation once, and how `--once` reports on stderr what comes of it: progress and failures.

The progress bar is a few lines here and no library's: tqdm and rich write to stderr themselves, so they would stand
still with whoever reads it, draw into log lines, and have nothing for a file or a journal.
"""

import logging
import math
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from exporter.account.account import AccountRunner
from exporter.clock import Clock
from exporter.domain import Automation, Outcome, PollResult
from exporter.errors import some_of, text_of
from exporter.logs import LineWriter
from exporter.polling.poller import Poller
from exporter.polling.workers import start_thread
from exporter.sendgrid.budget import Budget

_LONGEST_POLL: Final = 300.0
_TICK_SECONDS: Final = 0.02
"""Seconds between two looks at how far the threads have come."""

_REDRAWN: Final = 0.2
"""Seconds between two states of the bar."""
_TOLD: Final = 10.0
"""Seconds between two lines where there is no terminal."""
_BAR: Final = 24
_MOST_NAMES: Final = 5


@dataclass(frozen=True, slots=True)
class Round:
    """What came, or has come so far, of polling every automation once."""

    total: int
    """The automations to poll; 0 while they are not known."""
    results: tuple[tuple[Automation, PollResult], ...] = ()
    """Of those that were polled to the end."""
    pause: float = 0.0
    """Seconds until SendGrid may be asked again after a 429; 0 where it may be asked now."""
    text: str = ""
    """The exposition; empty until the end."""
    list_failure: PollResult | None = None
    """How reading the account's list failed; None where it did not, or nobody reads it."""
    needs_list: bool = False
    """Whether the list says whom to poll, and does not only give statistics."""

    @property
    def failed(self) -> Sequence[tuple[Automation, PollResult]]:
        """The automations that could not be read."""
        return [each for each in self.results if each[1].outcome is not Outcome.SUCCESS]

    @property
    def is_whole(self) -> bool:
        """Whether everything that was to be polled could be read."""
        return not (self.failed or self.missing or (self.needs_list and self.list_failure))

    @property
    def missing(self) -> int:
        """How many automations were not polled to the end."""
        return self.total - len(self.results)


def poll_once(
    poller: Poller,
    account: AccountRunner,
    budget: Budget,
    *,
    concurrency: int,
    clock: Clock,
    stop: threading.Event,
    exposition: Callable[[], str],
    progress: Callable[[Round], None],
) -> Round:
    """Poll every automation once, until the stop; return what came of it, and call `progress` meanwhile.

    The list that names the automations is read first, and what no poll waits for beside them. Failures are left to the
    caller to report: the log has none of them.
    """
    poller.failure_level = account.account.failure_level = logging.DEBUG

    def wait_for(threads: Sequence[threading.Thread], meanwhile: Callable[[], None]) -> None:
        while any(thread.is_alive() for thread in threads):
            if clock.wait(stop, _TICK_SECONDS):
                break
            meanwhile()

    wait_for([start_thread(account.read_first, "once-list")], lambda: progress(Round(0)))
    automations = account.account.automations()
    waiting = deque(automations)
    results: list[tuple[Automation, PollResult]] = []

    def so_far(text: str = "") -> Round:
        return Round(
            total=len(automations),
            results=tuple(results),
            pause=budget.pause,
            text=text,
            list_failure=account.account.failure,
            needs_list=account.account.options.discovers,
        )

    def work() -> None:
        while waiting and not stop.is_set():
            # Another thread may take the last one between the check and popleft.
            with suppress(IndexError):
                automation = waiting.popleft()
                result = poller.poll(automation, deadline=clock.monotonic() + _LONGEST_POLL, stale_after=math.inf)
                if result.outcome is Outcome.SUCCESS or not stop.is_set():
                    results.append((automation, result))

    threads = [start_thread(work, f"once-{number}") for number in range(concurrency)]
    threads.append(start_thread(account.read_beside, "once-account"))
    wait_for(threads, lambda: progress(so_far()))
    account.refresh()
    return so_far(exposition())


class Progress:
    """Says how far a round has come: a bar on a terminal, and a line every ten seconds elsewhere."""

    def __init__(self, lines: LineWriter, tell: Callable[[str], None], clock: Clock) -> None:
        self._lines = lines
        self._tell = tell
        self._clock = clock
        self._began = self._told = clock.monotonic()

    def show(self, so_far: Round) -> None:
        """Show the state, unless one was shown a moment ago."""
        now = self._clock.monotonic()
        if now - self._told < (_REDRAWN if self._lines.is_terminal else _TOLD):
            return
        self._told = now
        text = _progress(so_far, now - self._began)
        if self._lines.is_terminal:
            filled = _BAR * len(so_far.results) // max(so_far.total, 1)
            bar = f"[{'#' * filled}{'.' * (_BAR - filled)}] {text}"
            self._lines.show_status(bar[: shutil.get_terminal_size().columns - 1])
        else:
            self._tell(text)

    def end(self) -> None:
        """Take the bar away, before anything is written past it."""
        self._lines.show_status("")
        self._lines.flush()


def _progress(so_far: Round, seconds: float) -> str:
    done, failed = len(so_far.results), len(so_far.failed)
    if so_far.total == 0:
        return f"reading the account's list of automations for {seconds:.0f} s"
    text = f"{done} of {so_far.total} automations polled after {seconds:.0f} s"
    text += f", {failed} failed" if failed else ""
    return text + (f"; SendGrid's rate limit asks to wait {so_far.pause:.0f} s" if so_far.pause >= 1 else "")


def failures(ended: Round) -> Iterator[str]:
    """Yield a sentence for each failure; what failed for the same reason shares one."""
    alike: dict[tuple[Outcome, str], list[Automation]] = {}
    list_failure = ended.list_failure
    for automation, result in ended.failed:
        alike.setdefault((result.outcome, text_of(result)), []).append(automation)
    if list_failure is not None and (list_failure.outcome, text_of(list_failure)) not in alike:
        without = "the account's automations are unknown" if ended.needs_list else "their statistics are missing"
        said = f"the list of automations failed ({list_failure.outcome}): {text_of(list_failure)}"
        yield f"{said}; {without}"
    for (outcome, message), automations in alike.items():
        names = some_of([_named(each) for each in automations], _MOST_NAMES)
        if len(automations) == 1:
            yield f"automation {names} failed ({outcome}): {message}"
        elif len(automations) == ended.total:
            yield f"all {ended.total} automations failed ({outcome}): {message}"
        else:
            yield f"{len(automations)} of {ended.total} automations failed ({outcome}): {message}: {names}"


def _named(automation: Automation) -> str:
    return automation.id if automation.name == automation.id else f'"{automation.name}" ({automation.id})'
