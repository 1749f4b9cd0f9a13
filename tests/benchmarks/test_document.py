import pytest

from benchmarks.document import PAGE, charts, committed, main, render
from benchmarks.report import Report, Row


def _lane(median: float) -> dict[str, object]:
    return {"median_ms": median, "rounds_ms": [median], "scrapes": 1}


REPORT = Report(
    {"processor": "a fast one"},
    (
        Row.at_least("gzip-gauge-100k", "gzip, 100k", 2000, 800),
        Row.at_least("gzip-golang-1k", "missed, 1k", 2, 3),
        Row.at_least("gzip-gauge-1k", "gzip, 1k", 20, 10, raw={"gauge": _lane(10), "ours": _lane(0.5)}),
        Row.at_least("gzip-gauge-10k", "gzip, 10k", 100, 80, raw={"gauge": _lane(100), "ours": _lane(1)}),
        Row("growth-shards-1", "one shard", value=1.0, unit="ms"),
        Row("growth-shards-2", "two shards", value=1.4, unit="ms"),
    ),
    120.0,
)


def test_page_takes_table_machine_and_growth_from_the_run():
    page = render(PAGE.read_text(), REPORT)

    assert "| gzip, 100k | >= 800 x | 2,000 x | yes |  |" in page
    assert "- processor: a fast one" in page
    assert "![scrape by links](images/scrape-by-links.svg)" in page
    assert "Not measured yet" not in page


def test_page_has_the_headlines_and_every_row_that_missed_its_target():
    page = render(PAGE.read_text(), REPORT)

    assert "| missed, 1k | >= 3 x | 2 x | NO |  |" in page
    assert "gzip, 1k" not in page


def test_rendering_twice_changes_nothing_more():
    once = render(PAGE.read_text(), REPORT)

    assert render(once, REPORT) == once


def test_page_without_a_run_says_so():
    assert render(PAGE.read_text(), None).count("Not measured yet") == 3


def test_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="no markers for table"):
        render("# What it costs\n", None)


def test_charts_show_what_was_measured_and_nothing_else():
    drawn = charts(REPORT)

    assert set(drawn) == {"scrape-by-links.svg", "scrape-by-spread.svg"}
    assert ">this exporter<" in drawn["scrape-by-links.svg"]
    assert ">nginx" not in drawn["scrape-by-links.svg"]


def test_page_and_charts_are_as_the_committed_run_has_them(capsys):
    assert main(["--check"]) == 0, capsys.readouterr().out
    assert committed() is None or committed().rows
