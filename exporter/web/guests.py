"""The open connections: counted, and the least missed put out where there are too many."""

import asyncio
import enum
from collections.abc import Sequence
from typing import Protocol


class Standing(enum.IntEnum):
    """How little a connection would be missed: the lowest goes first when room is needed."""

    UNPROVEN = 0
    """It has not yet sent one whole request."""
    IDLE = 1
    """It waits between two requests."""
    STALLED = 2
    """It does not read its response."""
    WORKING = 3


class Guest(Protocol):
    """What holds a place among the connections."""

    since: float
    """When its present standing began, in the loop's time."""

    @property
    def standing(self) -> Standing: ...

    def abort(self) -> None:
        """End at once."""

    def retire(self) -> None:
        """End after the response in hand, or at once without one."""


class Guests:
    """The open connections; a full house does not refuse the next one, which would let idle ones deny service."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._guests: dict[Guest, None] = {}
        self.gone = asyncio.Event()
        """Set while there is none."""
        self.gone.set()

    def enter(self, guest: Guest) -> None:
        """Count the guest in, and put out the one least missed where there is no place."""
        if len(self._guests) >= self._places:
            least = self._least_missed()
            self.leave(least)
            least.abort()
        self._guests[guest] = None
        self.gone.clear()

    def _least_missed(self) -> Guest:
        # In a flood of silent connections the first looked at is the one: they stand in the order they came.
        for guest in self._guests:
            if guest.standing is Standing.UNPROVEN:
                return guest
        return min(self._guests, key=lambda guest: (guest.standing, guest.since))

    def leave(self, guest: Guest) -> None:
        """Count the guest out, once or more."""
        self._guests.pop(guest, None)
        if not self._guests:
            self.gone.set()

    def everyone(self) -> Sequence[Guest]:
        """Return those who are in, to be told something."""
        return tuple(self._guests)
