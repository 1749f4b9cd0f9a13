"""Rule groups as values, rendered to YAML that an operator can read."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

INDENT = "  "
COMMENT_WIDTH, EXPRESSION_WIDTH = 160, 640
"""Up to how many characters a comment is, and an expression may be, one line."""

_OPERATOR = re.compile(r"^([ ]*)((?:or|and|unless|[-+*/<>])(?:[ ]+on \([^)]*\))?)\n[ ]*", re.MULTILINE)
"""An operator on a line of its own, which leads the line after it in the file."""


@dataclass(frozen=True)
class Recording:
    """One recorded series."""

    name: str
    expression: str
    why: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Alert:
    """One alert with the texts that people read."""

    name: str
    expression: str
    severity: str
    summary: str
    description: str
    dashboard: str
    """The path of the dashboard in Grafana."""
    why: str = ""
    page: str = ""
    """The template of the address in SendGrid."""
    hold: str = ""
    keep: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after another, in this order."""

    name: str
    rules: Sequence[Recording | Alert]
    interval: str


def render(head: str, groups: Sequence[Group], runbook: str) -> str:
    """Return the text of one rule file."""
    lines = [f"# {line}".rstrip() for line in head.strip().splitlines()]
    lines.append("groups:")
    for group in groups:
        lines += [f"  - name: {group.name}", f"    interval: {group.interval}", "    rules:"]
        for rule in group.rules:
            body = _alert(rule, runbook) if isinstance(rule, Alert) else _recording(rule)
            lines += [f"{INDENT * 3}{line}".rstrip() for line in body]
    return "\n".join(lines) + "\n"


def by_window(expressions: Mapping[str, str]) -> str:
    """Return the union of the expressions, each with its window as a label."""
    return "\nor\n".join(
        f'label_replace({expression}, "window", "{window}", "", "")' for window, expression in expressions.items()
    )


def read(name: str) -> str:
    """Return a series of another group as it was last recorded, in whatever order the groups run."""
    return f"last_over_time({name}[20m])"


def anchor(alert: str) -> str:
    """Return the anchor of the alert's section in docs/alerts.md."""
    return alert.lower()


def set_by(label: str, otherwise: str = "") -> str:
    """Return the template of an address that Prometheus's external label of this name sets."""
    rest = f"{{{{ else }}}}{otherwise}" if otherwise else ""
    return f"{{{{ with $externalLabels.{label} }}}}{{{{ . }}}}{rest}{{{{ end }}}}"


def _recording(rule: Recording) -> list[str]:
    return [*_comment(rule.why), f"- record: {rule.name}", *_expression(rule.expression), *_labels(rule.labels)]


def _alert(rule: Alert, runbook: str) -> list[str]:
    lines = [*_comment(rule.why), f"- alert: {rule.name}", *_expression(rule.expression)]
    lines += [f"  for: {rule.hold}"] if rule.hold else []
    lines += [f"  keep_firing_for: {rule.keep}"] if rule.keep else []
    lines += _labels({"severity": rule.severity, **rule.labels})
    lines += ["  annotations:", f"    summary: {_text(rule.summary)}", f"    description: {_text(rule.description)}"]
    lines += [f"    runbook_url: {_text(set_by('sendgrid_runbook_url', runbook) + '#' + anchor(rule.name))}"]
    lines += [f"    dashboard_url: {_text(set_by('sendgrid_grafana_url') + rule.dashboard)}"]
    return [*lines, f"    sendgrid_url: {_text(rule.page)}"] if rule.page else lines


def _text(text: str) -> str:
    """Return the text as YAML, in single quotes, since the templates are full of double ones."""
    return "'" + " ".join(text.split()).replace("'", "''") + "'"


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), COMMENT_WIDTH)]


def _expression(text: str) -> list[str]:
    lines = _OPERATOR.sub(r"\1\2 ", textwrap.dedent(text).strip("\n").rstrip()).splitlines()
    flat = " ".join(line.strip() for line in lines).replace("( ", "(").replace(" )", ")")
    if len(flat) <= EXPRESSION_WIDTH:
        lines = [flat]
    if len(lines) == 1 and ": " not in lines[0] and " #" not in lines[0] and lines[0][0] not in "{[\"'":
        return [f"  expr: {lines[0].strip()}"]
    return ["  expr: |2-" if lines[0].startswith(" ") else "  expr: |-", *(f"    {line}" for line in lines)]


def _labels(labels: Mapping[str, str]) -> list[str]:
    if not labels:
        return []
    pairs = (f"{key}: {_text(value) if '{{' in value else json.dumps(value)}" for key, value in labels.items())
    return [f"  labels: {{{', '.join(pairs)}}}"]
