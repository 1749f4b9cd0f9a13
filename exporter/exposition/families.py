"""The metrics that are rendered per automation, with the blocks."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class MetricType(StrEnum):
    """The types of metric that the exporter renders itself."""

    GAUGE = "gauge"
    COUNTER = "counter"


@dataclass(frozen=True, slots=True)
class Family:
    """A metric: what stands above its samples."""

    name: str
    """The name of its samples; a counter's ends in `_total`."""
    type: MetricType
    help: str


LINK_CLICKS: Final = Family(
    "automation_link_clicks",
    MetricType.GAUGE,
    "Clicks on a link over the automation's life so far, as SendGrid counts them: read every poll interval and cached.",
)
TOTAL_CLICKS: Final = Family(
    "automation_total_clicks",
    MetricType.GAUGE,
    "All clicks over the automation's life so far, SendGrid's own total: read every poll interval and cached.",
)
INFO: Final = Family(
    "automation_info",
    MetricType.GAUGE,
    "A configured automation and its name; always 1, also while its data is stale.",
)
PAGE_INFO: Final = Family(
    "automation_page_info",
    MetricType.GAUGE,
    "The address of the automation's page in SendGrid's application as sendgrid.app_url gives it, by default a guess; "
    "always 1, absent where that is empty.",
)
STEP_INFO: Final = Family(
    "automation_step_info",
    MetricType.GAUGE,
    "A step of an automation and its name in the configuration; always 1, absent for steps without a name there.",
)
LABELS: Final = Family(
    "automation_labels",
    MetricType.GAUGE,
    "The automation's labels in the configuration, each as label_<name>; always 1, absent without any.",
)
UP: Final = Family(
    "sendgrid_exporter_automation_up",
    MetricType.GAUGE,
    "Whether the automation's last poll succeeded; absent before the first one.",
)
LAST_SUCCESS: Final = Family(
    "sendgrid_exporter_automation_last_success_timestamp_seconds",
    MetricType.GAUGE,
    "When the automation was last read from SendGrid, seconds since the epoch; absent before the first success.",
)
POLL_INTERVAL: Final = Family(
    "sendgrid_exporter_automation_poll_interval_seconds",
    MetricType.GAUGE,
    "The poll interval in effect for the automation: longer than configured when the budget or refusals require it.",
)
DECREASED: Final = Family(
    "sendgrid_exporter_clicks_decreased_total",
    MetricType.COUNTER,
    "Polls in which the automation's total or a published link had fewer clicks than before.",
)

PER_AUTOMATION: Final = (
    LINK_CLICKS,
    TOTAL_CLICKS,
    INFO,
    PAGE_INFO,
    STEP_INFO,
    LABELS,
    UP,
    LAST_SUCCESS,
    POLL_INTERVAL,
    DECREASED,
)
"""In the order of the exposition."""
