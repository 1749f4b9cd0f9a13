import json
import os
import subprocess
import sys

import pytest

from benchmarks import __main__ as command
from benchmarks import exporters
from benchmarks.asking import KINDS
from benchmarks.bench import Bench
from benchmarks.content import content, help_texts
from benchmarks.figures import memory, scrapes
from benchmarks.holds import LockWatch
from benchmarks.measure import Effort, Lane, in_turn
from benchmarks.programs import ProgramError, free_port, python
from benchmarks.scraper import KeptConnection, Request, Scraper, fetch
from benchmarks.workload import Workload

LITTLE = Effort(cpu=0.01e9, scrapes=10, rounds=2)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, quick=True, say=lambda _: None)


def test_our_scrape_and_the_gauges_say_the_same_and_ours_costs_less(bench):
    with bench.ours(Workload(1_000)).ready(60) as ours:
        body = fetch(ours.port, scrapes.GZIP)
        rows, helps = bench.input(Workload(1_000), help_texts(body))
        with bench.peer("gauge", rows, helps).ready(60) as gauge:
            assert content(body) == content(fetch(ours.port, scrapes.PLAIN))
            assert content(body) == content(fetch(gauge.port, scrapes.GZIP))
            assert content(body).samples == 1_002

            costs = in_turn([Lane("gauge", gauge, scrapes.GZIP), Lane("ours", ours, scrapes.GZIP)], LITTLE, bench.say)

    assert costs.ratio("gauge", "ours") > 1
    assert costs.scrapes["ours"] >= LITTLE.rounds


def test_filtered_scrape_leaves_out_the_exporters_own_metrics(bench):
    with bench.ours(Workload(100, 100)).ready(60) as ours:
        assert b"sendgrid_exporter_" in fetch(ours.port, scrapes.GZIP)
        assert b"sendgrid_exporter_" not in fetch(ours.port, scrapes.FILTERED)


def test_a_change_is_published_and_tells_its_cost(bench):
    with bench.ours(Workload(200, 100)).ready(60) as ours:
        before = fetch(ours.port, scrapes.PLAIN)
        cost = ours.ask(do="change", number=1, clicked=7)

        assert fetch(ours.port, scrapes.PLAIN) != before
        assert cost["all_ns"] > cost["last_ns"] > 0


def test_stirred_scrapes_find_a_request_counted_each_time(bench):
    query = Request(query="?name[]=sendgrid_exporter_api_requests_total")
    with bench.ours(Workload(0)).ready(60) as ours:
        assert fetch(ours.port, query) == fetch(ours.port, query)
        ours.ask(do="stir", on=True)
        assert fetch(ours.port, query) != fetch(ours.port, query)


def test_slow_readers_and_kept_connections_are_served(bench):
    with bench.ours(Workload(100, 100)).ready(60) as ours:
        assert memory.read_slowly(ours.port, Request(), 3, 5.0) == 3

        connection = KeptConnection(ours.port, Request(keep_alive=True))
        assert 0 < connection.timed() < 5
        assert connection.timed() > 0
        connection.close()


def test_scrape_of_what_is_not_there_is_an_error(bench):
    with bench.ours(Workload(0)).ready(60) as ours, pytest.raises(OSError, match="404"):
        Scraper(ours.port, Request(path="/nowhere")).scrape()


def test_exporter_polls_the_simulated_api_and_the_span_is_told(bench):
    workload = Workload(400, 100)
    api = exporters.start_api(bench, workload, latency=0.01)
    with (
        api.program,
        exporters.start_exporter(bench, api, workload, interval=3600, concurrency=4) as exporter,
    ):
        exporters.wait_ready(exporter, 30)

        assert exporters.value_of(exporter, 'sendgrid_exporter_polls_total{outcome="success"}') == 4
        assert api.span(8) > 0
        assert api.span(1_000) is None


def test_program_that_fails_to_start_is_named_with_its_complaint(tmp_path):
    with (
        python("broken", "benchmarks.peers.gauge", log=tmp_path / "broken.log") as broken,
        pytest.raises(ProgramError, match=r"(?s)broken ended without an answer.*the following arguments are required"),
    ):
        broken.ready(30)


def test_program_that_never_listens_is_given_up(tmp_path):
    with (
        python("deaf", "benchmarks.ours", "0", log=tmp_path / "deaf.log") as deaf,
        pytest.raises(ProgramError, match="deaf does not listen"),
    ):
        deaf.ready_on(free_port(), 0.2)


def test_lock_watch_sees_a_call_that_keeps_the_lock():
    watch = LockWatch()
    watch.start()
    numbers = list(range(2_000_000))
    numbers.sort(key=None, reverse=True)
    numbers == list(range(2_000_000, 0, -1))  # noqa: B015 - one long call in C, whatever it finds
    watch.stop()

    assert watch.samples > 0
    assert watch.longest_ns > 1_000_000


def test_selection_takes_groups_ids_and_patterns():
    assert command._selected("scrapes", [])
    assert command._selected("scrapes", ["gzip-golang-1M"])
    assert command._selected("polling", ["p99*"])
    assert not command._selected("shards", ["gzip-*"])


def test_command_prints_the_table_writes_both_files_and_ends(tmp_path):
    files = ["--json", str(tmp_path / "a" / "run.json"), "--text", str(tmp_path / "a" / "run.txt")]
    argv = [sys.executable, "-m", "benchmarks", "--quick", "--rows", "growth-scrapers-*", *files]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=120, env=environment)

    assert "gzip scrape, 10k, 4 scrapers at a time" in done.stdout
    assert (tmp_path / "a" / "run.txt").read_text() == done.stdout
    rows = json.loads((tmp_path / "a" / "run.json").read_text())["rows"]
    assert [row["id"] for row in rows] == [f"growth-scrapers-{number}" for number in (1, 4, 16)]
    assert not list(tmp_path.glob("benchmarks-*"))


@pytest.mark.parametrize("encryption", ["plain", "tls"])
def test_a_page_is_asked_for_by_each_kind_of_client_and_its_cost_is_told(bench, encryption):
    with python("canned", "benchmarks.canned", encryption, log=bench.log("canned")).ready(60) as server:
        where = (str(server.port), *filter(None, [server.told["authority"]]))
        for kind in KINDS:
            with python("asking", "benchmarks.asking", kind, *where, log=bench.log("asking")).ready(60) as asking:
                assert 0 < asking.ask(pages=5)["cpu_ns"] < 5e9


def test_installed_command_starts_for_one_automation(bench):
    api = exporters.start_api(bench, Workload(10, 10), latency=0.0)
    with api.program, exporters.start_alone(bench, api) as alone:
        exporters.wait_ready(alone, 30)

        assert exporters.value_of(alone, 'sendgrid_exporter_polls_total{outcome="success"}') == 1
