"""Judges the click alerts on many histories and saves the results, so that a run can be stopped and resumed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np

from tools.backtest import emulation, link_traffic, sending, traffic
from tools.backtest.emulation import Clicks, Mask, Numbers, Pace
from tools.backtest.sending import Sending
from tools.rules.delivery_alerts import HOLIDAY_HOURS

STORE = Path(__file__).parent / "results" / "outcomes.jsonl"
FIRST_SEED = 70_000
"""The rules were tuned on seeds below 10,000."""

VOLUMES = (50, 300, 2000, 20000)
WEEKS = 5
JUDGED_FROM = 2 * traffic.PER_WEEK
QUIET_WEEKS = WEEKS - 2
SEVERAL = 300
"""Clicks per day from which nearly everything must be found."""

RARE = 0.05
"""The error probability of a 95 % bound."""

ACCOUNT = 5
"""The automations of an account, if others are known."""

STEADY, RARELY_CLICKED = ("plain", "growth", "office hours", "US + EU", "batch daily"), 0.025
"""Kinds of traffic in which the cause of a drop is judged, and the clicks by mail of every second history."""

SMALL_SENDER = (50, 2000)
"""Clicks and mails a day of the sender that stops."""

CAUSE_HOURS = 72
"""How long after a drop the alerts' cause is judged."""


@dataclass(frozen=True)
class Cell:
    """One kind of traffic at one volume, judged with or without mails, others of the account, or on its links."""

    sort: str
    """`quiet`, `fall`, `send`, `sender`, `cause`, `links` or `dead`."""
    kind: str
    volume: int
    with_: str = ""
    """What is known besides clicks: nothing, `mails` or `others`; the traffic, where a cause is judged."""


@dataclass(frozen=True)
class Outcome:
    """The results of a cell's histories, from the first seed on."""

    cell: Cell
    histories: int
    alarms: int = 0
    delays: tuple[float, ...] = ()
    """Hours; -1 if nothing was found."""
    causes: tuple[int, ...] = ()
    """1 where the alerts named the right cause, minus one where they named the wrong one, 0 where they named none."""


def cells() -> Iterator[Cell]:
    """Return all cells."""
    for volume in VOLUMES:
        for kind in traffic.KINDS:
            yield Cell("quiet", kind, volume)
            yield Cell("quiet", kind, volume, "mails")
        for kind in traffic.TRENDS[2:]:
            yield Cell("quiet", kind, volume, "others")
        for fall in traffic.FALLS:
            yield Cell("fall", fall, volume)
            yield Cell("fall", fall, volume, "mails")
        for kind in ("batch daily", "batch weekly"):
            yield Cell("send", kind, volume)
            yield Cell("send", kind, volume, "mails")
        for fall in (*traffic.FALLS, *traffic.MAIL_FALLS) if volume >= SEVERAL else ():
            for kind in STEADY:
                yield Cell("cause", fall, volume, kind)
        for kind in (*link_traffic.QUIET, link_traffic.AWAY):
            yield Cell("links", kind, volume)
        for kind in link_traffic.DEAD:
            yield Cell("dead", kind, volume)
    yield Cell("sender", "mails stop", SMALL_SENDER[0])


def run(store: Path, histories: int, progress: Callable[[str], object]) -> list[Outcome]:
    """Judge the cells that are not stored yet, store them, and return all."""
    known = {outcome.cell for outcome in read(store)}
    store.parent.mkdir(parents=True, exist_ok=True)
    for cell in cells():
        if cell not in known:
            outcome = judged(cell, histories)
            with store.open("a", encoding="utf-8") as out:
                out.write(json.dumps(asdict(outcome)) + "\n")
            progress(f"{cell}: {outcome.alarms} alarms, {len(outcome.delays)} delays\n")
    return read(store)


def read(store: Path) -> list[Outcome]:
    """Return the outcomes of earlier runs."""
    if not store.exists():
        return []
    rows = [json.loads(line) for line in store.read_text(encoding="utf-8").splitlines()]
    return [
        Outcome(
            Cell(**row["cell"]), row["histories"], row["alarms"], tuple(row["delays"]), tuple(row.get("causes", ()))
        )
        for row in rows
    ]


