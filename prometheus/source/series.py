"""Names of recorded series, windows and thresholds that rules and dashboards share."""

from __future__ import annotations

from dataclasses import dataclass

AUTOMATION = "job, automation_id"
OF_AUTOMATION = f"on ({AUTOMATION}) group_left ()"
"""Joins what is known of an automation to its links, steps or windows."""


WINDOWS = {"1h": 1.0, "80m": 4 / 3, "2h": 2.0, "5h": 5.0, "14h": 14.0, "24h": 24.0, "72h": 72.0}
"""The windows that are judged at once; which of them decides depends on the clicks expected in it."""

HOURLY_VARIANCE = 0.045
"""Relative variance of one hour's clicks around the expectation: 20 % from hour to hour, and the baseline's own."""

LEVEL_VARIANCE = 0.01
"""Relative variance that no longer window takes away: weeks differ."""

SHARE_VARIANCE = 0.03
"""Relative variance of a share around what it was in the week before."""

ASKED_OF_AN_HOUR, LESS_BY_LENGTH = 1.02, 0.06
"""What a window's evidence is divided by, and how much less by the logarithm of its hours: long ones err less often."""

TRIALS = 5.5
"""Minus the logarithm of how often chance may end a link or a step in a week, before its clicks are counted in."""

MEMORY_HOURS = 3
"""How long Prometheus may be away and sums go on where they were."""

BURST = 1.6
"""How many times the expected clicks count as evidence against a silent link; more is a burst that tells nothing of it."""

GAINED = "job_automation:sendgrid_clicks:gained"
CREDITED = "job_automation:sendgrid_clicks:credited"
WEEK = "job_automation:sendgrid_clicks:week"
COUNTED = "job_automation:sendgrid_clicks:counted"
TOTAL = "job_automation:sendgrid_clicks:total"
RATE = "job_automation:sendgrid_clicks:expected_rate"
UNALIKE = "job_automation:sendgrid_clicks:weeks_unalike"
SUM = "job_automation:sendgrid_clicks:expected_sum"
LEVEL = "job_automation:sendgrid_clicks:level"
SCALE = "job_automation:sendgrid_clicks:scale"
STEP_HOURS = "sendgrid:click_clock:step_hours"
CLOCK = "sendgrid:click_clock:timestamp_seconds"
HELD = "job_automation:sendgrid_clicks:held"
MOVED = "job_automation:sendgrid_clicks:last_moved_timestamp_seconds"
INTERVAL = "job_automation:sendgrid_poll_interval:seconds"
FRESH = "job_automation:sendgrid_data:fresh"
SEEN = "job_automation:sendgrid_data:seen_timestamp_seconds"
STANDSTILL = "job:sendgrid_standstill:automations"
STANDSTILL_SINCE = "job:sendgrid_standstill:since_timestamp_seconds"
STATE = "job_automation:sendgrid_click_drop:state"
JUDGEABLE = "job_automation:sendgrid_click_drop:judgeable"
CALM = "job_automation:sendgrid_click_drop:calm"
OBSERVED = "job_automation_window:sendgrid_clicks:observed"
EXPECTED = "job_automation_window:sendgrid_clicks:expected"
SCORE = "job_automation_window:sendgrid_clicks:score"
SHORT = "job_automation_window:sendgrid_clicks:short"
SHORT_EXPECTED = "job_automation_window:sendgrid_clicks:short_expected"
LOW = "job_automation_window:sendgrid_clicks:low"
STALE = f"({SEEN} unless {FRESH})"


@dataclass(frozen=True)
class Level:
    """What can fall silent while its automation goes on."""

    what: str
    prefix: str
    labels: str

    def series(self, name: str) -> str:
        """Return the name of a recorded series of this level."""
        return f"{self.prefix}:sendgrid_clicks:{name}"


STEP = Level("step", "job_step", f"{AUTOMATION}, step_id")
LINK = Level("link", "job_link", f"{AUTOMATION}, step_id, url, url_location")
BESIDE_LARGEST = STEP.series("beside_largest_link")


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


RATIO = Threshold("ratio", "0.5", "Alert only when clicks are below this part of what is expected. 0 mutes the totals.")
SENSITIVITY = Threshold(
    "sensitivity",
    "10",
    "Alert when the evidence reaches this. Each unit more makes false alarms two to three times rarer.",
)
MINIMUM = Threshold("minimum", "10", "Look only at windows in which at least this many clicks are expected.")
THRESHOLDS = (RATIO, SENSITIVITY, MINIMUM)
