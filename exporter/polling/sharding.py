"""Which shard polls which automation: a pure function, kept apart because every shard must agree on it for ever."""

import hashlib
from collections.abc import Iterable
from typing import Final

from exporter.domain import Automation, AutomationId

_MULTIPLIER: Final = 2862933555777941757
_WORD: Final = 1 << 64


def shard_of(automation_id: AutomationId, total: int) -> int:
    """Return the number of the automation's shard, from 0 to `total` - 1.

    The jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014): the shards
    are of equal size, and one shard more takes over its own part and moves nothing between the others.
    """
    # blake2b and not hash(): Python's differs from process to process (PYTHONHASHSEED), and shards must agree.
    key = int.from_bytes(hashlib.blake2b(automation_id.lower().encode(), digest_size=8).digest(), "big")
    shard, candidate = 0, 0
    while candidate < total:
        # A linear congruential generator seeded by the key; `candidate` is the shard count at which it next moves.
        shard = candidate
        key = (key * _MULTIPLIER + 1) % _WORD
        # The upper 31 bits of the state give a uniform r in (0, 1]: the next move is at (shard + 1) / r.
        candidate = int((shard + 1) * ((1 << 31) / ((key >> 33) + 1)))
    return shard


def own(automations: Iterable[Automation], *, index: int, total: int) -> tuple[Automation, ...]:
    """Return the automations that the shard polls, in their order."""
    return tuple(automation for automation in automations if shard_of(automation.id, total) == index)
