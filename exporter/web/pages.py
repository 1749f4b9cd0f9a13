"""The landing page."""

import base64
import hashlib
from collections.abc import Iterable
from html import escape
from typing import Final

from exporter.web.ports import AutomationRow, Page, Status

MAX_ROWS: Final = 1000
"""Automations shown: a page must not keep a scrape waiting."""

STYLE: Final = (
    "body{font-family:system-ui,sans-serif;margin:0;color:#222;background:#fff}"
    "header{background:#e6522c;color:#fff;padding:1rem 1.5rem}h1{font-size:1.4rem;margin:0}"
    "main{padding:1rem 1.5rem}table{border-collapse:collapse}th,td{text-align:left;padding:.3rem .8rem;"
    "border-bottom:1px solid #ddd}td.number{text-align:right;font-variant-numeric:tabular-nums}"
    "code{font-size:.9em}"
)
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)


def landing_page(page: Page, status: Status, *, telemetry_path: str) -> str:
    """Return the HTML of `/`: what this is, where things are, and how each automation does."""
    # Relative, so that they also work behind a proxy that serves this page below a path prefix.
    links = [("Metrics", telemetry_path.removeprefix("/")), ("Health", "-/healthy"), ("Readiness", "-/ready")]
    if page.documentation is not None and page.documentation.startswith(("https://", "http://")):
        links.append(("Documentation", page.documentation))
    items = "".join(f'<li><a href="{escape(target)}">{escape(text)}</a></li>\n' for text, target in links)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(page.name)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(page.name)}</h1></header>\n<main>\n<p>{escape(page.description)}</p>\n"
        f"<p>Version: {escape(page.version)}</p>\n<ul>\n{items}</ul>\n{_table(status.automations)}</main>\n</body>\n"
        "</html>\n"
    )


def _table(automations: tuple[AutomationRow, ...]) -> str:
    if not automations:
        return ""
    shown = automations[:MAX_ROWS]
    more = len(automations) - len(shown)
    return (
        "<h2>Automations</h2>\n<table>\n<thead><tr><th>Automation</th><th>Id</th><th>Last poll</th>"
        f"<th>Last success</th><th>Series</th></tr></thead>\n<tbody>\n{''.join(_rows(shown))}</tbody>\n</table>\n"
        + (f"<p>and {more} more</p>\n" if more else "")
    )


def _rows(automations: Iterable[AutomationRow]) -> Iterable[str]:
    for row in automations:
        yield (
            f"<tr><td>{escape(row.name)}</td><td><code>{escape(row.id)}</code></td>"
            f"<td>{escape(row.outcome) or 'not yet'}</td><td>{_age(row.last_success_age)}</td>"
            f'<td class="number">{row.series}</td></tr>\n'
        )


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    parts_shown = [f"{number} {unit}" for number, unit in parts if number][:2]
    return f"{' '.join(parts_shown) or '0 s'} ago"
