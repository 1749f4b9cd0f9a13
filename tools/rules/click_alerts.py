"""Alerts on clicks, and their messages."""

from __future__ import annotations

from collections.abc import Iterator

from tools.rules import parts, totals
from tools.rules.rules import Alert, read
from tools.rules.sentences import (
    ACCOUNT_BOARD,
    AUTOMATION_BOARD,
    CLICKS,
    LINK_BOARD,
    NAME,
    PART_CLICKS,
    PLACE,
    STEP_BOARD,
    STEP_NAME,
    WHY,
    last_clicks,
    since,
)
from tools.rules.series import (
    AUTOMATION,
    CONFIGURED,
    DELIVERIES_SINCE,
    MAILS,
    MAILS_LAST_WEEK,
    MISSED_SQUARED,
    MOVED,
    OF_AUTOMATION,
    PART,
    PART_COUNTED,
    PART_SCORE,
    SENSITIVITY,
    SINCE,
    UNSENT,
    USUAL_SQUARED,
    WINDOW,
)

DAY = 86400
NO_MAILS, UNLIKE_AT_MOST, MAILS_AT_LEAST, MAILS_HOLD_MINUTES = 0.1, 0.15, 50, 45
"""Mails have stopped below this fraction of the usual ones, if the automation's weeks are similar and at least so many are usual."""


def of_automations() -> Iterator[Alert]:
    """Return the alerts on automations and accounts."""
    stopped = f'{SINCE}{{kind="stopped"}}'
    silence = f"* 0 + on ({AUTOMATION}) group_left () (time() - {MOVED})"
    yield Alert(
        "SendGridAutomationClicksStopped",
        f"max without (kind) ({stopped} > time() - {DAY}) {silence}",
        "critical",
        f"Clicks on the automation {NAME} have stopped.",
        f"The automation {NAME} has had no clicks for {{{{ $value | humanizeDuration }}}}{since(MOVED)}.{CLICKS}{WHY} "
        "First check whether it still sends mail, then whether its links were edited or removed.",
        AUTOMATION_BOARD,
        "No more clicks.",
    )
    yield Alert(
        "SendGridAutomationClicksStopped",
        f"max without (kind) ({stopped} <= time() - {DAY}) {silence}",
        "warning",
        f"Clicks on the automation {NAME} stopped more than a day ago.",
        f"The automation {NAME} has had no clicks for {{{{ $value | humanizeDuration }}}}{since(MOVED)}. If it is paused on purpose, "
        "silence automation_id={{ $labels.automation_id }} or remove it from the exporter's configuration; otherwise the alert ends a week after the stop.",
        AUTOMATION_BOARD,
        "The same after a day: by then it is known, and needs no page at night.",
    )
    yield Alert(
        "SendGridAutomationClicksDropped",
        f'max without (kind) (time() - {SINCE}{{kind="dropped"}}) unless on ({AUTOMATION}) {stopped}',
        "warning",
        f"Clicks on the automation {NAME} have dropped.",
        f"The automation {NAME} has had far fewer clicks than usual; detected {{{{ $value | humanizeDuration }}}} ago.{CLICKS}{WHY} "
        "First check whether it sends as much mail as before, then which step or link lost clicks.",
        AUTOMATION_BOARD,
        "Far fewer clicks than in the last two weeks.",
    )
    both = f"({MAILS_LAST_WEEK} < on ({WINDOW}) {MAILS_LAST_WEEK} offset 1w or on ({WINDOW}) ({MAILS_LAST_WEEK} offset 1w and on ({WINDOW}) {MAILS_LAST_WEEK}))"
    which = '{window=~"1h|24h"}'
    missed, usual = (f"avg_over_time({name}{which}[1d] offset 1d)" for name in (MISSED_SQUARED, USUAL_SQUARED))
    unlike = f"{missed} / on ({WINDOW}) {usual}"
    yield Alert(
        "SendGridAutomationStoppedSending",
        f"""\
max by ({AUTOMATION}) ({MAILS}{which} < on ({WINDOW}) ({NO_MAILS} * ({both} >= {MAILS_AT_LEAST}))
  and on ({WINDOW})
    {unlike} < {UNLIKE_AT_MOST})
and on ({AUTOMATION})
  {CONFIGURED} unless on ({AUTOMATION}) {read(f'{DELIVERIES_SINCE}{{kind="stopped"}}')} unless on (job) {read(UNSENT)}""",
        "critical",
        f"The automation {NAME} sends no mail.",
        f'The automation {NAME} delivered {{{{ $value | printf "%.0f" }}}} mail{{{{ if ne $value 1.0 }}}}s{{{{ end }}}} in seven hours or longer'
        f'{{{{ with printf "{MAILS_LAST_WEEK}{{job=%q,automation_id=%q,window=%q}}" $labels.job $labels.automation_id "1h" | query }}}}; '
        'about {{ . | first | value | printf "%.0f" }} in seven hours were usual at this time last week{{ end }}. '
        "First check whether it is live and people still enter it.",
        AUTOMATION_BOARD,
        "Almost none of the mails usual in the last two weeks were sent; only for automations whose weeks are similar.",
        labels={"cause": "fewer_mails"},
        hold=f"{MAILS_HOLD_MINUTES}m",
    )
    yield Alert(
        "SendGridAccountClicksStopped",
        totals.silent_account(),
        "critical",
        "Most automations of the account have no clicks.",
        "{{ $value }} automation{{ if ne $value 1.0 }}s{{ end }} of {{ $labels.job }}, most of those that usually have clicks at this time, {{ if eq $value 1.0 }}has{{ else }}have{{ end }} had none for two hours or more"
        f'{{{{ with printf "quantile by (job) (0.5, {MOVED}{{job=%q}})" $labels.job | query }}}} (since about {{{{ . | first | value | humanizeTimestamp }}}}){{{{ end }}}}. '
        "First check SendGrid's status page (its statistics may be delayed), then your tracking domain: links that do not open count no clicks. "
        "The automations are not reported individually while this lasts.",
        ACCOUNT_BOARD,
        "One alert instead of one per automation: most have no clicks in two hours or more that usually bring some.",
        hold="30m",
    )


