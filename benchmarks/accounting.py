"""CPU time and memory of other processes, as the kernel accounts them."""

import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_SCHEDULED: Final = 2
"""The kernel's number for the clock of a whole process that counts what the scheduler gave it (CPUCLOCK_SCHED)."""


def tasks_nanoseconds(pid: int) -> int:
    """Return the CPU time of the process's living threads, from each one's schedstat."""
    total = 0
    for task in (_PROC / str(pid) / "task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread ended between the listing and the reading
            total += int((task / "schedstat").read_text().split()[0])
    return total


def cpu_nanoseconds(pid: int) -> int:
    """Return the CPU time of the process, with that of threads which have ended.

    A thread that ends takes its schedstat along, and servers that start a thread per request would look free. The
    process's own CPU clock keeps the same scheduler's nanoseconds of all its threads, so the larger of the two is it.
    """
    living = tasks_nanoseconds(pid)
    return max(living, time.clock_gettime_ns((~pid << 3) | _SCHEDULED))


def family(pid: int) -> tuple[int, ...]:
    """Return the process and everything that descends from it."""
    found = [pid]
    for each in found:
        for task in (_PROC / str(each) / "task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended
                found += map(int, (task / "children").read_text().split())
    return tuple(found)


def cpu_of_all(pids: Iterable[int]) -> int:
    """Return the CPU time of all these processes together, in nanoseconds."""
    return sum(map(cpu_nanoseconds, pids))


def resident_bytes(pid: int) -> int:
    """Return what the process holds in memory now."""
    return _status(pid, "VmRSS")


def peak_bytes(pid: int) -> int:
    """Return the most that the process held in memory since its start, or since the peak was forgotten."""
    return _status(pid, "VmHWM")


def forget_peak(pid: int) -> None:
    """Let the peak begin anew from what the process holds now."""
    (_PROC / str(pid) / "clear_refs").write_text("5")


def _status(pid: int, key: str) -> int:
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise ValueError(f"process {pid} has no {key}: it has ended")