def judged(cell: Cell, histories: int) -> Outcome:
    """Return the results of the alerts in the histories of a cell."""
    seeds = range(FIRST_SEED, FIRST_SEED + histories)
    if cell.sort in ("links", "dead"):
        return _links(cell, seeds)
    if cell.sort in ("sender", "cause"):
        return _mail_falls(cell, seeds)
    if cell.with_ == "others":
        states = [state for seed in seeds[::ACCOUNT] for state in _account(cell, seed)]
        return Outcome(cell, len(states), sum(map(alarms, states)))
    made = [_history(cell, seed) for seed in seeds]
    state = _state(cell, [history.clicks for history in made], [history.mails for history in made])
    if cell.sort == "quiet":
        return Outcome(cell, histories, sum(map(alarms, state)))
    return Outcome(cell, histories, 0, tuple(_delay(row, made[index].drop or 0) for index, row in enumerate(state)))


def _history(cell: Cell, seed: int) -> traffic.History:
    if cell.sort == "fall":
        return traffic.make("plain", cell.volume, seed, fall=cell.kind)
    if cell.sort == "send":
        return traffic.missed_send(cell.kind, cell.volume, seed)
    return traffic.make(cell.kind, cell.volume, seed)


def _state(cell: Cell, clicks: Sequence[Numbers], sent: Sequence[Numbers]) -> Mask:
    pace = Pace(poll_minutes=traffic.POLL_MINUTES.get(cell.kind, 5))
    seen = pace.polled(np.cumsum(clicks, axis=1))
    if cell.with_ != "mails":
        return emulation.automations(seen, pace).dropped
    mails = np.cumsum(sent, axis=1)
    found = emulation.automations(seen, pace, mails)
    said = sending.sending(mails, found, pace)
    return found.dropped | _unsent(mails, found, said, pace) | emulation.held(said.dropped, pace.steps(HOLIDAY_HOURS))


def _unsent(mails: Numbers, found: Clicks, said: Sending, pace: Pace) -> Mask:
    """Return when alerts report that automations send no mail."""
    return emulation.mails(mails, found, pace) | said.stopped


def _mail_falls(cell: Cell, seeds: Sequence[int]) -> Outcome:
    """Return how soon a stop of sending was reported, or which cause of a drop."""
    pace, delays, causes = Pace(), [], []
    for seed in seeds:
        kind, rate = "plain", SMALL_SENDER[0] / SMALL_SENDER[1]
        if cell.sort == "cause":
            kind, rate = cell.with_, RARELY_CLICKED if seed % 2 else traffic.CLICKS_BY_MAIL
        history = traffic.make(kind, cell.volume, seed, fall=cell.kind, clicks_by_mail=rate)
        mails, drop = np.cumsum(history.mails)[None], history.drop or 0
        found = emulation.automations(np.cumsum(history.clicks)[None], pace, mails)
        said = sending.sending(mails, found, pace)
        unsent = _unsent(mails, found, said, pace)
        if cell.sort == "sender":
            delays.append(_delay(unsent[0], drop))
            continue
        named = _causes(found, said, unsent, slice(drop, drop + pace.steps(CAUSE_HOURS)))
        right = -1 if cell.kind in traffic.MAIL_FALLS else 1
        causes.append(-1 if -right in named else int(right in named))
    return Outcome(cell, len(seeds), 0, tuple(delays), tuple(causes))


def _causes(found: Clicks, said: Sending, unsent: Mask, when: slice) -> set[int]:
    """Return the causes that alerts name in this time: of clicks by the cause just before, of mails always these."""
    named = {-1} if (unsent | said.dropped & ~found.dropped)[0, when].any() else set()
    for state in (found.stopped[0], found.dropped[0]):
        begins = np.flatnonzero(state[1:] & ~state[:-1])
        named |= {int(said.cause[0, step]) for step in begins.tolist() if when.start <= step + 1 < when.stop}
    return named


def _account(cell: Cell, seed: int) -> Mask:
    """Return the states of automations whose holidays and Black Fridays fall on the same days."""
    volumes = [cell.volume * (1 + other / 10) for other in range(ACCOUNT)]
    made = [traffic.make(cell.kind, volume, seed, days=seed) for volume in volumes]
    seen = np.cumsum([history.clicks for history in made], axis=1)
    return emulation.automations(seen, Pace(), account=True).dropped


def _links(cell: Cell, seeds: Sequence[int]) -> Outcome:
    found, delays = 0, []
    for seed in seeds:
        history = link_traffic.make(cell.kind, cell.volume, seed)
        dead = emulation.links(history, Pace()).dead
        if history.drop is None:
            found += alarms(np.any(dead, axis=0, keepdims=True)[0])
            continue
        rows = sorted(history.dead)
        if cell.kind == "dead step":
            rows.append(len(history.steps) + np.unique(history.steps).tolist().index(history.steps[rows[0]]))
        delays.append(_delay(np.any(dead[rows], axis=0, keepdims=True)[0], history.drop))
    return Outcome(cell, len(seeds), found, tuple(delays))


