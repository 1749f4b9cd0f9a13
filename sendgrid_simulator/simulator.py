"""The whole simulator: an account, its API, and a server on loopback."""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Self

from sendgrid_simulator.account import Account, AnyAutomation, stats_of
from sendgrid_simulator.catalogue import simulated_key
from sendgrid_simulator.clock import Clock, HeldClock, RealClock
from sendgrid_simulator.control import Control
from sendgrid_simulator.exchange import Answers, Behaviour
from sendgrid_simulator.faults import Fault, FaultPlan
from sendgrid_simulator.messages import Request, Response
from sendgrid_simulator.model import Change, FixedAutomation, Row
from sendgrid_simulator.openmetrics import history_lines
from sendgrid_simulator.ratelimit import RateLimit
from sendgrid_simulator.records import Exchange, Records, ServedPage
from sendgrid_simulator.server import Server
from sendgrid_simulator.sources import Order


class Simulator:
    """A SendGrid API that serves these automations until it is stopped.

    `clock` moves the clicks; `wall` is the time of `Date` and of the rate limit, which nobody wants to be sped up.
    `rate_limit` is in requests a minute for the endpoint, 0 for none. With `control` the simulator takes
    orders over HTTP under `/_simulator/`, for tests that run it in a process of its own. The last
    `record_requests` requests are kept for tests to look at, and the last `record_pages` pages as they were told.
    """

    def __init__(
        self,
        automations: Iterable[AnyAutomation] = (),
        *,
        seed: int = 1,
        clock: Clock | None = None,
        wall: Clock | None = None,
        order: Order = Order.BIRTH,
        rate_limit: int = 600,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        control: bool = False,
        record_requests: int = 1_000,
        record_pages: int = 0,
    ) -> None:
        self._clock = HeldClock(clock or RealClock())
        self._limit = RateLimit(wall or RealClock(), rate_limit)
        self._server: Server | None = None
        self._where = (host, port, tls)
        self.api_key = simulated_key(seed)
        self.account = Account(seed, automations, order)
        self.account.allow(self.api_key)
        self.faults = FaultPlan(seed)
        self._records = Records(record_requests, record_pages)
        self._answers = Answers(
            self.account,
            self._clock,
            limit=self._limit,
            faults=self.faults,
            records=self._records,
        )
        self._control = Control(self) if control else None

    def start(self) -> Self:
        host, port, tls = self._where
        self._server = Server(self._reply, host=host, port=port, tls=tls)
        self._where = (host, self._server.port, tls)
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop serving at once; the simulator can be started again and then has the same address."""
        if self._server is not None:
            self._server.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """Return what a client takes for https://api.sendgrid.com; the port is known once started."""
        host, port, tls = self._where
        return f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    @property
    def connections(self) -> int:
        """Return how many connections are open."""
        return 0 if self._server is None else self._server.connections

    @property
    def automations(self) -> tuple[AnyAutomation, ...]:
        """Return the automations that the account holds now."""
        return self.account.automations

    @property
    def time(self) -> float:
        """Return the simulated time."""
        return self._clock.time()

    def stats(
        self, automation_id: str, *, group_by: bool = True, step_ids: tuple[str, ...] = ()
    ) -> tuple[tuple[Row, ...], int]:
        """Return the rows and the total that the API would tell of the whole list now."""
        source = self.account.source(automation_id)
        if source is None:
            raise LookupError(f"the account has no automation {automation_id}")
        return stats_of(source, self._clock.time(), grouped=group_by, step_ids=step_ids)

    def warm(self) -> None:
        """Work out all clicks so far, so that no request has to wait for it."""
        for automation in self.automations:
            self.stats(automation.id)

    def answer(self, request: Request) -> Response:
        """Answer a request without a socket; of a fault its delivery and delay are left out."""
        return self._answers.answer(request)[0]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the time of the clicks still, so that all pages of a list are of one moment."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        self._clock.hold()

    def release(self) -> None:
        self._clock.release()

    def behave(self, **changes: Any) -> None:
        """Change fields of `Behaviour` while running."""
        self._answers.behaviour = replace(self._answers.behaviour, **changes)

    @property
    def behaviour(self) -> Behaviour:
        """Return how the API behaves where nothing is published."""
        return self._answers.behaviour

    def limit(self, requests_per_minute: int) -> None:
        """Change the rate limit; 0 is none."""
        self._limit.limit = requests_per_minute

    def put_rows(self, automation_id: str, rows: Iterable[Row], *, total: int | None = None) -> None:
        """Give a fixed automation other rows; the total is their sum unless given."""
        source = self.account.source(automation_id)
        if source is None or not isinstance(source.automation, FixedAutomation):
            raise LookupError(f"the account has no fixed automation {automation_id}")
        kept = tuple(rows)
        total = sum(row.clicks for row in kept) if total is None else total
        self.account.put(replace(source.automation, rows=kept, total=total))

    def slow(
        self,
        automation_id: str,
        factor: float,
        *,
        at: float | None = None,
        step_id: str | None = None,
        url: str | None = None,
    ) -> None:
        """Let clicks arrive `factor` times as fast from a moment on (now), on all links or one step or URL; 0 stops."""
        change = Change(self.time if at is None else at, factor)
        self.account.change(automation_id, lambda automation: automation.changed(change, step_id=step_id, url=url))

    @property
    def requests(self) -> tuple[Exchange, ...]:
        """Return the last requests and what became of them, oldest first."""
        return self._records.requests

    @property
    def request_count(self) -> int:
        """Return how many requests were answered since the start."""
        return self._records.count

    @property
    def pages(self) -> tuple[ServedPage, ...]:
        """Return the last pages that were told unaltered, oldest first."""
        return self._records.pages

    def history_openmetrics(
        self, start: float, end: float, step: float, target: Mapping[str, str] | None = None
    ) -> Iterator[str]:
        """Yield the lines of what a Prometheus would have stored, had it scraped an exporter every `step`."""
        sources = [self.account.source(automation.id) for automation in self.automations]
        return history_lines([source for source in sources if source], (start, end, step), target or {})

    def fault(self, fault: Fault | None = None, **fields: Any) -> None:
        """Plan a fault, given whole or by its fields."""
        self.faults.add(fault or Fault(**fields))

    def _reply(self, request: Request) -> tuple[Response, Fault | None, float]:
        if self._control is not None and (order := self._control.response(request)) is not None:
            return order, None, 0.0
        response, fault = self._answers.answer(request)
        return response, fault, self._answers.behaviour.latency + (fault.delay if fault is not None else 0.0)
