"""An automation's rows as SendGrid's answers, page by page."""

import json
from collections.abc import Sequence
from typing import Final

from benchmarks.workload import Row

PAGE_ROWS: Final = 50
ADDRESS: Final = "https://api.sendgrid.com/v3/marketing/stats/automations/{}/links"


def pages(automation_id: str, rows: Sequence[Row]) -> list[bytes]:
    """Return the bodies of all pages, as compact as the API's."""
    total = sum(row.clicks for row in rows)
    starts = range(0, len(rows), PAGE_ROWS)
    return [_page(automation_id, rows, start, total) for start in starts]


def _page(automation_id: str, rows: Sequence[Row], start: int, total: int) -> bytes:
    url = ADDRESS.format(automation_id)
    metadata: dict[str, object] = {"self": f"{url}?page_size={PAGE_ROWS}", "count": len(rows)}
    if start + PAGE_ROWS < len(rows):
        metadata["next"] = f"{url}?page_size={PAGE_ROWS}&page_token={start + PAGE_ROWS}"
    results = [
        {"url": row.url, "url_location": int(row.url_location), "step_id": row.step_id, "clicks": row.clicks}
        for row in rows[start : start + PAGE_ROWS]
    ]
    answer = {"results": results, "total_clicks": total, "_metadata": metadata}
    return json.dumps(answer, separators=(",", ":")).encode()
