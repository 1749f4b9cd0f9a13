"""The thread that keeps the newest blocks on disk, so that nothing else ever waits for one."""

import logging
import threading
from collections.abc import Callable, Collection, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from exporter.clock import Clock
from exporter.domain import AutomationId
from exporter.errors import ForeignFileError, StateError
from exporter.exposition import Block
from exporter.state import SavedAnswer, SavedBlock

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 5.0
"""Between two looks whether the file is still there, and between two tries after a failure."""
_SILENT_SECONDS: Final = 10.0
"""A disk that has not answered for so long is reported."""
_LARGEST_INTEGER: Final = 2**63 - 1
"""The largest that SQLite can hold."""

Question = Callable[[AutomationId], str]
"""Returns what an automation's block has to answer today."""


class StateFile(Protocol):
    """The opened file, as its thread uses it."""

    def save(self, answers: Iterable[SavedAnswer]) -> None:
        """Keep these blocks in place of the former ones."""

    def is_in_place(self) -> bool:
        """Return whether the path still names this file, whole."""

    def close(self) -> None:
        """Close the file."""


@dataclass(slots=True)
class _Work:
    """What the thread was given, and how far it is; guarded by the writer's lock."""

    unwritten: set[AutomationId]
    began: float | None = None
    """When the disk was asked, on the monotonic clock, as long as it has not answered."""
    trouble: str = ""
    """Why blocks cannot be kept; empty while they can."""
    closing: bool = False