def of_parts() -> Iterator[Alert]:
    """Return the alerts on links and steps."""
    sensitivity = read(SENSITIVITY.record)
    dead = f"max by ({PART}) (max_over_time({PART_SCORE}{{{parts.NOT_REST}}}[2h])) >= {OF_AUTOMATION} {sensitivity} and on ({PART}) {PART_COUNTED}"
    yield Alert(
        "SendGridStepClicksStopped",
        f"{dead}{{{parts.STEPS}}}",
        "warning",
        f"The step {STEP_NAME} of the automation {NAME} has lost its clicks.",
        f"The step {STEP_NAME} of the automation {NAME} gets hardly any clicks, while the others still get theirs.{PART_CLICKS} "
        "First check whether it still sends; if it was switched off on purpose, silence step_id={{ $labels.step_id }}.",
        STEP_BOARD,
        "A step that has lost its share of the automation's clicks.",
    )
    yield Alert(
        "SendGridLinkClicksStopped",
        f"{dead}{{{parts.LINKS}}}",
        "warning",
        f"The link {{{{ $labels.url }}}} of the automation {NAME} has lost its clicks.",
        f"The link {{{{ $labels.url }}}}{PLACE} in the step {STEP_NAME} of the automation {NAME} gets hardly any clicks, while the others still get theirs.{PART_CLICKS}{last_clicks()} "
        "First check whether the mail still contains it: a link that was edited, removed or hidden loses its clicks; one with a broken page does not.",
        LINK_BOARD,
        "A link that has lost its share of the automation's clicks, and no newer link at its position has taken them.",
    )
    yield Alert(
        "SendGridLinkReplaced",
        parts.replaced(),
        "info",
        f"The link {{{{ $labels.url }}}} of the automation {NAME} was replaced.",
        f"The link {{{{ $labels.url }}}}{PLACE} in the step {STEP_NAME} of the automation {NAME} no longer gets clicks: a newer link at the same position does. Nothing to do if you edited it.",
        LINK_BOARD,
        "It lost its clicks to a newer link at the same position.",
    )
