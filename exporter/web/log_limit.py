"""Log lines that a client can cause, within a bound: a flood is a few lines and one with their number."""

import asyncio
import logging
from typing import Final

_PERIOD: Final = 60.0


class LogLimit:
    """Writes the first lines of each minute and then one with the number of those left out.

    Used from the event loop alone. A module of its own, since the listener and the middleware both need it.
    """

    def __init__(self, logger: logging.Logger, level: int, subject: str, *, lines: int) -> None:
        """`subject` begins the line that counts, such as "failed logins"; `lines` are written each minute before it."""
        self._logger = logger
        self._level = level
        self._subject = subject
        self._lines = lines
        self._written = 0
        self._left_out = 0
        self._timer: asyncio.TimerHandle | None = None

    def log(self, message: str, *args: object) -> None:
        """Write the line, or count it."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PERIOD, self._end_period)
        if self._written < self._lines:
            self._written += 1
            self._logger.log(self._level, message, *args)
        else:
            self._left_out += 1

    def _end_period(self) -> None:
        self._timer = None
        if self._left_out:
            self._logger.log(
                self._level, "%s: %d more within %d seconds", self._subject, self._left_out, round(_PERIOD)
            )
        self._written = self._left_out = 0
