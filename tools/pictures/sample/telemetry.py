"""The sample exporter's own metrics at a given time."""

import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from tools.pictures.sample.story import STEP, Story

Sample = tuple[str, Mapping[str, str], float]

OUTCOMES: Final = (
    "success", "unauthorized", "forbidden", "bad_request", "not_found", "rate_limited", "server_error", "timeout",
    "connection_error", "invalid_response", "incomplete", "internal_error",
)  # fmt: skip
_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf)
_REQUESTS: Final = (0.1, 0.55, 0.9, 0.97, 0.995, 0.999, 1.0, 1.0, 1.0)
_POLLS: Final = (0.02, 0.3, 0.75, 0.9, 0.97, 0.995, 0.999, 1.0, 1.0)
_LIMIT: Final = 600
_LINKS: Final[Mapping[str, str]] = MappingProxyType({"endpoint": "links"})


def telemetry(story: Story, moment: float, since: float, version: int) -> Iterator[Sample]:
    """Yield the exporter's own samples of the process that has run since then."""
    ids = [automation.id for automation in story.automations if story.configured(automation.id, moment)]
    polled = [
        (max(since, one.started), min(moment, story.left.get(one.id, moment)))
        for one in story.automations
        if one.started <= moment
    ]
    down = any(begin <= moment < until for begin, until in story.outages)
    yield from _identity(moment, since, version)
    for identity in ids:
        labels = {"automation_id": identity}
        yield "sendgrid_exporter_automation_up", labels, 0 if down else 1
        yield (
            "sendgrid_exporter_automation_last_success_timestamp_seconds",
            labels,
            _last_success(story, identity, moment),
        )
        yield "sendgrid_exporter_automation_poll_interval_seconds", labels, STEP
        yield "sendgrid_exporter_clicks_decreased_total", labels, 0
    polls = sum((until - begin) / STEP + 1 for begin, until in polled if begin <= until)
    yield from _polls(polls, sum(_failed(story, begin, until) for begin, until in polled))
    yield from _budget(moment, len(ids))
    links = sum(len(source.rows(moment)) for identity in ids if (source := story.simulator.account.source(identity)))
    yield "sendgrid_exporter_link_series", {}, links if story.watched(moment) else 0
    yield (
        "sendgrid_exporter_links_folded_total",
        {},
        max(0.0, (moment - max(story.rest, since)) / STEP) if story.rest else 0,
    )
    yield "sendgrid_exporter_count_mismatches_total", {}, 0
    yield from _process(moment, since, links)


def _last_success(story: Story, identity: str, moment: float) -> float:
    phase = int(identity[:4], 16) % STEP
    for begin, until in story.outages:
        if begin <= moment < until:
            return begin - phase
    return moment - phase


def _failed(story: Story, since: float, moment: float) -> float:
    """Return each automation's polls that failed in an outage during this process's life."""
    return sum(max(0.0, min(moment, until) - max(begin, since)) // STEP for begin, until in story.outages)


def _identity(moment: float, since: float, version: int) -> Iterator[Sample]:
    build = {"version": f"0.{version + 1}.0", "revision": f"{version:07x}", "python_version": "3.13.1"}
    yield "up", {}, 1
    yield "sendgrid_exporter_build_info", build, 1
    yield "sendgrid_exporter_shard_info", {"index": "0", "total": "1"}, 1
    yield "sendgrid_exporter_config_last_reload_successful", {}, 1
    yield "sendgrid_exporter_config_last_reload_success_timestamp_seconds", {}, since
    yield "sendgrid_exporter_web_config_last_reload_successful", {}, 1
    yield "sendgrid_exporter_web_failed_logins_total", {}, 0
    yield "scrape_duration_seconds", {}, 0.004 + 0.001 * math.sin(moment / 4_000)


def _polls(polls: float, failed: float) -> Iterator[Sample]:
    for outcome in OUTCOMES:
        count = {"success": polls - failed, "server_error": failed, "timeout": polls // 900}.get(outcome, 0)
        yield "sendgrid_exporter_polls_total", {"outcome": outcome}, count
    for code, count in (("200", (polls - failed) * 1.25), ("503", failed * 3), ("none", polls // 900)):
        yield "sendgrid_exporter_api_requests_total", {**_LINKS, "code": code}, count
    yield from _histogram("sendgrid_exporter_api_request_duration_seconds", polls * 1.25, _REQUESTS, _LINKS)
    yield from _histogram("sendgrid_exporter_poll_duration_seconds", polls, _POLLS)


def _histogram(
    name: str, count: float, parts: tuple[float, ...], labels: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Sample]:
    for bound, part in zip(_BUCKETS, parts, strict=True):
        yield f"{name}_bucket", {**labels, "le": "+Inf" if bound == math.inf else str(bound)}, count * part
    yield f"{name}_sum", labels, count * 0.2
    yield f"{name}_count", labels, count


def _budget(moment: float, automations: int) -> Iterator[Sample]:
    used = automations * 1.25 * (1 + 0.5 * math.sin(moment / 7_000))
    yield "sendgrid_exporter_api_rate_limit", {**_LINKS, "kind": "limit"}, _LIMIT
    yield "sendgrid_exporter_api_rate_limit", {**_LINKS, "kind": "remaining"}, round(_LIMIT - used)
    yield "sendgrid_exporter_api_rate_limit_reset_timestamp_seconds", _LINKS, moment - moment % 60 + 60


def _process(moment: float, since: float, links: int) -> Iterator[Sample]:
    settled = 1 - math.exp(-(moment - since) / 7_200)
    yield "process_resident_memory_bytes", {}, 52e6 + 9e6 * settled + 4_000 * links
    yield "process_cpu_seconds_total", {}, 1.5 + (moment - since) * 0.004 + 10 * math.sin(moment / 40_000)
    yield "process_open_fds", {}, 14
    yield "process_start_time_seconds", {}, since
    yield "scrape_samples_scraped", {}, 140 + links
