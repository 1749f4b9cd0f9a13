"""The matrix's most telling rows once more through the installed command, and a search for secrets after them."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from sendgrid_simulator import Alteration, Delivery, Fault, Row, Simulator, fixed
from tests.end_to_end.harness.process import OPENMETRICS, ExporterProcess, run_exporter
from tests.end_to_end.harness.waiting import wait_until

KEY: Final = "SG.MarkerMarkerMarkerMark.MarkerOfTheKeyThatNobodyMayEverSeeAnywhere0"
STEP: Final = "11111111-2222-4333-8444-555555555555"
ECHO: Final = f'{{"errors":[{{"field":"Authorization","message":"wrong key: Bearer {KEY}"}}]}}'.encode()
FAULTS: Final[Mapping[str, Fault]] = {
    "timeout": Fault(deliver=Delivery.STALL),
    "connection_error": Fault(deliver=Delivery.RESET_IN_BODY),
    "connection_error: cut headers": Fault(deliver=Delivery.CUT_HEADERS),
    "invalid_response: gzip bomb": Fault(deliver=Delivery.GZIP_BOMB),
    "invalid_response: 1 GB": Fault(deliver=Delivery.HUGE_BODY),
    "invalid_response: redirect": Fault(status=302, body=ECHO, headers=(("Location", f"https://a.invalid/{KEY}"),)),
    "invalid_response: next page without a token": Fault(alter=Alteration.NEXT_WITHOUT_TOKEN),
    "invalid_response: NaN": Fault(alter=Alteration.TOTAL_NAN),
    "invalid_response: key in place of a number": Fault(
        body=f'{{"results":[{{"url":"u","step_id":"s","clicks":"{KEY}","{KEY}":1}}],"{KEY}":1}}'.encode()
    ),
    "incomplete": Fault(alter=Alteration.RESULTS_NULL),
    "forbidden": Fault(status=403, body=ECHO),
    "not_found": Fault(status=404, body=ECHO),
    "bad_request": Fault(status=400, body=ECHO),
    "server_error": Fault(status=503, body=ECHO),
    "server_error: HTML": Fault(status=502, body=b"<html>" + KEY.encode()),
}
IDS: Final = {name: f"00000000-0000-4000-8000-{number:012}" for number, name in enumerate(FAULTS, 1)}
HEALTHY: Final = "00000000-0000-4000-8000-00000000ffff"
Links = Mapping[tuple[str, str], float]


def rows(more: int) -> tuple[Row, ...]:
    return (Row(STEP, f"https://shop.example/?key={KEY}", 0, 7 + more), Row(STEP, "https://shop.example/", 1, 9 + more))


def published(more: int) -> Links:
    return {("https://shop.example/?key=<hidden>", "0"): 7 + more, ("https://shop.example/", "1"): 9 + more}


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    automations = [fixed(id_, rows(0)) for id_ in (*IDS.values(), HEALTHY)]
    with Simulator(automations, rate_limit=0) as simulator:
        simulator.account.allow(KEY)
        yield simulator


def links(exporter: ExporterProcess) -> dict[str, Links]:
    found: dict[str, dict[tuple[str, str], float]] = {}
    for (name, labels), value in exporter.samples().items():
        if name == "automation_link_clicks":
            label = dict(labels)
            found.setdefault(label["automation_id"], {})[label["url"], label["url_location"]] = value
    return dict(found)


def break_all(simulator: Simulator) -> None:
    for name, fault in FAULTS.items():
        fields = {field: getattr(fault, field) for field in fault.__slots__} | {"automation": IDS[name], "times": None}
        simulator.fault(Fault(**fields))


def has_failed(exporter: ExporterProcess, name: str, since: int = 0) -> bool:
    """Return whether the log has the failure, from a length of it on; on a busy machine another may come first."""
    outcome = name.split(":", maxsplit=1)[0]
    how = "(began to fail|now fails in another way)"
    return (
        re.search(rf"automation {how}.*automation_id={IDS[name]} .*outcome={outcome} ", exporter.log[since:])
        is not None
    )


def put(simulator: Simulator, more: int) -> None:
    for id_ in (*IDS.values(), HEALTHY):
        simulator.put_rows(id_, rows(more))


def test_faults_leave_the_last_good_heal_and_show_no_secret(simulator: Simulator, tmp_path: Path) -> None:
    key_file, state = tmp_path / "key", tmp_path / "state.db"
    key_file.write_text(KEY + "\n")
    flags = (
        f"--sendgrid.base-url={simulator.base_url}",
        f"--sendgrid.api-key-file={key_file}",
        "--sendgrid.requests-per-minute=60000",
        "--sendgrid.timeout=1s",
        "--poll.interval=2s",
        "--poll.stale-after=1h",
        "--poll.concurrency=16",
        "--log.level=debug",
        "--web.enable-lifecycle",
        f"--state.path={state}",
        f"--automations={','.join((*IDS.values(), HEALTHY))}",
    )
    break_all(simulator)
    with ExporterProcess(*flags) as exporter:
        for name in FAULTS:
            wait_until(lambda name=name: has_failed(exporter, name), f"{name} is logged", seconds=30)
        assert links(exporter) == {HEALTHY: published(0)}

        simulator.faults.clear()
        everywhere = (*IDS.values(), HEALTHY)
        wait_until(lambda: links(exporter) == dict.fromkeys(everywhere, published(0)), "all heal", seconds=30)

        healed = len(exporter.log)
        break_all(simulator)
        put(simulator, 5)
        for name in FAULTS:
            wait_until(lambda name=name: has_failed(exporter, name, healed), f"{name} is logged again", seconds=30)
        wait_until(lambda: links(exporter)[HEALTHY] == published(5), "the healthy one goes on")
        shown = links(exporter)
        assert {name: shown[id_] for name, id_ in IDS.items()} == dict.fromkeys(FAULTS, published(0))

        simulator.faults.clear()
        wait_until(lambda: links(exporter) == dict.fromkeys(everywhere, published(5)), "all heal again", seconds=30)
        simulator.account.revoke(KEY)
        exporter.wait_for_log("outcome=unauthorized", seconds=30)
        assert_no_secret(exporter, flags, state)


def assert_no_secret(exporter: ExporterProcess, flags: tuple[str, ...], state: Path) -> None:
    texts = {path: exporter.get(path).text for path in ("/", "/metrics", "/-/healthy", "/-/ready", f"/{'x' * 9}")}
    texts["openmetrics"] = exporter.get("/metrics", headers={"Accept": OPENMETRICS}).text
    texts["a refused method"] = exporter.get("/metrics", method="DELETE").text
    texts["a reload"] = exporter.get("/-/reload", method="POST").text
    texts["the log"] = exporter.log
    texts["the process list"] = Path(f"/proc/{exporter.pid}/cmdline").read_text()
    check = run_exporter("--check", *flags)
    assert check.returncode == 0
    texts["--check"] = check.stdout + check.stderr
    for file in state.parent.glob("state.db*"):
        texts[file.name] = file.read_bytes().decode("latin-1")
    assert len(texts["the log"]) > 10_000
    assert {name for name, text in texts.items() if re.search("Marker", text)} == set()
    assert "<hidden>" in texts["the log"]


@pytest.mark.parametrize("log_format", ["logfmt", "json"])
def test_a_proxy_s_password_stands_nowhere(log_format: str) -> None:
    env = {"SENDGRID_API_KEY": KEY, "EXPORTER_SENDGRID__PROXY": "http://user:MarkerPassword@127.0.0.1:1"}
    flags = (f"--automations={HEALTHY}", "--log.level=debug", f"--log.format={log_format}")

    check, once = (
        run_exporter("--check", *flags, env=env),
        run_exporter("--once", "--sendgrid.timeout=1s", *flags, env=env),
    )

    assert check.returncode == 0
    assert "127.0.0.1:1" in check.stdout
    assert "Connection refused" in once.stderr
    assert "Marker" not in check.stdout + check.stderr + once.stdout + once.stderr
