"""A few polls of each attack; `python -m scripts.attacks` has more."""

from typing import Final

import pytest

from tests.reliability.attacks import ATTACKS, GOOD, Taken, attacked

MOST_MEMORY: Final = 130
"""MB: what docs/reliability.md promises, with some 50 for the exporter itself, and 96 for answers."""


@pytest.fixture(scope="module")
def taken() -> dict[str, Taken]:
    return {each.name: each for each in attacked(ATTACKS, polls=8)}


@pytest.mark.parametrize("name", ATTACKS)
def test_answers_fill_no_memory(taken: dict[str, Taken], name: str) -> None:
    assert taken[name].peak < MOST_MEMORY
    assert "internal_error" not in taken[name].polls
    assert "success" in taken[name].polls if name in GOOD else taken[name].polls.keys() - {"success"}
