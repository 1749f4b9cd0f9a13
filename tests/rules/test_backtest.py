"""The judge: its traffic, its table and the bounds in it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.rules.conftest import ROOT
from tools.backtest import judge, link_traffic, traffic


@pytest.mark.parametrize("kind", traffic.KINDS)
def test_same_seed_gives_the_same_history_of_about_the_clicks_it_promises(kind: str) -> None:
    first, second = traffic.make(kind, 2000, 5), traffic.make(kind, 2000, 5)

    assert first.clicks.tobytes() == second.clicks.tobytes()
    assert 200 < first.clicks.sum() / 35 < 8000


@pytest.mark.parametrize("kind", [*link_traffic.QUIET, *link_traffic.DEAD])
def test_links_have_a_step_and_a_place_each(kind: str) -> None:
    links = link_traffic.make(kind, 300, 5)

    assert links.clicks.shape[0] == len(links.steps) == len(links.places)
    assert (links.drop is not None) == (kind in link_traffic.DEAD)


def test_alarms_within_a_day_are_one() -> None:
    state = np.zeros(3 * traffic.PER_WEEK, dtype=bool)
    state[[4100, 4150, 5000]] = True

    assert judge.alarms(state) == 2


def test_page_holds_the_table_of_the_committed_outcomes() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")

    assert judge.documented(page, judge.read(judge.STORE)) == page


def test_bounds_are_those_of_the_textbook() -> None:
    assert math.isclose(judge.poisson_upper(0, 1), 2.996, abs_tol=0.001)
    assert math.isclose(judge.binomial_lower(10, 10), 0.741, abs_tol=0.001)
