"""kill -9 at any moment loses nothing that was stored; `make soak` kills ten times as often."""

import pytest

from tests.reliability.kills import kill_repeatedly


@pytest.mark.long
def test_twenty_kills_lose_nothing_that_was_stored():
    kills = kill_repeatedly(20, seed=1)

    assert kills.done == 20
    assert kills.damaged == []
    assert kills.within_50_ms >= 5
    assert kills.blocks >= 19 * 20
    assert kills.writes > 100
