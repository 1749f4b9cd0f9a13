"""Rule groups as values, rendered to YAML that an operator can read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

INDENT = "  "


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
    why: str = ""
    hold: str = ""
    keep: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after another, in this order."""

    name: str
    rules: Sequence[Recording | Alert]
    interval: str = "1m"


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


def anchor(alert: str) -> str:
    """Return the anchor of the alert's section in docs/alerts.md."""
    return alert.lower()


def _recording(rule: Recording) -> list[str]:
    return [*_comment(rule.why), f"- record: {rule.name}", *_expression(rule.expression), *_labels(rule.labels)]


def _alert(rule: Alert, runbook: str) -> list[str]:
    lines = [*_comment(rule.why), f"- alert: {rule.name}", *_expression(rule.expression)]
    lines += [f"  for: {rule.hold}"] if rule.hold else []
    lines += [f"  keep_firing_for: {rule.keep}"] if rule.keep else []
    lines += _labels({"severity": rule.severity, **rule.labels})
    lines += ["  annotations:", f"    summary: {json.dumps(rule.summary, ensure_ascii=False)}", "    description: >-"]
    lines += [f"      {line}" for line in _flat(rule.description).splitlines()]
    lines += [f"    runbook_url: {runbook}#{anchor(rule.name)}"]
    return [*lines, f"    dashboard_url: {json.dumps(rule.dashboard)}"]


def _flat(text: str) -> str:
    return textwrap.dedent(text).strip()


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), 108)]


def _expression(text: str) -> list[str]:
    lines = textwrap.dedent(text).strip("\n").rstrip().splitlines()
    if len(lines) == 1 and ": " not in lines[0] and " #" not in lines[0] and lines[0][0] not in "{[\"'":
        return [f"  expr: {lines[0].strip()}"]
    return ["  expr: |2-" if lines[0].startswith(" ") else "  expr: |-", *(f"    {line}" for line in lines)]


def _labels(labels: Mapping[str, str]) -> list[str]:
    if not labels:
        return []
    return ["  labels: {" + ", ".join(f"{key}: {json.dumps(value)}" for key, value in labels.items()) + "}"]
