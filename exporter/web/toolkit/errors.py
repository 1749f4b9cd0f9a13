"""The toolkit's errors."""

from collections.abc import Sequence


class WebConfigError(Exception):
    """The web config file cannot be used; `problems` names each reason in a sentence that begins with its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class BusyError(Exception):
    """Too much work waits before this one."""


class WorkerStoppedError(Exception):
    """The worker's thread is stopping, so the work was not done."""
