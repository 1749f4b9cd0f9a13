"""What the exporter of the sample publishes of the account: mails by automation and step, names of steps, pages."""

from collections.abc import Iterator, Mapping
from typing import Final

from sendgrid_simulator import Source, Stats
from tools.pictures.sample.story import STEP, Story

Sample = tuple[str, Mapping[str, str], float]

SHOWN: Final = ("delivered", "clicks", "unique_clicks", "unsubscribes")
"""The counts that dashboards or rules read, out of twelve."""
PACE: Final = 3 * STEP
"""The interval between two reads of the statistics."""


def account(story: Story) -> Iterator[tuple[float, Sample]]:
    """Yield the samples with their times, while the exporter publishes them."""
    sources = [found for one in story.listed if (found := story.simulator.account.source(one.id))]
    stray = {one.id for one in story.unwatched}
    read: list[Sample] = []
    for moment in story.moments:
        if not read or moment % PACE == 0:
            there = [
                one for one in sources if story.configured(one.automation.id, moment) or one.automation.id in stray
            ]
            read = [sample for source in there if source.known(moment) for sample in _counts(source, moment)]
        if story.watched(moment):
            yield from ((moment, sample) for sample in read)
        yield from ((moment, sample) for sample in _described(story, moment))


def _counts(source: Source, moment: float) -> Iterator[Sample]:
    by_step = source.stats(moment)
    own = {"automation_id": source.automation.id}
    yield from _shown("sendgrid_automation", own, [*by_step.values()])
    for step_id, stats in by_step.items():
        yield from _shown("sendgrid_automation_step", {**own, "step_id": step_id}, [stats])


def _shown(prefix: str, labels: Mapping[str, str], counts: list[Stats]) -> Iterator[Sample]:
    for stat in SHOWN:
        yield f"{prefix}_{stat}", labels, sum(getattr(one, stat) for one in counts)


def _described(story: Story, moment: float) -> Iterator[Sample]:
    for one in story.automations:
        if story.configured(one.id, moment):
            own = {"automation_id": one.id}
            yield "automation_page_info", {**own, "url": f"https://mc.sendgrid.com/automations/{one.id}/detail"}, 1
            for step_id in one.step_ids:
                if step_id in story.step_names:
                    yield "automation_step_info", {**own, "step_id": step_id, "name": story.step_names[step_id]}, 1
    if story.unwatched:
        for state, count in (("polled", len(story.automations)), ("unwatched", len(story.unwatched))):
            yield "sendgrid_exporter_discovered_automations", {"state": state}, count
