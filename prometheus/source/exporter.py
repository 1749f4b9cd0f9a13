"""Alerting rules on the exporter itself, as PromQL. They count automations and never name one in a label."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus.source.rules import Alert, Group
from prometheus.source.series import AUTOMATION

DASHBOARD = "/d/sendgrid-exporter"
LAST_SUCCESS = f"max by ({AUTOMATION}) (sendgrid_exporter_automation_last_success_timestamp_seconds)"
INTERVAL = f"max by ({AUTOMATION}) (sendgrid_exporter_automation_poll_interval_seconds)"


def groups() -> list[Group]:
    """Return the groups of the file on the exporter."""
    return [Group("sendgrid-exporter", list(_alerts()))]


def _alerts() -> Iterator[Alert]:
    yield Alert(
        "SendGridExporterDown",
        """\
  (
    group by (job) (last_over_time(sendgrid_exporter_build_info[1d]))
  or
    group by (job) (up{job=~".*sendgrid-automation-exporter.*"})
  )
unless
  group by (job) (sendgrid_exporter_build_info)""",
        "critical",
        "The SendGrid automation exporter is down.",
        "Prometheus reads nothing from {{ $labels.job }}. Click drops go unseen until it is back.",
        DASHBOARD,
        "Also when its pod and so its target are gone.",
        hold="10m",
    )
    yield Alert(
        "SendGridExporterDataStale",
        f"count by (job) (time() - {LAST_SUCCESS} > 3 * {INTERVAL})",
        "warning",
        "Data of {{ $value }} automations is stale.",
        f"""\
{{{{ $value }}}} automations have not been read for more than three of their intervals:
{{{{- with printf "time() - {LAST_SUCCESS} > 3 * {INTERVAL} and on (job) up{{job=%q}}" $labels.job | query }}}}
{{{{- range $i, $sample := . | sortByLabel "automation_id" }}}}{{{{ if $i }}}},{{{{ end }}}} {{{{ $sample.Labels.automation_id }}}}{{{{ end }}}}.
{{{{- end }}}}
Their alerts wait until they are read again.""",
        DASHBOARD,
        "Nothing is stale before its first success: an id that SendGrid does not know never had one.",
        hold="5m",
    )
    yield Alert(
        "SendGridExporterKeyRefused",
        'sum by (job) (increase(sendgrid_exporter_polls_total{outcome=~"unauthorized|forbidden"}[1h])) > 0',
        "critical",
        "SendGrid refuses the exporter's API key.",
        'SendGrid answered 401 or 403 to {{ $value | printf "%.0f" }} polls of {{ $labels.job }} in the last hour. See whether\n'
        "the key is still valid and may read marketing statistics.",
        DASHBOARD,
        hold="5m",
    )
    yield Alert(
        "SendGridExporterRateLimited",
        'sum by (job) (increase(sendgrid_exporter_polls_total{outcome="rate_limited"}[30m])) > 0',
        "warning",
        "SendGrid limits the exporter's requests.",
        '{{ $value | printf "%.0f" }} polls of {{ $labels.job }} failed on SendGrid\'s rate limit in the last half hour. Something\n'
        "else may be using the same key; poll less often or lower the ceiling of requests.",
        DASHBOARD,
        hold="15m",
    )
    yield Alert(
        "SendGridExporterLinksFolded",
        "sum by (job) (increase(sendgrid_exporter_links_folded_total[1h])) > 0",
        "warning",
        "Links are counted together because there are too many.",
        '{{ $value | printf "%.0f" }} links went into the row __other__ in the last hour, where no alert sees them. URLs that\n'
        "differ for each recipient are the usual reason: strip their query, or raise the number of links.",
        DASHBOARD,
    )
    yield Alert(
        "SendGridExporterReloadFailed",
        "min by (job) (sendgrid_exporter_config_last_reload_successful) == 0",
        "warning",
        "The exporter could not reload its configuration.",
        "{{ $labels.job }} goes on with the configuration it had. Its log names every problem it found.",
        DASHBOARD,
        hold="5m",
    )
    yield Alert(
        "SendGridExporterShardMissing",
        """\
  group by (job, index, total) (last_over_time(sendgrid_exporter_shard_info[1d]))
unless
  group by (job, index, total) (sendgrid_exporter_shard_info)
and on (job, total)
  sendgrid_exporter_shard_info""",
        "critical",
        "A shard of the exporter is missing.",
        "Shard {{ $labels.index }} of {{ $labels.total }} of {{ $labels.job }} is gone while others run: nobody reads its automations.",
        DASHBOARD,
        "Seen within a day, gone now, and others of the same size still there.",
        hold="10m",
    )
    yield Alert(
        "SendGridExporterShardsDisagree",
        """\
  count by (job) (count by (job, total) (sendgrid_exporter_shard_info)) > 1
or
  max by (job) (count by (job, index) (sendgrid_exporter_shard_info)) > 1""",
        "warning",
        "The exporter's shards do not fit together.",
        "Shards of {{ $labels.job }} differ in how many they think there are, or one runs twice: automations are read twice or never.",
        DASHBOARD,
        "Longer than a rollout takes.",
        hold="15m",
    )
