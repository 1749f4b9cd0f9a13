"""What a scrape says is what Prometheus's own readers read, whatever stands in a label."""

import gzip
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from exporter.domain import LinkClicks, add_up
from exporter.labels import LabelHygiene
from exporter.serving import OPENMETRICS, TEXT, Exposition
from exporter.store import Store
from exporter.telemetry import Telemetry
from tests.exposition.test_metrics_golden import full_exposition, text_of
from tests.factories import an_about, an_automation, an_id, label_rules, render
from tests.fakes import FakeClock
from tests.programs import needs, program

pytestmark = pytest.mark.contract

LINKS = frozenset({"automation_link_clicks", "automation_info"})
# Unicode has no lone surrogates to send; the API's reader repairs them before.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
CLOCK = FakeClock()
TELEMETRY = Telemetry(an_about(), clock=CLOCK, link_series=lambda: 0)


def exposition_of(rows: list[LinkClicks], name: str = "") -> Exposition:
    store = Store()
    store.configure([an_automation(name=name)])
    links = LabelHygiene(label_rules()).clean(rows)
    store.publish(an_id(), render(an_id(), links, 0), last_success=1.0, expires=1e9)
    return Exposition(store, TELEMETRY)


def read(text: str, *, openmetrics: bool):
    parse = openmetrics_parser.text_string_to_metric_families if openmetrics else text_string_to_metric_families
    return {family.name: family.samples for family in parse(text)}


@given(
    st.lists(st.builds(LinkClicks, TEXTS, TEXTS, st.sampled_from(("", "0", "17")), st.integers(0, 2**53)), max_size=5),
    TEXTS,
)
@settings(max_examples=200, deadline=None)
def test_any_text_in_any_label_parses_back_to_itself_in_both_formats(rows, name):
    rows = add_up(rows)
    # A sum beyond 2**53 is read as the nearest float.
    expected = {row[:3]: float(row.clicks) for row in LabelHygiene(label_rules()).clean(rows)}
    exposition = exposition_of(rows, name)

    for openmetrics in (False, True):
        families = read(text_of(exposition, openmetrics=openmetrics, names=LINKS), openmetrics=openmetrics)
        links = {
            (sample.labels["step_id"], sample.labels["url"], sample.labels["url_location"]): float(sample.value)
            for sample in families["automation_link_clicks"]
        }
        assert links == expected
        assert families["automation_info"][0].labels["name"] == name


@pytest.mark.parametrize(
    "text", ["\r", "\r\n", "\x00", "\x7f", "\u2028", "\ufeff", "\\n", '\\"', "\\", "#", "} 1", "é😀"]
)
def test_dangerous_text_parses_back_to_itself(text):
    exposition = exposition_of([LinkClicks(text, text, "", 1)], text)

    for openmetrics in (False, True):
        families = read(text_of(exposition, openmetrics=openmetrics, names=LINKS), openmetrics=openmetrics)
        assert families["automation_link_clicks"][0].labels["url"] == text
        assert families["automation_info"][0].labels["name"] == text


def test_lone_surrogate_never_breaks_a_scrape():
    text = text_of(exposition_of([LinkClicks("\ud800", "\udfff", "", 1)], "\ud800"))

    assert 'url="?"' in text


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("names", [None, LINKS, frozenset({"other"})], ids=["all", "some", "none"])
def test_gzip_body_is_one_stream_of_the_announced_length(openmetrics, names):
    exposition = full_exposition()
    plain = text_of(exposition, openmetrics=openmetrics, names=LINKS).encode()

    scrape = exposition.scrape(openmetrics=openmetrics, compressed=True, names=names)
    body = b"".join(scrape.chunks)

    reader = zlib.decompressobj(31)
    text = reader.decompress(body)
    assert (reader.eof, reader.unused_data) == (True, b"")
    assert gzip.decompress(body) == text
    assert (len(body), scrape.gzip) == (scrape.length, True)
    assert names is not LINKS or text == plain


@pytest.mark.parametrize("openmetrics", [False, True])
def test_plain_body_has_the_announced_length_and_type(openmetrics):
    scrape = full_exposition().scrape(openmetrics=openmetrics, compressed=False, names=LINKS)

    assert sum(map(len, scrape.chunks)) == scrape.length
    assert scrape.content_type == (OPENMETRICS if openmetrics else TEXT)
    assert not scrape.gzip


@needs("promtool")
def test_promtool_has_nothing_to_say():
    check = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=text_of(full_exposition()),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (check.returncode, check.stdout, check.stderr) == (0, "", "")