def alarms(state: Mask) -> int:
    """Return the number of alarms from the third week on; those within a day of each other count once."""
    found, last = 0, -traffic.PER_DAY - 1
    for step in np.flatnonzero(state[JUDGED_FROM:]).tolist():
        found += step - last > traffic.PER_DAY
        last = step
    return found


def _delay(state: Mask, drop: int) -> float:
    firing = np.flatnonzero(state[drop:])
    return float(firing[0]) / traffic.PER_HOUR if firing.size else -1.0


def poisson_upper(events: int, trials: float) -> float:
    """Return the 95 % upper bound of a rate per trial."""
    low, high = 0.0, events + 10.0 * math.sqrt(events + 1) + 10
    for _ in range(100):
        middle = (low + high) / 2
        tail = sum(math.exp(-middle + k * math.log(middle) - math.lgamma(k + 1)) for k in range(events + 1))
        low, high = (middle, high) if tail > RARE else (low, middle)
    return high / trials


def binomial_lower(hits: int, trials: int) -> float:
    """Return the 95 % lower bound of a share."""
    if hits == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        tail = sum(math.comb(trials, k) * middle**k * (1 - middle) ** (trials - k) for k in range(hits, trials + 1))
        low, high = (middle, high) if tail < RARE else (low, middle)
    return low


FALSE_BARS: tuple[tuple[str, tuple[str, ...], dict[str, float | None]], ...] = (
    ("plain", traffic.PLAIN, {"": 0.005, "mails": 0.005}),
    ("batches, cohorts, scanners, noise", traffic.BATCHES, {"": 0.10, "mails": 0.02}),
    ("trends and days off", traffic.TRENDS, {"": 0.25, "mails": 0.05, "others": 0.05}),
    ("late sends", traffic.LATE, {"": None, "mails": None}),
)
WITH = {"": "clicks alone", "mails": "with mails", "others": "with others of the account"}
DELAY_BARS = {
    "stop": {300: 2.0, 2000: 1.5, 20000: 1.25},
    "-70 %": {300: 12.0, 2000: 4.0, 20000: 1.5},
    "dead link": {300: 7.0, 2000: 1.5, 20000: 0.5},
    "dead step": {300: 7.0, 2000: 1.5, 20000: 0.5},
}
FOUND_BARS = {
    "stop": (0.98, 24),
    "-70 %": (0.98, 24),
    "dead link": (0.98, 24),
    "dead step": (0.98, 24),
    "dead link with 10 %": (0.90, 24),
    "three dead links": (0.90, 24),
    "link -80 %": (0.80, 72),
}


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the table of all figures as Markdown."""
    lines = ["| figure | must | measured | n | 95 % bound |", "|---|---|---|---|---|"]
    quiet = [outcome for outcome in outcomes if outcome.cell.sort == "quiet"]
    for name, kinds, bars in FALSE_BARS:
        for known, bar in bars.items():
            some = [one for one in quiet if one.cell.kind in kinds and one.cell.with_ == known]
            lines.append(_false_row(f"false alarms a week, {name}, {WITH[known]}", bar, some))
            lines += [
                _false_row(f"… {kind}", None, [one for one in some if one.cell.kind == kind])
                for kind in kinds
                if any(one.cell.kind == kind for one in some)
            ]
    links = [outcome for outcome in outcomes if outcome.cell.sort == "links"]
    quiet_links = [one for one in links if one.cell.kind in link_traffic.QUIET]
    lines.append(_false_row("false alarms a week, links and steps", 0.02, quiet_links))
    lines += [
        _false_row(f"… {kind}", None, [one for one in quiet_links if one.cell.kind == kind])
        for kind in link_traffic.QUIET
    ]
    away = [one for one in links if one.cell.kind == link_traffic.AWAY]
    lines.append(_false_row(f"alarms a week, {link_traffic.AWAY}", None, away))
    for kind, (bar, hours) in FOUND_BARS.items():
        some = [one for one in outcomes if one.cell.kind == kind and not one.cell.with_ and one.cell.volume >= SEVERAL]
        lines.append(_found_row(f"found within {hours} h, {kind}, 300 a day and more", bar, hours, some))
    small = [
        one
        for one in outcomes
        if one.cell.kind in DELAY_BARS and not one.cell.with_ and one.cell.volume == min(VOLUMES)
    ]
    lines += [
        _found_row(f"found within {hours} h, 50 a day", bar, hours, small) for bar, hours in ((0.5, 24), (0.95, 72))
    ]
    for kind, by_volume in DELAY_BARS.items():
        for volume, limit in by_volume.items():
            lines += [_delay_row(f"median delay, {kind}, {volume:,} a day", limit, _one(outcomes, kind, volume))]
    for known, limit in (("mails", 3.0), ("", 24.0)):
        some = [
            one
            for one in outcomes
            if one.cell.sort == "send" and one.cell.with_ == known and one.cell.volume >= SEVERAL
        ]
        lines.append(_delay_row(f"median delay, a send that does not happen, {WITH[known]}", limit, some))
    sender = [one for one in outcomes if one.cell.sort == "sender"]
    lines.append(
        _delay_row("median delay, sending stops, {} clicks and {:,} mails a day".format(*SMALL_SENDER), 1.5, sender)
    )
    lines += _cause_rows([one for one in outcomes if one.cell.sort == "cause"])
    return "\n".join(lines) + "\n"


def _cause_rows(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield how often the cause that alerts name is right and wrong, then how often it is right of each fall and traffic."""

    def row(name: str, bar: str, hits: int, count: int, *, kept: bool, most: bool = False) -> str:
        if not count:
            return f"| {name} | {bar} | not run | 0 | |"
        bound = f"<= {1 - binomial_lower(count - hits, count):.1%}" if most else f">= {binomial_lower(hits, count):.1%}"
        return f"| {name} | {bar} | {hits / count:.1%}{'' if kept else ' **missed**'} | {count} | {bound} |"

    causes = [cause for one in outcomes for cause in one.causes]
    right, wrong, count = causes.count(1), causes.count(-1), len(causes)
    yield row("cause right, drops from 300 a day on", ">= 90%", right, count, kept=right >= 0.9 * count)
    yield row("cause wrong", "<= 2%", wrong, count, kept=wrong <= 0.02 * count, most=True)
    for name in (*traffic.FALLS, *traffic.MAIL_FALLS, *STEADY):
        some = [cause for one in outcomes if name in (one.cell.kind, one.cell.with_) for cause in one.causes]
        yield row(f"… right, {name}", "", some.count(1), len(some), kept=True)


