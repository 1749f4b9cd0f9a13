from benchmarks.pages import PAGE_ROWS, pages
from benchmarks.workload import SIZES, Row, Workload, read


def test_links_are_the_same_in_every_run_and_each_stands_once():
    rows = Workload(2_000).rows(1)

    assert rows == Workload(2_000).rows(1)
    assert len({row[:3] for row in rows}) == 1_000
    assert len({row.step_id for row in rows}) == 20


def test_urls_are_about_85_characters_long():
    rows = Workload(1_000).rows(0)

    assert 80 <= sum(len(row.url) for row in rows) / len(rows) <= 90


def test_automations_number_what_the_links_make():
    assert [Workload(links).automations for links in SIZES.values()] == [1, 10, 100, 1000]
    assert len(set(Workload(10_000).ids())) == 10


def test_shards_hold_what_the_whole_holds():
    whole, second = Workload(2_000), Workload(1_000, first=1)

    assert second.ids() == whole.ids()[1:]
    assert second.rows(0) == whole.rows(1)


def test_clicked_rows_have_more_clicks_and_nothing_else():
    before, after = Workload(100, 100).rows(0), Workload(100, 100).rows(0, clicked=3)

    assert [row._replace(clicks=row.clicks + 3) for row in before] == list(after)


def test_what_is_written_is_read_again(tmp_path):
    workload = Workload(200, 100)
    workload.write(tmp_path / "rows.tsv")

    found = list(read(tmp_path / "rows.tsv"))

    assert found == [(id_, row) for number, id_ in enumerate(workload.ids()) for row in workload.rows(number)]


def test_pages_hold_fifty_rows_and_lead_to_the_next():
    bodies = pages("an-id", [Row("s", "https://u", str(place), 1) for place in range(120)])

    assert len(bodies) == 3
    assert all(b"page_token" in body for body in bodies[:-1])
    assert b"page_token" not in bodies[-1]
    assert bodies[0].count(b"step_id") == PAGE_ROWS
