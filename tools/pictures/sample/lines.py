"""The sample as OpenMetrics lines with timestamps, for `promtool tsdb create-blocks-from openmetrics`."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from tools.pictures.sample.account import account
from tools.pictures.sample.history import history_lines
from tools.pictures.sample.story import JOB, STEP, Story
from tools.pictures.sample.telemetry import telemetry

Labels = Mapping[str, str]


def every_line(story: Story) -> Iterator[str]:
    """Yield the lines of every series, as a Prometheus would have stored them, and the end of the text."""
    yield from click_lines(story)
    for since, until, version in lives(story):
        target = {"job": JOB, "instance": instance(version)}
        for moment in story.moments:
            if since <= moment < until:
                for name, labels, value in telemetry(story, moment, since, version):
                    yield line(name, {**labels, **target}, value, moment)
    yield from _account_lines(story)
    yield "# EOF\n"


def click_lines(story: Story) -> Iterator[str]:
    """Yield the lines of the click metrics, without those that were not watched and those while a rollout ran."""
    for since, until, version in lives(story):
        target = {"job": JOB, "instance": instance(version)}
        last = min(until - STEP, story.end)
        for text in history_lines(story.simulator, since, last, STEP, target):
            if text.startswith("#"):
                continue
            moment = float(text.rsplit(" ", 1)[1])
            if not story.configured(text.split('automation_id="', 1)[1].split('"', 1)[0], moment):
                continue
            if text.startswith("automation_info") or story.watched(moment):
                yield text


def _account_lines(story: Story) -> Iterator[str]:
    """Yield the lines of the account, with the instance of the process that runs at the time."""
    running = [*lives(story)]
    for moment, (name, labels, value) in account(story):
        (version,) = (number for since, until, number in running if since <= moment < until)
        yield line(name, {**labels, "job": JOB, "instance": instance(version)}, value, moment)


def lives(story: Story) -> Iterator[tuple[float, float, int]]:
    """Yield the lives of the exporter's process: from, until, and the number of its version."""
    borders = [story.start, *story.rollouts, story.end + STEP]
    for number, (since, until) in enumerate(pairwise(borders)):
        yield since, until, number


def instance(version: int) -> str:
    """Return the instance name of a version's pod."""
    return f"10.0.{version}.17:10154"


def line(name: str, labels: Labels, value: float, moment: float) -> str:
    """Return one sample."""
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
    return f"{name}{{{inside}}} {value:.10g} {moment:.3f}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
