"""Questions to a real Prometheus."""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

Series = dict[str, Any]


class QueryError(Exception):
    """Prometheus refused a query."""


class Prometheus:
    """Answers queries over HTTP."""

    def __init__(self, address: str) -> None:
        self._address = address

    def instant(self, query: str, moment: float) -> list[Series]:
        """Return the vector of a query at a moment."""
        found: list[Series] = self._ask("query", query=query, time=moment)["result"]
        return found

    def over_time(self, query: str, start: float, end: float, step: int) -> list[Series]:
        """Return the series of a query over a range."""
        aligned = {"start": start // step * step, "end": end // step * step, "step": step}
        found: list[Series] = self._ask("query_range", query=query, **aligned)["result"]
        return found

    def series(self, selector: str, start: float, end: float) -> list[dict[str, str]]:
        """Return the labels of the series that match."""
        found: list[dict[str, str]] = self._ask("series", **{"match[]": selector, "start": start, "end": end})
        return found

    def _ask(self, path: str, **parameters: object) -> Any:
        body = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"http://{self._address}/api/v1/{path}", body, timeout=30) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise QueryError(f"{error.read().decode()} in {parameters}") from None
