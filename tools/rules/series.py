"""Names of recorded series, windows and constants that rules, dashboards and the backtest share."""

from __future__ import annotations

from dataclasses import dataclass

AUTOMATION = "job, automation_id"
WINDOW = f"{AUTOMATION}, window"
PART = f"{AUTOMATION}, step_id, url, url_location"
"""A link, or a whole step: then url and url_location are empty."""
PART_WINDOW = f"{PART}, window"
OF_AUTOMATION = f"on ({AUTOMATION}) group_left ()"
"""Joins what is known of an automation to its parts or windows."""

WINDOWS = {"1h": 1.0, "2h": 2.0, "3h": 3.0, "8h": 8.0, "24h": 24.0, "72h": 72.0}
"""The windows in which an automation is judged, in hours; which of them decides depends on the clicks usual in it."""

PART_WINDOWS = {"30m": 0.5, "90m": 1.5, "8h": 8.0, "24h": 24.0, "72h": 72.0}
"""The windows in which links and steps are judged, in hours."""

USUAL_VARIANCE = 0.3
"""Relative variance of the usual clicks because they are a count themselves, times that count."""

LEVEL_VARIANCE, HOURLY_VARIANCE = 0.01, 0.015
"""Relative variance that every automation is given: of any window, and by how much more in an hour."""

UNLIKE_WEIGHT, UNLIKE_STEEPNESS = 0.1, 8
"""How an automation's own unlikeness from week to week adds to that: weight * (exp(steepness * share) - 1)."""

ASKED, LESS_BY_LENGTH = 1.04, 0.06
"""What a window's evidence is divided by, and how much less by the logarithm of its hours: long ones err less often."""

PART_ASKED, PART_LESS_BY_LENGTH = 1.28, 0.1
"""The same for links and steps, of which there are many."""

SHARE_VARIANCE = 0.01
"""Relative variance of a share around what it was in earlier weeks."""

SHARE_DOUBT = 0.3
"""Relative variance of what is expected of a part because it is a count itself, times that count."""

PART_UNLIKE_WEIGHT = 0.2
"""How a part's own unevenness adds to that, as an automation's unlikeness does."""

UNEVEN_HOURS, UNEVEN_SAMPLES = 4, 200
"""The window in which a part's unevenness is measured, and over how many evaluations of half an hour."""

MORE_THAN_LAST_WEEK, CLICKS_MORE = 1.5, 3
"""How much more can be expected of a part than it had in the same window last week."""

MAIL_LAG_HOURS = 6
"""How much longer than the clicks' own window the mails are counted from that the clicks came from."""

COUNTED = "job_automation:sendgrid_clicks:counted"
HELD = "job_automation:sendgrid_clicks:held"
TOTAL = "job_automation:sendgrid_clicks:total"
MOVED = "job_automation:sendgrid_clicks:last_moved_timestamp_seconds"
INTERVAL = "job_automation:sendgrid_poll_interval:seconds"
FRESH = "job_automation:sendgrid_data:fresh"
CONFIGURED = "job_automation:sendgrid_data:configured"
TEAM = "job_automation:sendgrid_automation:team"
SHARDS = "job:sendgrid_exporter:shards"
HOURS = "sendgrid:click_window:hours"

OBSERVED = "job_automation_window:sendgrid_clicks:observed"
LAST_WEEK = "job_automation_window:sendgrid_clicks:last_week"
USUAL = "job_automation_window:sendgrid_clicks:usual"
MISSED_SQUARED = "job_automation_window:sendgrid_clicks:missed_squared"
USUAL_SQUARED = "job_automation_window:sendgrid_clicks:usual_squared"
LEVEL = "job_window:sendgrid_clicks:level"
EXPECTED = "job_automation_window:sendgrid_clicks:expected"
CERTAINTY = "job_automation_window:sendgrid_clicks:certainty"
SCORE = "job_automation_window:sendgrid_clicks:score"
LOW = "job_automation_window:sendgrid_clicks:low"
MISSING = "job_automation:sendgrid_click_drop:missing"
JUDGEABLE = "job_automation:sendgrid_click_drop:judgeable"
SINCE = "job_automation:sendgrid_click_drop:since_timestamp_seconds"

