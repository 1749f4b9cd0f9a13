"""A hundred thousand links, as a real Prometheus stores them: compressed and plain."""

from pathlib import Path

import pytest

from sendgrid_simulator import Row, Simulator, fixed
from tests.end_to_end.harness.process import ExporterProcess
from tests.end_to_end.harness.prometheus import Prometheus
from tests.end_to_end.harness.waiting import wait_until

pytestmark = pytest.mark.e2e

AUTOMATIONS = 100
LINKS = 1000


def automation_id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def rows(number: int) -> tuple[Row, ...]:
    return tuple(
        Row(
            step_id=f"11111111-2222-4333-8444-{place // 50:012}",
            url=f"https://www.example-shop.com/campaign/{number}/product-{place}?utm_source=sg&utm_medium=email",
            url_location=place % 50,
            clicks=(place * 7919 + number * 31) % 5000 + 1,
        )
        for place in range(LINKS)
    )


@pytest.mark.parametrize(
    ("binary", "options"),
    [
        pytest.param("prometheus", {}, marks=pytest.mark.needs("prometheus"), id="gzip"),
        pytest.param(
            "prometheus-newer",
            {"enable_compression": False},
            marks=[pytest.mark.needs("prometheus-newer"), pytest.mark.long],
            id="plain",
        ),
    ],
)
def test_every_one_of_a_hundred_thousand_values_arrives(
    tmp_path: Path, binary: str, options: dict[str, object]
) -> None:
    expected = {
        (automation_id(number), row.step_id, row.url, str(row.url_location)): float(row.clicks)
        for number in range(AUTOMATIONS)
        for row in rows(number)
    }
    ids = [automation_id(number) for number in range(AUTOMATIONS)]
    with Simulator([fixed(id_, rows(number)) for number, id_ in enumerate(ids)], rate_limit=0) as simulator:
        env = {
            "SENDGRID_API_KEY": simulator.api_key,
            "EXPORTER_SENDGRID__BASE_URL": simulator.base_url,
            "EXPORTER_SENDGRID__REQUESTS_PER_MINUTE": "100000",
            "EXPORTER_POLL__INTERVAL": "1h",
            "EXPORTER_AUTOMATIONS": ",".join(ids),
        }
        with (
            ExporterProcess(env=env) as exporter,
            Prometheus(
                tmp_path, {"sendgrid": [exporter.address]}, interval="5s", job_options=options, binary=binary
            ) as prometheus,
        ):
            exporter.wait_while_alive(
                lambda: exporter.get("/-/ready").status == 200, "every automation was read", seconds=120
            )
            wait_until(
                lambda: prometheus.value("count(automation_link_clicks)") == len(expected),
                "Prometheus has stored every series",
                seconds=60,
            )
            names = ("automation_id", "step_id", "url", "url_location")
            stored = {
                tuple(series.labels[name] for name in names): series.value
                for series in prometheus.query("automation_link_clicks")
            }

    assert stored == expected
