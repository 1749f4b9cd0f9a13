"""The rate limit: a token bucket."""

from exporter.clock import Clock
from exporter.web.config_file import RateLimit


class TokenBucket:
    """Lets requests pass as long as there are tokens; begins full, and anew when its rules change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules: RateLimit | None = None
        self._tokens = 0.0
        self._counted = 0.0

    def allows(self, rules: RateLimit | None) -> bool:
        """Take a token and tell whether there was one; without rules there always is."""
        if rules is None:
            return True
        now = self._clock.monotonic()
        if rules != self._rules:
            self._rules, self._tokens, self._counted = rules, float(rules.burst), now
        self._tokens = min(self._tokens + (now - self._counted) / rules.interval, float(rules.burst))
        self._counted = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
