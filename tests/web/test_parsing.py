"""Durations and near names, as both configuration files read them."""

import pytest

from exporter.web.toolkit import closest, seconds

pytestmark = pytest.mark.unit

UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1h30m", 5400.0), ("250ms", 0.25), ("1.5h", 5400.0), ("1m1h", 3660.0), (".5s", 0.5), ("1.s", 1.0), ("1s1s", 2.0)],
)
def test_duration_is_the_sum_of_its_parts(text: str, expected: float) -> None:
    assert seconds(text, UNITS) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "s", "5mm", "5 m", "-5s", "5s ", "٣s", "1s5", "1d"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert seconds(text, UNITS) is None


@pytest.mark.parametrize("text", ["1m1h", "1s1s", ".5s", "1.s"])
def test_what_only_go_takes_is_no_ordered_duration(text: str) -> None:
    assert seconds(text, UNITS, ordered=True) is None


def test_closest_name_is_found_and_a_far_one_is_not() -> None:
    assert closest("intervall", ("concurrency", "interval")) == "interval"
    assert closest("zzz", ("concurrency", "interval")) is None


def test_name_of_a_megabyte_is_near_to_none() -> None:
    assert closest("interval" * 131_072, ("concurrency", "interval")) is None
