"""The whole simulator: an account, its API, and a server on loopback."""

import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Self

from sendgrid_simulator.account import Account, AnyAutomation
from sendgrid_simulator.api import Api, Exchange, RateLimit, Records, ServedPage
from sendgrid_simulator.catalog import edited, simulated_key
from sendgrid_simulator.clock import Clock, HeldClock, SimulatedClock, WallClock
from sendgrid_simulator.control import Control
from sendgrid_simulator.counts import Order, links_of
from sendgrid_simulator.endpoints import Behavior
from sendgrid_simulator.faults import Fault, FaultPlan
from sendgrid_simulator.messages import Endpoint, Request, Response
from sendgrid_simulator.model import Automation, Change, FixedAutomation, Row, Stats, summed
from sendgrid_simulator.server import Server


class Simulator:
    """A SendGrid API that serves these automations until it is stopped.

    `clock` moves the clicks, from a fixed busy hour on by default; `wall` is the time of `Date` and of the rate limit,
    which stays real when clicks are sped up. `rate_limit` is in requests a minute for each endpoint, 0 for none. With
    `control` the simulator takes commands over HTTP under `/_simulator/`, for tests that run it in a process of its
    own. The last `record_requests` requests are kept for tests to look at, and the last `record_pages` pages of links.
    """

    def __init__(
        self,
        automations: Iterable[AnyAutomation] = (),
        *,
        seed: int = 1,
        clock: Clock | None = None,
        wall: Clock | None = None,
        order: Order = Order.FIRST_CLICK,
        rate_limit: int = 600,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        control: bool = False,
        record_requests: int = 1_000,
        record_pages: int = 0,
    ) -> None:
        self._clock = HeldClock(clock or SimulatedClock())
        self._limit = RateLimit(wall or WallClock(), rate_limit)
        self._server: Server | None = None
        self._where = (host, port, tls)
        self.api_key = simulated_key(seed)
        self.account = Account(seed, automations, order)
        self.account.allow(self.api_key)
        self.faults = FaultPlan(seed)
        self._records = Records(record_requests, record_pages)
        self._api = Api(
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
        """Return the address to use instead of https://api.sendgrid.com; the port is known once started."""
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

    def links(
        self, automation_id: str, *, group_by: bool = True, step_ids: tuple[str, ...] = ()
    ) -> tuple[tuple[Row, ...], int]:
        """Return all rows and the total of the list of links that the API has now."""
        source = self.account.source(automation_id)
        if source is None:
            raise LookupError(f"the account has no automation {automation_id}")
        return links_of(source, self._clock.time(), grouped=group_by, step_ids=step_ids)

    def statistics(self, automation_id: str) -> Stats:
        """Return the statistics that the API has of the automation now, which may lag its links."""
        return summed([Stats(), *self.step_statistics(automation_id).values()])

    def step_statistics(self, automation_id: str) -> Mapping[str, Stats]:
        """Return the same by step."""
        source = self.account.source(automation_id)
        if source is None:
            raise LookupError(f"the account has no automation {automation_id}")
        return source.stats(self._clock.time() - self.behavior.statistics_lag)

    def warm(self) -> None:
        """Compute all clicks so far, so that no request has to wait for it."""
        for automation in self.automations:
            self.links(automation.id)

    def answer(self, request: Request) -> Response:
        """Answer a request without a socket, and so without a fault's delivery and delay."""
        return self._api.answer(request)[0]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Stop the time of the clicks, so that all pages of a list are of one moment."""
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
        """Change fields of `Behavior` while running."""
        self._api.behavior = replace(self._api.behavior, **changes)

    @property
    def behavior(self) -> Behavior:
        """Return how the API behaves where nothing is published."""
        return self._api.behavior

    def limit(self, requests_per_minute: int, *, endpoint: Endpoint | None = None) -> None:
        """Change the rate limit of one endpoint, or of each; 0 is none."""
        self._limit.change(requests_per_minute, endpoint)

    def put_rows(self, automation_id: str, rows: Iterable[Row], *, total: int | None = None) -> None:
        """Give a fixed automation other rows; the total is their sum unless given."""
        kept = tuple(rows)
        total = sum(row.clicks for row in kept) if total is None else total
        self.account.put(replace(self._fixed(automation_id), rows=kept, total=total))

    def put_stats(self, automation_id: str, stats: Mapping[str, Stats]) -> None:
        """Give a fixed automation other statistics, by step; none derives them from its rows."""
        self.account.put(replace(self._fixed(automation_id), stats=MappingProxyType(dict(stats))))

    def slow(
        self,
        automation_id: str,
        factor: float,
        *,
        at: float | None = None,
        step_id: str | None = None,
        url: str | None = None,
    ) -> None:
        """Change the pace of clicks from a moment on (now), on all links or those of a step or URL; 0 stops them."""
        change = Change(self.time if at is None else at, factor)
        self.account.change(automation_id, lambda automation: automation.changed(change, step_id=step_id, url=url))

    def send(self, automation_id: str, factor: float, *, at: float | None = None, step_id: str | None = None) -> None:
        """Change the pace of sending from a moment on (now), of all steps or one, and of clicks with it; 0 stops it."""
        change = Change(self.time if at is None else at, factor)
        self.account.change(automation_id, lambda automation: automation.sending_changed(change, step_id=step_id))

    def edit(self, automation_id: str) -> Automation:
        """Do what an edit does: add and return a duplicate with ids of its own, and let the old one go quiet."""
        source = self.account.source(automation_id)
        if source is None or not isinstance(source.automation, Automation):
            raise LookupError(f"the account has no generated automation {automation_id}")
        now = self.time
        duplicate = edited(source.automation, now)
        self.account.put(duplicate)
        self.send(automation_id, 0.0, at=now)
        return duplicate

    def delete(self, automation_id: str) -> None:
        """Delete an automation as a user does; `Behavior.list_deleted` decides whether the list still holds it."""
        self.account.delete(automation_id, self.time)

    @property
    def requests(self) -> tuple[Exchange, ...]:
        """Return the last requests and their outcome, oldest first."""
        return self._records.requests

    @property
    def request_count(self) -> int:
        """Return how many requests were answered since the start."""
        return self._records.count

    @property
    def pages(self) -> tuple[ServedPage, ...]:
        """Return the last pages of links that were served unaltered, oldest first."""
        return self._records.pages

    def fault(self, fault: Fault | None = None, **fields: Any) -> None:
        """Plan a fault, given whole or by its fields."""
        self.faults.add(fault or Fault(**fields))

    def _fixed(self, automation_id: str) -> FixedAutomation:
        source = self.account.source(automation_id)
        if source is None or not isinstance(source.automation, FixedAutomation):
            raise LookupError(f"the account has no fixed automation {automation_id}")
        return source.automation

    def _reply(self, request: Request) -> tuple[Response, Fault | None, float]:
        if self._control is not None and (command := self._control.response(request)) is not None:
            return command, None, 0.0
        response, fault = self._api.answer(request)
        return response, fault, self._api.behavior.latency + (fault.delay if fault is not None else 0.0)