MAILS = "job_automation_window:sendgrid_mails:delivered"
MAILS_LAST_WEEK = "job_automation_window:sendgrid_mails:last_week"
CLICK_RATE = "job_automation_window:sendgrid_mails:click_rate"

DELIVERY_WINDOWS = {"1h": 1.0, "3h": 3.0, "8h": 8.0, "24h": 24.0, "72h": 72.0}
"""The windows in which deliveries are judged, in hours."""

STOP_WINDOWS, FALL_WINDOWS = ("1h", "3h"), ("8h", "24h", "72h")
"""Those in which a stop of sending shows soon, and those in which fewer mails than usual are no batch that is late."""

DELIVERIES = "job_automation:sendgrid_deliveries:total"
DELIVERIES_FRESH = "job_automation:sendgrid_deliveries:fresh"
DELIVERIES_MOVED = "job_automation:sendgrid_deliveries:last_moved_timestamp_seconds"
DELIVERIES_COUNTED = "job_automation:sendgrid_deliveries:counted"
DELIVERIES_OBSERVED = "job_automation_window:sendgrid_deliveries:observed"
DELIVERIES_LAST_WEEK = "job_automation_window:sendgrid_deliveries:last_week"
DELIVERIES_USUAL = "job_automation_window:sendgrid_deliveries:usual"
DELIVERIES_LEVEL = "job_window:sendgrid_deliveries:level"
DELIVERIES_EXPECTED = "job_automation_window:sendgrid_deliveries:expected"
UNLIKE = "job_automation_window:sendgrid_clicks:unlike"
DELIVERIES_CERTAINTY = "job_automation_window:sendgrid_deliveries:certainty"
DELIVERIES_SCORE = "job_automation_window:sendgrid_deliveries:score"
DELIVERIES_SINCE = "job_automation:sendgrid_delivery_drop:since_timestamp_seconds"
CAUSE = "job_automation:sendgrid_click_drop:cause"
UNSENT = "job:sendgrid_account:unsent_automations"

PART_TOTAL = "job_part:sendgrid_clicks:total"
PART_COUNTED = "job_part:sendgrid_clicks:counted"
PART_SUCCESSORS = "job_part:sendgrid_clicks:of_successors"
PART_UNLIKE = "job_part:sendgrid_clicks:uneven"
PART_SHARE = "job_part:sendgrid_clicks:share"
PART_ODDS = "job_part:sendgrid_clicks:odds"
PART_MOVED = "job_link:sendgrid_clicks:moved_timestamp_seconds"
PART_SHORT = "job_part_window:sendgrid_clicks:short"
PART_OBSERVED = "job_part_window:sendgrid_clicks:observed"
PART_EXPECTED = "job_part_window:sendgrid_clicks:expected"
PART_CERTAINTY = "job_part_window:sendgrid_clicks:certainty"
PART_SCORE = "job_part_window:sendgrid_clicks:score"


@dataclass(frozen=True)
class Threshold:
    """A number the user may set for all automations or for one."""

    name: str
    default: str
    why: str

    @property
    def record(self) -> str:
        """Return the series the alerts read."""
        return f"job_automation:sendgrid_click_drop:{self.name}"

    @property
    def override(self) -> str:
        """Return the series the user records."""
        return f"sendgrid:click_drop_{self.name}:override"


RATIO = Threshold("ratio", "0.5", "Alert only if clicks are below this fraction of those expected. 0 mutes the totals.")
SENSITIVITY = Threshold(
    "sensitivity",
    "10",
    "Alert when the evidence reaches this. Each additional unit makes false alarms two to three times rarer.",
)
MINIMUM = Threshold("minimum", "10", "Ignore windows in which fewer clicks than this are expected.")
THRESHOLDS = (RATIO, SENSITIVITY, MINIMUM)
