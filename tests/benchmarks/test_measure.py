import pytest

from benchmarks.measure import Costs, median_ratio, spread, wait_until


def test_ratio_is_the_median_of_the_rounds_own_ratios():
    assert median_ratio([10, 40, 30], [1, 2, 30]) == 10


def test_ratio_of_unequal_numbers_of_rounds_is_refused():
    with pytest.raises(ValueError, match="shorter"):
        median_ratio([1.0, 2.0], [1.0])


def test_costs_give_the_median_in_milliseconds_and_the_ratio_of_two_lanes():
    costs = Costs({"peer": [8e6, 2e6, 4e6], "ours": [2e6, 2e6, 2e6]}, {"peer": 3, "ours": 3})

    assert costs.milliseconds("peer") == 4
    assert costs.ratio("peer", "ours") == 2


def test_spread_tells_median_ends_and_number():
    assert spread([3.0, 1.0, 2.0]) == {"median": 2, "min": 1, "max": 3, "n": 3}


def test_waiting_for_what_never_comes_ends_and_names_it():
    with pytest.raises(TimeoutError, match="the moon did not come"):
        wait_until(lambda: False, 0.05, "the moon")
