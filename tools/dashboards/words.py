"""The alerts in plain words, and what the dashboards find without alerts."""

from dataclasses import dataclass
from typing import Final

from tools.dashboards.palette import Colour


@dataclass(frozen=True, slots=True)
class Problem:
    """An alert in words, its color by urgency, and the page that explains it."""

    words: str
    colour: str = Colour.LOOK
    page: str = "alerts.md"

    def anchor(self, alert: str) -> str:
        """Return the heading's anchor on the page, as GitHub and most others form it."""
        return f"#{alert.lower()}" if alert.startswith("SendGrid") else "#without-the-rules"


ACCOUNTS: Final = "SendGridAccount(Clicks|)Stopped.*"
"""The alerts on the whole account, as a pattern."""
NOT_JUDGED: Final = "NoRules"
TOO_YOUNG: Final = "TooYoung"
NOTHING_WATCHED: Final = "NothingWatched"
FELL: Final = "ClicksFell"
"""Found by the panel without the rules: at most half of the clicks of the same day a week ago."""
SILENT: Final = "LinkSilent"
"""Found by the page of an automation without the rules: links that lost all their clicks."""

_OURS: Final = "dashboards.md"

PROBLEMS: Final = {
    "SendGridLinkBroken": Problem("Link broken", Colour.ACT, "links.md"),
    "SendGridLinkClicksStopped": Problem("Link dead", Colour.ACT),
    "SendGridStepClicksStopped": Problem("Step dead", Colour.ACT),
    "SendGridAutomationClicksStopped": Problem("Clicks stopped", Colour.ACT),
    "SendGridAutomationClicksDropped": Problem("Clicks dropped"),
    "SendGridAutomationStoppedSending": Problem("Mails stopped", Colour.ACT),
    "SendGridAccountClicksStopped": Problem("All clicks stopped", Colour.ACT),
    "SendGridAccountStoppedSending": Problem("All mails stopped", Colour.ACT),
    "SendGridAutomationUnwatched": Problem("Automation not watched"),
    "SendGridExporterDown": Problem("Exporter down", Colour.ACT),
    "SendGridExporterDataStale": Problem("Numbers are old"),
    "SendGridExporterNeverRead": Problem("Never read"),
    "SendGridExporterAutomationRefused": Problem("Automation refused"),
    "SendGridExporterKeyRefused": Problem("API key refused", Colour.ACT),
    "SendGridExporterRateLimited": Problem("Requests limited"),
    "SendGridExporterLinksFolded": Problem("Too many links"),
    "SendGridExporterReloadFailed": Problem("Reload failed"),
    "SendGridExporterShardMissing": Problem("Shard missing", Colour.ACT),
    "SendGridExporterShardsDisagree": Problem("Shards disagree"),
    "SendGridExporterStateFailing": Problem("State not saved"),
    "SendGridExporterLogLinesDropped": Problem("Log incomplete"),
    "SendGridExporterListUnreadable": Problem("Account unreadable"),
    "SendGridExporterAutomationsOverCap": Problem("Too many automations"),
    FELL: Problem("Clicks fell by half", page=_OURS),
    SILENT: Problem("Link without clicks", page=_OURS),
    NOT_JUDGED: Problem("No rules loaded", page=_OURS),
    TOO_YOUNG: Problem("Judged after 9 days", Colour.QUIET, _OURS),
    NOTHING_WATCHED: Problem("Nothing is watched", page=_OURS),
}

CAUSES: Final = {"fewer_mails": "Fewer mails", "fewer_clicks": "Fewer clicks"}
"""Why clicks dropped, by the alert's label cause, if it has one."""
