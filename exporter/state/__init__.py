"""The last good blocks on disk, so that a restart leaves no hole: `file` is SQLite's side, `writer` the thread's.

Here are the values that both hand over. `file` is imported where a state file is configured, since SQLite takes 1 MB.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from exporter.domain import AutomationId
from exporter.exposition import Block


@dataclass(frozen=True, slots=True)
class SavedBlock:
    """A good block of an earlier run."""

    automation_id: AutomationId
    block: Block
    last_success: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class SavedAnswer:
    """A block, and the question that it answers: who was asked, for which steps, which label rules, which form.

    An answer to another question is not given back, so that what an operator has just hidden does not come up again.
    """

    question: str
    saved: SavedBlock


class _Every:
    """Holds whatever one looks for."""

    def __contains__(self, _: object) -> bool:
        return True


EVERY_AUTOMATION: Final[Container[AutomationId]] = _Every()
