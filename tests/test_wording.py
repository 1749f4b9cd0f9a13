import pytest

from exporter.errors import counted, some_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 links"), (1, "1 link"), (2, "2 links"), (1234567, "1,234,567 links")]
)
def test_a_number_takes_the_singular_or_the_plural(count: int, text: str) -> None:
    assert counted(count, "link") == text


@pytest.mark.parametrize(("most", "text"), [(3, "a, b, c"), (2, "a, b and 1 more")])
def test_a_long_list_says_how_many_are_left_out(most: int, text: str) -> None:
    assert some_of(["a", "b", "c"], most) == text
