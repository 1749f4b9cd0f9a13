"""Runs cases in batches and keeps what came out, so that a run can be stopped and resumed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from pathlib import Path

from prometheus.backtest import engine, histories
from prometheus.backtest.histories import DROPS, QUIET, STEP_MINUTES, VOLUMES, Case


@dataclass(frozen=True)
class Outcome:
    """What the alerts did in one history; times in minutes from its beginning."""

    case: Case
    drop: int | None
    dead_urls: tuple[str, ...]
    dead_steps: tuple[str, ...]
    firings: tuple[engine.Firing, ...]


@dataclass(frozen=True)
class Plan:
    """How large a run is."""

    quiet: int
    drops: int
    first_seed: int
    poll_minutes: int = 5
    weeks: int = histories.WEEKS

    def cases(self) -> list[Case]:
        """Return all cases, mixed so that a run cut short has seen some of everything."""
        quiet = self._cases(QUIET, self.quiet)
        drops = self._cases(DROPS, self.drops)
        return [case for case in chain.from_iterable(zip_longest(drops, quiet)) if case is not None]

    def _cases(self, kinds: Sequence[str], each: int) -> list[Case]:
        return [
            Case(kind, volume, self.first_seed + turn, self.poll_minutes, self.weeks)
            for turn in range(each)
            for volume in VOLUMES
            for kind in kinds
        ]


QUICK = (
    Case("stop", 2000, 81_000, poll_minutes=15, weeks=3),
    Case("dead link", 20000, 81_000, poll_minutes=15, weeks=3),
    Case("dead step", 2000, 81_000, poll_minutes=15, weeks=3),
    Case("-70 %", 20000, 81_000, poll_minutes=15, weeks=3),
    Case("exporter away 6 h", 2000, 81_000, poll_minutes=15, weeks=3),
    Case("corrected by 2 %", 2000, 81_000, poll_minutes=15, weeks=3),
    Case("week at three times", 300, 81_000, poll_minutes=15, weeks=4),
)
"""A selection that takes half a minute on two idle cores."""


def run(
    cases: Sequence[Case], rules: Sequence[Path], store: Path, *, processes: int, batch: int, promtool: str
) -> list[Outcome]:
    """Run what is not in the store yet and return the outcomes of all cases."""
    known = {outcome.case for outcome in read(store)}
    todo = [case for case in cases if case not in known]
    batches = [todo[start : start + batch] for start in range(0, len(todo), batch)]
    with ProcessPoolExecutor(processes) as pool:
        futures = [pool.submit(_batch, part, rules, promtool) for part in batches]
        for future in as_completed(futures):
            _append(store, future.result())
    wanted = set(cases)
    return [outcome for outcome in read(store) if outcome.case in wanted]


def read(store: Path) -> Iterator[Outcome]:
    """Return the outcomes of earlier runs."""
    if not store.exists():
        return
    for line in store.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield Outcome(
            case=Case(**row["case"]),
            drop=row["drop"],
            dead_urls=tuple(row["dead_urls"]),
            dead_steps=tuple(row["dead_steps"]),
            firings=tuple(engine.Firing(**firing) for firing in row["firings"]),
        )


def _append(store: Path, outcomes: Sequence[Outcome]) -> None:
    with store.open("a", encoding="utf-8") as out:
        for outcome in outcomes:
            out.write(json.dumps(asdict(outcome)) + "\n")
        out.flush()
        os.fsync(out.fileno())


def _batch(cases: Sequence[Case], rules: Sequence[Path], promtool: str) -> list[Outcome]:
    made = [histories.make(case) for case in cases]
    firings = engine.run(made, rules, promtool)
    return [
        Outcome(
            case=history.case,
            drop=None if history.drop is None else history.drop * STEP_MINUTES,
            dead_urls=tuple(f"https://example.com/{link}" for link in sorted(history.dead)),
            dead_steps=tuple(sorted({f"step-{history.steps[link]}" for link in history.dead})),
            firings=tuple(firing for firing in firings if firing.labels["automation_id"] == history.case.name),
        )
        for history in made
    ]