class StateWriter:
    """Keeps the newest block of each automation, and a thread writes them when the disk lets it.

    While the disk hangs, is full, or is locked by another program, blocks replace each other in memory. A file that was
    deleted or replaced is made again with all of them. Whoever owns it calls `watch` about once a second.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        observe: Callable[[bool], None] = lambda _: None,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """Call `observe` with True when blocks can no longer be kept, with False when they can.

        Between two looks at the file, and two tries after a failure, lie `look_seconds`.
        """
        self._look_seconds = look_seconds
        self._path = path
        self._clock = clock
        self._observe = observe
        self._changed = threading.Condition()
        self._answers: dict[AutomationId, SavedAnswer] = {}
        self._work = _Work(set())
        self._opened = threading.Event()
        self._restored: Sequence[SavedBlock] = ()
        self._foreign: ForeignFileError | None = None
        self._thread: threading.Thread | None = None

    @property
    def trouble(self) -> str:
        """Return why blocks cannot be kept, or an empty text while they can."""
        return self._work.trouble

    def start(
        self, question: Question, automation_ids: Container[AutomationId], seconds: float
    ) -> Sequence[SavedBlock]:
        """Start the thread; return the blocks of these automations, or none where the disk takes longer than that.

        Raise ForeignFileError when the path names somebody else's file.
        """
        # A daemon: a thread that waits for a hanging disk cannot be interrupted, and must not hold up the end.
        self._thread = threading.Thread(target=self._run, args=(question, automation_ids), name="state", daemon=True)
        self._thread.start()
        if not self._opened.wait(seconds):
            self._fail(f"{self._path} did not answer within {seconds:g} s; earlier values are not shown")
            return ()
        if self._foreign is not None:
            self.close(0.0)
            raise self._foreign
        return self._restored

    def save(self, automation_id: AutomationId, question: str, block: Block, last_success: float) -> None:
        """Keep the block; never wait for the disk, and never raise."""
        if max(block.total_clicks, block.series) > _LARGEST_INTEGER:
            _log.warning("state.path: the numbers of automation %s are too large to be stored", automation_id)
            return
        with self._changed:
            self._answers[automation_id] = SavedAnswer(question, SavedBlock(automation_id, block, last_success))
            self._work.unwritten.add(automation_id)
            self._changed.notify_all()

    def forget_all_but(self, automation_ids: Collection[AutomationId]) -> None:
        """Hold the blocks of other automations in memory no longer; what is in the file stays there."""
        with self._changed:
            # The subtraction makes a set of its own, so deleting within the loop is safe.
            for gone in self._answers.keys() - set(automation_ids):
                del self._answers[gone]
                self._work.unwritten.discard(gone)

    def watch(self) -> None:
        """Report a disk that does not answer."""
        # One read of the attribute: the thread may set it to None between a check and its use.
        began = self._work.began
        if began is not None and self._clock.monotonic() - began > _SILENT_SECONDS:
            self._fail(f"{self._path} has not answered for {_SILENT_SECONDS:g} s (does its disk hang?)")

    def close(self, seconds: float) -> None:
        """Write what is not written yet, at most for the seconds, and end the thread."""
        with self._changed:
            # Under the lock: the thread checks it within `wait_for`, and would otherwise sleep on until its next look.
            self._work.closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(seconds)
        with self._changed:
            left = len(self._work.unwritten)
        if left:
            _log.warning("state.path: the newest values could not be written before the stop (blocks: %d)", left)

    def _run(self, question: Question, automation_ids: Container[AutomationId]) -> None:
        file: StateFile | None = None
        while not self._work.closing or self._work.unwritten:
            self._work.began = self._clock.monotonic()
            try:
                # In WAL mode, SQLite goes on writing to a deleted file without an error, so the path has to be compared
                # before each write.
                if file is None or not self._is_in_place(file):
                    file = self._open(question, automation_ids)
                written = self._write(file)
                self._work.began = None
            except Exception as exc:
                # Not only OSError: whatever the disk does to SQLite, the thread lives on and tries again.
                self._work.began = None
                self._fail(_reason(exc))
                if file is not None:
                    file.close()
                    file = None
                if self._work.closing:
                    break
            else:
                self._recover(written)
            self._opened.set()
            self._wait(after_failure=file is None)
        self._opened.set()
        if file is not None:
            file.close()

    def _wait(self, *, after_failure: bool) -> None:
        """Wait for work; after a failure, for the next try."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._work.closing or (self._work.unwritten and not after_failure), self._look_seconds
            )

    def _is_in_place(self, file: StateFile) -> bool:
        if file.is_in_place():
            return True
        _log.warning(
            "state.path: %s was deleted, replaced or truncated; creating it again with all current values", self._path
        )
        file.close()
        return False

    def _open(self, question: Question, automation_ids: Container[AutomationId]) -> StateFile:
        """Open the file; everything that is known is written to it next, since it may be a new one."""
        from exporter.state.file import open_state  # noqa: PLC0415  # SQLite takes 1 MB, and most have no state file

        first = not self._opened.is_set()
        try:
            file, restored = open_state(self._path, question, automation_ids if first else ())
        except ForeignFileError as exc:
            self._foreign = exc
            raise
        self._restored = restored
        with self._changed:
            for saved in restored:
                self._answers.setdefault(saved.automation_id, SavedAnswer(question(saved.automation_id), saved))
            self._work.unwritten |= self._answers.keys() - {each.automation_id for each in restored}
        return file

    def _write(self, file: StateFile) -> int:
        """Write what is not written; return how many blocks that were."""
        with self._changed:
            # Copied under the lock and written without it: `save` is called by polls, which never wait for the disk.
            answers = {id_: self._answers[id_] for id_ in self._work.unwritten}
        if answers:
            file.save(answers.values())
        with self._changed:
            # A block that a poll replaced while the disk was busy is still to be written.
            self._work.unwritten -= {id_ for id_, written in answers.items() if self._answers.get(id_) is written}
        return len(answers)

    def _fail(self, reason: str) -> None:
        with self._changed:
            known, self._work.trouble = self._work.trouble, reason
        if not known:
            _log.warning("state.path: %s; continuing without it, and retrying", reason)
            self._observe(True)

    def _recover(self, written: int) -> None:
        """Note that the disk answers; it works again once something was written."""
        with self._changed:
            recovered = self._work.trouble and (written > 0 or not self._answers)
            if recovered:
                self._work.trouble = ""
        if recovered:
            _log.info("state.path: %s can be written again", self._path)
            self._observe(False)


def _reason(exc: Exception) -> str:
    if isinstance(exc, StateError):
        return str(exc).removeprefix("state.path: ")
    return f"the file cannot be used ({type(exc).__name__}: {exc})"
