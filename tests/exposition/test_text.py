import pytest

from exporter.exposition import (
    Family,
    MetricType,
    escape,
    header,
    line,
    link_key,
    link_lines,
    number,
    samples,
)
from tests.factories import a_link

pytestmark = pytest.mark.unit

COUNTER = Family("some_total", MetricType.COUNTER, 'A "quoted" \\ and\nbroken help.')


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7, "7"), (2**53 + 1, "9007199254740993"), (1.0, "1"), (0.5, "0.5"), (1760000000.123, "1760000000.123")],
)
def test_numbers_are_whole_where_they_can_be(value, text):
    assert number(value) == text


def test_what_ends_a_label_is_escaped_and_nothing_else():
    assert escape('a"b\\c\nd\re\tf{}') == 'a\\"b\\\\c\\nd\re\tf{}'


def test_sample_without_labels_and_with_two():
    assert line("m", {}, 1) == "m{} 1\n"
    assert line("m", {"a": "x", "b": '"'}, 0.5) == 'm{a="x",b="\\""} 0.5\n'


def test_text_format_names_a_counter_with_its_ending_and_openmetrics_without():
    assert header(COUNTER, openmetrics=False) == (
        b'# HELP some_total A "quoted" \\\\ and\\nbroken help.\n# TYPE some_total counter\n'
    )
    assert header(COUNTER, openmetrics=True) == (
        b'# HELP some A \\"quoted\\" \\\\ and\\nbroken help.\n# TYPE some counter\n'
    )


def test_gauge_keeps_its_name_whatever_it_ends_in():
    family = Family("some_total", MetricType.GAUGE, "h")

    assert b"# TYPE some_total gauge" in header(family, openmetrics=True)


def test_links_are_rendered_some_hundred_at_a_time_in_their_order():
    rows = [a_link(url=str(count), step_id=str(count // 3), clicks=count) for count in range(450)]

    batches = list(link_lines("m", "id", rows))

    assert len(batches) == 3
    assert list(samples(b"".join(batches)).values()) == list(range(450))


def test_key_of_a_row_is_what_stands_before_its_value():
    row = a_link(url='sp ace"\n}', step_id="s\\")

    assert samples(b"".join(link_lines("m", "id", [row]))) == {link_key("m", "id", row): 7}


def test_nothing_gives_no_lines():
    assert list(link_lines("m", "id", [])) == []
    assert samples(b"") == {}
