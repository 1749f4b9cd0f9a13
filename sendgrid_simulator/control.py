"""Control over HTTP, for tests that run the simulator in a separate process."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol

from sendgrid_simulator.api import Exchange
from sendgrid_simulator.endpoints import row_document, stats_fields
from sendgrid_simulator.faults import Fault
from sendgrid_simulator.messages import Request, Response, error_response, json_response
from sendgrid_simulator.model import Row, Stats

CONTROL_PATH: Final = "/_simulator/"


class Plan(Protocol):
    """The plan of faults."""

    def add(self, *faults: Fault) -> None:
        """Plan faults."""

    def clear(self) -> None:
        """Forget all faults."""


class Controlled(Protocol):
    """The part of a simulator that can be controlled."""

    @property
    def faults(self) -> Plan:
        """Return the plan of faults."""

    @property
    def requests(self) -> tuple[Exchange, ...]:
        """Return the last exchanges."""

    def links(self, automation_id: str, *, group_by: bool = True) -> tuple[tuple[Row, ...], int]:
        """Return the current rows and total of a list of links."""

    def step_statistics(self, automation_id: str) -> Mapping[str, Stats]:
        """Return the current statistics by step."""

    def hold(self) -> None:
        """Stop time."""

    def release(self) -> None:
        """Continue time."""


class Control:
    """The commands.

    POST `faults` (one or a list), `hold`, `release`; DELETE `faults`; GET `requests`, `links/<id>`, `statistics/<id>`.
    """

    def __init__(self, simulator: Controlled) -> None:
        self._simulator = simulator
        self._commands: Mapping[tuple[str, str], Callable[[Request], Response]] = {
            ("POST", "faults"): self._plan,
            ("DELETE", "faults"): self._forget,
            ("GET", "requests"): self._requests,
            ("POST", "hold"): self._hold,
            ("POST", "release"): self._release,
        }
        self._numbers: Mapping[str, Callable[[str], Response]] = {"links": self._links, "statistics": self._statistics}

    def response(self, request: Request) -> Response | None:
        """Return the answer to a command, None for any other request."""
        if not request.path.startswith(CONTROL_PATH):
            return None
        name = request.path.removeprefix(CONTROL_PATH)
        kind, _, automation_id = name.partition("/")
        try:
            if request.method == "GET" and automation_id and kind in self._numbers:
                return self._numbers[kind](automation_id)
            if (command := self._commands.get((request.method, name))) is not None:
                return command(request)
        except (ValueError, TypeError) as error:
            return error_response(HTTPStatus.BAD_REQUEST, str(error))
        except LookupError as error:
            return error_response(HTTPStatus.NOT_FOUND, str(error))
        return error_response(HTTPStatus.NOT_FOUND, f"no command {request.method} {name}")

    def _plan(self, request: Request) -> Response:
        document: Any = json.loads(request.body)
        faults = [Fault.from_document(each) for each in (document if isinstance(document, list) else [document])]
        self._simulator.faults.add(*faults)
        return json_response({"planned": len(faults)})

    def _forget(self, _: Request) -> Response:
        self._simulator.faults.clear()
        return json_response({})

    def _requests(self, _: Request) -> Response:
        return json_response([_exchange_document(exchange) for exchange in self._simulator.requests])

    def _links(self, automation_id: str) -> Response:
        rows, total = self._simulator.links(automation_id)
        return json_response({"results": [row_document(row) for row in rows], "total_clicks": total})

    def _statistics(self, automation_id: str) -> Response:
        steps = self._simulator.step_statistics(automation_id)
        return json_response({step_id: stats_fields(stats) for step_id, stats in steps.items()})

    def _hold(self, _: Request) -> Response:
        self._simulator.hold()
        return json_response({})

    def _release(self, _: Request) -> Response:
        self._simulator.release()
        return json_response({})


def _exchange_document(exchange: Exchange) -> dict[str, object]:
    """Return an exchange as JSON, including whether it had a fault."""
    return {
        **exchange._asdict(),
        "query": dict(exchange.query),
        "headers": dict(exchange.headers),
        "fault": exchange.fault is not None,
    }