def _one(outcomes: Sequence[Outcome], kind: str, volume: int) -> list[Outcome]:
    return [one for one in outcomes if (one.cell.kind, one.cell.volume, one.cell.with_) == (kind, volume, "")]


def _false_row(name: str, bar: float | None, outcomes: Sequence[Outcome]) -> str:
    found, weeks = sum(one.alarms for one in outcomes), sum(one.histories for one in outcomes) * QUIET_WEEKS
    if not weeks:
        return f"| {name} | {bar or ''} | not run | 0 | |"
    missed = " **missed**" if bar is not None and found / weeks > bar else ""
    must = "" if bar is None else f"<= {bar:g}"
    return f"| {name} | {must} | {found / weeks:.4f}{missed} | {weeks} weeks | <= {poisson_upper(found, weeks):.4f} |"


def _found_row(name: str, bar: float, hours: int, outcomes: Sequence[Outcome]) -> str:
    delays = [delay for one in outcomes for delay in one.delays]
    hits = sum(0 <= delay <= hours for delay in delays)
    if not delays:
        return f"| {name} | >= {bar:.0%} | not run | 0 | |"
    missed = " **missed**" if hits / len(delays) < bar else ""
    return f"| {name} | >= {bar:.0%} | {hits / len(delays):.1%}{missed} | {len(delays)} | >= {binomial_lower(hits, len(delays)):.1%} |"


def _delay_row(name: str, bar: float, outcomes: Sequence[Outcome]) -> str:
    delays = sorted(math.inf if delay < 0 else delay for one in outcomes for delay in one.delays)
    if not delays:
        return f"| {name} | <= {bar:g} h | not run | 0 | |"
    middle = median(delays)
    missed = " **missed**" if middle > bar + 0.005 else ""
    return f"| {name} | <= {bar:g} h | {middle:.2f} h{missed} | {len(delays)} | <= {_upper_median(delays):.2f} h |"


def _upper_median(delays: Sequence[float]) -> float:
    """Return the 95 % upper bound of the median: the order statistic that lies above it with that chance."""
    below = 0.0
    for rank, delay in enumerate(delays):
        below += math.comb(len(delays), rank) / 2 ** len(delays)
        if below >= 1 - RARE:
            return delay
    return math.inf


def documented(page: str, outcomes: Sequence[Outcome]) -> str:
    """Return the page with the table of these outcomes between its markers."""
    before, begin, rest = page.partition("<!-- backtest:begin -->\n")
    _, end, after = rest.partition("<!-- backtest:end -->")
    if not begin or not end:
        raise ValueError("the page has no markers for the table")
    return f"{before}{begin}{table(outcomes)}{end}{after}"
