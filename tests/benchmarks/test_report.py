import pytest

from benchmarks.report import Report, Row


def test_a_value_on_the_bar_meets_it():
    assert Row.at_least("a", "figure", 10, 10).met
    assert Row.at_most("a", "figure", 10, 10).met


def test_a_value_beyond_the_bar_misses_it():
    assert Row.at_least("a", "figure", 9.99, 10).met is False
    assert Row.at_most("a", "figure", 10.01, 10).met is False


def test_table_shows_target_value_verdict_and_number():
    row = Row.at_most("a", "memory a series", 20.36, 60, unit="B", n=40)
    lines = Report({"processor": "fast"}, (row,), 61.0).to_text().splitlines()

    assert lines[0] == "processor: fast"
    assert " ".join(lines[-1].split()) == "memory a series <= 60 B 20.4 B yes 40"


def test_table_says_why_a_figure_was_not_measured():
    text = Report({}, (Row.missing("a", "against Go", "apt-get install golang-go"),), 1.0).to_text()

    assert "not measured" in text
    assert "* against Go: apt-get install golang-go" in text


def test_missed_rows_are_those_whose_target_was_not_met():
    good, bad, plain = Row.at_least("good", "", 2, 1), Row.at_least("bad", "", 1, 2), Row("plain", "", value=3.0)

    assert Report({}, (good, bad, plain), 1.0).missed == [bad]


def test_json_holds_the_whole_report():
    report = Report({"python": "3.11"}, (Row.at_least("a", "b", 2.5, 1, n=3, raw={"rounds_ms": [1.0, 2.0]}),), 12.5)

    assert Report.from_json(report.to_json()) == report


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234 x"), (0.747, "0.747 x"), (11.52, "11.5 x")])
def test_values_are_as_exact_as_they_are_worth(value, text):
    assert Row("a", "b", value=value, unit="x").measured == text


def test_rows_of_a_later_run_take_the_places_of_the_earlier_ones():
    first = Report({"cpu": "a"}, (Row("one", "one", value=1), Row("two", "two", value=2)), 10)
    later = Report({"cpu": "a"}, (Row("two", "two", value=3), Row("three", "three", value=4)), 5)

    report = first.updated(later)

    assert [(row.id, row.value) for row in report.rows] == [("one", 1), ("two", 3), ("three", 4)]
    assert report.seconds == 15
