"""The API's rate limit: so many requests in a window, told in headers."""

import threading
from dataclasses import dataclass
from enum import StrEnum

from sendgrid_simulator.clock import Clock
from sendgrid_simulator.messages import ApiError


class ResetForm(StrEnum):
    """How the moment of the next window is told."""

    EPOCH = "epoch"
    DELTA = "delta"


class HeaderForm(StrEnum):
    """How the names of the headers are written."""

    USUAL = "usual"
    LOWER = "lower"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a request found of its endpoint's budget."""

    granted: bool
    limit: int
    remaining: int
    now: float
    reset: float

    def headers(self, names: HeaderForm, form: ResetForm) -> tuple[tuple[str, str], ...]:
        """Return the three headers as SendGrid writes them, or as a test wants them."""
        if names is HeaderForm.ABSENT:
            return ()
        reset = self.reset if form is ResetForm.EPOCH else self.reset - self.now
        values = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(-int(-reset // 1)),
        }
        return tuple((name.lower() if names is HeaderForm.LOWER else name, text) for name, text in values.items())


def refuse_beyond(allowance: Allowance | None) -> None:
    """Refuse a request that the budget does not hold."""
    if allowance is not None and not allowance.granted:
        raise ApiError(429)


class RateLimit:
    """Counts requests per endpoint in windows that begin at multiples of their length."""

    def __init__(self, clock: Clock, limit: int, window: float = 60.0) -> None:
        self._clock = clock
        self._window = window
        self._spent: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()
        self.limit = limit
        """Requests in a window; 0 lets all through and tells nothing. May be changed at any time."""

    def time(self) -> float:
        """Return the API's wall clock, which `Date` tells too."""
        return self._clock.time()

    def spend(self, endpoint: str) -> Allowance | None:
        """Take one request out of the endpoint's budget; None where there is no limit."""
        limit = self.limit
        if not limit:
            return None
        now = self._clock.time()
        window = now // self._window * self._window
        with self._lock:
            began, spent = self._spent.get(endpoint, (window, 0))
            spent = spent if began == window else 0
            granted = spent < limit
            spent += granted
            self._spent[endpoint] = (window, spent)
        return Allowance(granted, limit, max(limit - spent, 0), now, window + self._window)
