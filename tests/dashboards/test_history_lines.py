import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from sendgrid_simulator import EPOCH, ManualClock, Row, Simulator, fixed, generated_automation
from tools.pictures.sample.history import history_lines

ID = "11111111-1111-4111-8111-111111111111"
HOUR = 3_600.0


def parsed(simulator, *span, **target):
    """Return (name, automation, key) → {timestamp: value} of the text, and the label sets."""
    text = "".join(history_lines(simulator, *span, **target))
    series = {}
    labels = []
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            own = dict(sample.labels)
            labels.append(own)
            key = (own.get("step_id"), own.get("url"), own.get("url_location"))
            points = series.setdefault((sample.name, own["automation_id"], key), {})
            assert float(sample.timestamp) not in points
            points[float(sample.timestamp)] = sample.value
    return series, labels


def test_values_equal_what_the_api_answers_at_those_times():
    clock = ManualClock(EPOCH)
    automation = generated_automation(1, 'A "quoted"\nname\\', 36, clicks_per_day=700)
    simulator = Simulator((automation,), clock=clock)
    start = EPOCH - HOUR

    series, _ = parsed(simulator, start, start + 30 * HOUR, HOUR)

    expected = {}
    for step in range(31):
        moment = start + step * HOUR
        clock.set(moment)
        rows, total = simulator.links(automation.id)
        if moment < EPOCH:
            continue
        expected.setdefault(("automation_total_clicks", automation.id, (None,) * 3), {})[moment] = total
        for row in rows:
            key = (row.step_id, row.url, "" if row.url_location is None else str(row.url_location))
            points = expected.setdefault(("automation_link_clicks", automation.id, key), {})
            points[moment] = points.get(moment, 0) + row.clicks
    info = series.pop(("automation_info", automation.id, (None,) * 3))
    assert list(info.values()) == [1.0] * 31
    assert series == expected
    assert len(series) > 20


def test_labels_are_those_of_the_exporter_and_of_its_target():
    simulator = Simulator((fixed(ID, (Row("s", 'https://e/"\\\nü', None, 3),), name="N"),))
    _, labels = parsed(simulator, 0, 0, 1, target={"instance": "here", "cluster": "c"})
    target = {"job": "sendgrid-automation-exporter", "instance": "here", "cluster": "c"}
    assert labels == [
        {"automation_id": ID, "name": "N", **target},
        {"automation_id": ID, "step_id": "s", "url": 'https://e/"\\\nü', "url_location": "", **target},
        {"automation_id": ID, **target},
    ]


def test_a_step_that_does_not_go_forward_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        list(history_lines(Simulator(), 0, 10, 0))


@pytest.mark.needs("promtool")
def test_history_becomes_blocks_of_a_prometheus(tmp_path):
    simulator = Simulator((generated_automation(1, "History", 24, clicks_per_day=500),), clock=ManualClock(EPOCH))
    text = tmp_path / "history.txt"
    lines = list(history_lines(simulator, EPOCH, EPOCH + 86_400, 900))
    text.write_text("".join(lines))

    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(tmp_path / "data")]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (tmp_path / "data" / "wal").mkdir()  # without one promtool refuses to read blocks
    # Some promtools put their scratch files into ./data whatever folder they dump.
    dumped = subprocess.run(
        ["promtool", "tsdb", "dump", "data"], cwd=tmp_path, check=True, capture_output=True, timeout=60, text=True
    )

    stored = sorted(line.split(" ")[-2:] for line in dumped.stdout.splitlines())
    written = [line.split(" ") for line in lines if not line.startswith("#")]
    assert stored == sorted([each[-2], f"{round(float(each[-1]) * 1_000)}"] for each in written)
    assert len(stored) > 1_000
