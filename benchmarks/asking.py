"""`python -m benchmarks.asking client|urllib3|http.client PORT [AUTHORITY]`: what a page costs who asks for it.

`client` is the exporter's own, with all of its guards, within a budget that never holds it up; the other two are what
it stands on, alone. Each reads pages of a server that answers at once, over one kept connection. It prints a line of
JSON when the connection stands, then takes a number of pages as a line of JSON and answers with the CPU time of its
process.
"""

import http.client
import json
import math
import ssl
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import urllib3

from exporter.__main__ import tune_runtime
from exporter.clock import SystemClock
from exporter.domain import Automation, AutomationId, Endpoint
from exporter.sendgrid.budget import Budget, RateLimitHeaders
from exporter.sendgrid.client import SendGridClient
from exporter.sendgrid.transport import ClientOptions

_HOST: Final = "127.0.0.1"
_KEY: Final = "SG.benchmarks-ask-with-a-key-as-long-as-those-that-SendGrid-gives.-0123456789"
_ID: Final = AutomationId("00000000-0000-4000-8000-000000000000")
_PATH: Final = f"/v3/marketing/stats/automations/{_ID}/links?group_by=step_id&page_size=50"
_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "benchmark", "Authorization": f"Bearer {_KEY}"}

Ask = Callable[[], object]
"""Reads one page."""


class Unobserved:
    """Takes note of nothing: the exporter's own metrics have rows of their own."""

    def requested(self, endpoint: Endpoint, code: str, seconds: float, rate_limit: RateLimitHeaders | None) -> None:
        """Do nothing."""


def client(port: int, authority: str | None) -> Ask:
    """Return the exporter's own client."""
    clock = SystemClock()
    scheme = "https" if authority else "http"
    options = ClientOptions(f"{scheme}://{_HOST}:{port}", 30.0, 50, "benchmark", authorities=authority)
    budget, stop = Budget(1e9, clock=clock), threading.Event()
    asking = SendGridClient(options, key=lambda: _KEY, budget=budget, clock=clock, stop=stop, observer=Unobserved())
    question = asking.links_question(Automation(_ID, _ID, 300.0))
    return lambda: asking.fetch(question, None, math.inf)


def bare_urllib3(port: int, authority: str | None) -> Ask:
    """Return urllib3's pool of one connection."""
    pool = (
        urllib3.HTTPSConnectionPool(_HOST, port, ssl_context=ssl.create_default_context(cadata=authority))
        if authority
        else urllib3.HTTPConnectionPool(_HOST, port)
    )
    return lambda: pool.urlopen("GET", _PATH, headers=_HEADERS, retries=False, redirect=False).data


def bare_http(port: int, authority: str | None) -> Ask:
    """Return the standard library's connection."""
    connection = (
        http.client.HTTPSConnection(_HOST, port, context=ssl.create_default_context(cadata=authority))
        if authority
        else http.client.HTTPConnection(_HOST, port)
    )

    def ask() -> bytes:
        connection.request("GET", _PATH, headers=_HEADERS)
        return connection.getresponse().read()

    return ask


KINDS: Final = {"client": client, "urllib3": bare_urllib3, "http.client": bare_http}


def main() -> None:
    """Read pages until stdin is closed."""
    kind, port, *authority = sys.argv[1:]
    ask = KINDS[kind](int(port), authority[0] if authority else None)
    ask()
    tune_runtime()
    print(json.dumps({"port": int(port)}), flush=True)
    for line in sys.stdin:
        begun = time.process_time_ns()
        for _ in range(json.loads(line)["pages"]):
            ask()
        print(json.dumps({"cpu_ns": time.process_time_ns() - begun}), flush=True)


if __name__ == "__main__":
    main()
