"""The soak in short; `make soak` runs it for 10,000 polls."""

from tests.reliability.soak import soak


def test_a_short_soak_shows_whole_polls_only_and_nothing_grows():
    result = soak(400, seconds=15)

    assert result.wrong == []
    assert result.polls >= 100
    assert result.failed > 5
    assert result.lists > 300
    assert result.reloads >= 2
    lowest, most = result.second_half(result.threads)
    assert most - lowest <= 2
    assert max(result.memory) < 130 * 1024  # growth is for the long soak: here the first large answers still come
