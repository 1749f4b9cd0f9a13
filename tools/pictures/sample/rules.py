"""What recording and alerting rules would have written over the sample, by promtool's own rule engine."""

import json
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.pictures.sample.story import DAY, STEP, Story

WRITTEN: Final = (
    '{__name__=~"ALERTS|ALERTS_FOR_STATE|job.*:sendgrid_(clicks|click_drop|data|mails):'
    '(observed|expected|score|odds|configured|sensitivity|delivered|last_week|moved_timestamp_seconds)",'
    ' alertstate!="pending"}'
)
PACE: Final = 3 * STEP
"""The evaluation interval: the rules work with it too, and the engine takes a third of the time."""

_NEEDED: Final = re.compile(
    r"(automation_(total_clicks|link_clicks|info)|sendgrid_automation_delivered)\{|sendgrid_exporter_automation_(last_success|poll_interval|up)"
)
_LINE: Final = re.compile(r"(?P<series>.*) (?P<value>\S+) (?P<moment>\S+)\n")
_EXPRESSION: Final = re.compile(r"expr: .*, time: (?P<time>\S+?),?$")
_SAMPLE: Final = re.compile(
    r"\{__name__=\"(?P<name>[^\"]*)\"(?:, )?(?P<labels>(?:[^\"{}]|\"(?:[^\"\\]|\\.)*\")*)\} (?P<value>[-+0-9.eEInfNa]+)"
)
_MOMENTS: Final = ("_timestamp_seconds", "ALERTS_FOR_STATE")
_SPACE: Final = re.compile(r'", (?=\w+=")')
"""The separator between labels, which promtool writes but does not read."""
_INTERVAL: Final = re.compile(r"^(    interval: ).*$", re.MULTILINE)
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_A_QUERY: Final = "  - {{expr: {}, eval_time: {}s, exp_samples: [{{labels: 'nothing', value: 0}}]}}"


def recorded_lines(
    story: Story, lines: Iterable[str], rules: Sequence[Path], *, days: float, every: int = PACE
) -> Iterator[str]:
    """Yield the lines that the rules would have written in the last days of the story, after these lines.

    The engine is slow, so omit what it does not need.
    """
    first = int(story.end - days * DAY - story.start) // every * every
    moments = range(first, int(story.end - story.start) + 1, every)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.yml"
        paced = [_at_our_pace(rule, Path(folder)) for rule in rules]
        path.write_text("\n".join(_document(story, lines, paced, moments)), encoding="utf-8")
        command = ["promtool", "test", "rules", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as engine:  # noqa: S603 - our own file
            yield from _written(engine.stdout or (), story.start)


def _at_our_pace(rules: Path, folder: Path) -> Path:
    """Write a copy of the rules whose groups are evaluated when there are samples, and not between them."""
    paced = folder / rules.name
    paced.write_text(_INTERVAL.sub(rf"\g<1>{PACE}s", rules.read_text(encoding="utf-8")), encoding="utf-8")
    return paced


def _document(story: Story, lines: Iterable[str], rules: Sequence[Path], moments: Iterable[int]) -> Iterator[str]:
    yield f"rule_files: {json.dumps([str(path.resolve()) for path in rules])}"
    yield f"evaluation_interval: {PACE}s"
    yield "tests:"
    yield f"- interval: {PACE}s"
    yield "  input_series:"
    count = len(story.moments) * STEP // PACE + 1
    for series, values in _by_series(lines, story.start).items():
        yield f"  - series: {json.dumps(series)}"
        yield f"    values: {json.dumps(_notation(values, count))}"
    yield "  promql_expr_test:"
    for at in moments:
        yield _A_QUERY.format(json.dumps(WRITTEN), at)


def _by_series(lines: Iterable[str], start: float) -> Mapping[str, Mapping[int, float]]:
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for text in lines:
        if _NEEDED.match(text) and (match := _LINE.fullmatch(text)):
            passed = round(float(match["moment"]) - start)
            if passed % PACE == 0:
                shift = start if "_timestamp_seconds{" in match["series"] else 0
                found[match["series"]][passed // PACE] = float(match["value"]) - shift
    return found


def _notation(values: Mapping[int, float], count: int) -> str:
    words = []
    gone = True
    for number in range(count):
        if number in values:
            words.append(f"{values[number]:.10g}")
            gone = False
        else:
            words.append("_" if gone else "stale")
            gone = True
    return " ".join(words)


def _written(output: Iterable[str], start: float) -> Iterator[str]:
    moment = 0
    for text in output:
        if match := _EXPRESSION.search(text):
            moment = sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([wdhms])", match["time"]))
        elif "got:" in text:
            for sample in _SAMPLE.finditer(text.partition("got:")[2]):
                value = float(sample["value"]) + (start if sample["name"].endswith(_MOMENTS) else 0)
                labels = _SPACE.sub('",', sample["labels"])
                for held in range(moment, moment + PACE, STEP):
                    yield f"{sample['name']}{{{labels}}} {value:.13g} {start + held:.3f}\n"
