"""The panels on the exporter's series, scrapes, memory, reloads and versions."""

from typing import Final

from grafana_foundation_sdk.builders import timeseries

from tools.dashboards import promql
from tools.dashboards.palette import Colour
from tools.dashboards.panels import Text, coloured, lines, query, stacked, told_apart

JOB: Final = f"{{{promql.JOB}}}"
MORE: Final = 5
"""Versions older than the newest, in grey."""


def series() -> timeseries.Panel:
    """Show how many series of links are published."""
    text = Text("Series of links", "Published link series, by instance.", "locale")
    target = query(f"sum by (instance) (sendgrid_exporter_link_series{JOB})", legend="{{instance}}")
    return lines(text, [target])


def folded() -> timeseries.Panel:
    """Show how many links enter the overflow row."""
    text = Text(
        "Links folded into the rest",
        "Rows per hour that entered the overflow row, because an automation has too many links.",
        "short",
    )
    folded = f"sum by (job) (rate(sendgrid_exporter_links_folded_total{JOB}[$__rate_interval])) * 3600"
    return coloured(lines(text, [query(folded, legend="Folded")]), {"Folded": Colour.NOW})


def corrections() -> timeseries.Panel:
    """Show how often numbers fell or did not add up."""
    text = Text(
        "Numbers that fell or did not add up",
        "Polls per hour in which a number fell, or in which the rows and SendGrid's own count differed.",
        "short",
    )
    fell = f"sum(rate(sendgrid_exporter_clicks_decreased_total{JOB}[$__rate_interval])) * 3600"
    differed = f"sum(rate(sendgrid_exporter_count_mismatches_total{JOB}[$__rate_interval])) * 3600"
    targets = [query(fell, "A", legend="Fell"), query(differed, "B", legend="Did not add up")]
    return coloured(lines(text, targets), {"Fell": Colour.NOW, "Did not add up": Colour.LAST_WEEK})


def _ours(expression: str) -> str:
    """Return the series of the scrape targets that are this exporter."""
    return f"{expression} and on (job, instance) sendgrid_exporter_build_info{JOB}"


def scrape_duration() -> timeseries.Panel:
    """Show how long a scrape takes."""
    text = Text("Scrape duration", "Time that Prometheus took for a scrape.", "s")
    return lines(text, [query(_ours(f"scrape_duration_seconds{JOB}"), legend="{{instance}}")])


def samples() -> timeseries.Panel:
    """Show how many samples a scrape has."""
    text = Text("Samples per scrape", "Samples in one scrape.", "locale")
    return lines(text, [query(_ours(f"scrape_samples_scraped{JOB}"), legend="{{instance}}")])


def memory() -> timeseries.Panel:
    """Show how much memory the process holds."""
    text = Text("Memory", "Resident memory of the process.", "bytes")
    return lines(text, [query(_ours(f"process_resident_memory_bytes{JOB}"), legend="{{instance}}")])


def processor() -> timeseries.Panel:
    """Show how much of a core the process uses."""
    text = Text("Processor", "Share of one processor core.", "percentunit")
    used = f"rate(process_cpu_seconds_total{JOB}[$__rate_interval])"
    return lines(text, [query(_ours(used), legend="{{instance}}")])


def reloads() -> timeseries.Panel:
    """Show whether reloads of the configuration succeed."""
    text = Text("Reloads", "1 while the last reload succeeded, 0 after one that failed.", "short")
    target = query(f"sendgrid_exporter_config_last_reload_successful{JOB}", legend="{{instance}}")
    return lines(text, [target], legend=("lastNotNull", "min")).max(1).decimals(0)


def versions() -> timeseries.Panel:
    """Show which versions run."""
    text = Text("Version over time", "Instances per version; the three newest, others in grey.", "short")
    info = f"sendgrid_exporter_build_info{JOB}"
    begun = f"min by (version) (min_over_time(timestamp({info})[$__range:$__interval] @ end()))"
    newest, others = promql.ranked(f"count by (version) ({info})", begun, "version", MORE, hues=3)
    return stacked(told_apart(text, newest, others, "{{version}}")).decimals(0)
