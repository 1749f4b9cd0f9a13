"""The entry of the command and of `python -m exporter`: signals are held back before the slow imports begin."""

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from exporter.signals import Signals, hold_back

_STDERR: Final = 2
_CHARSET_GUESS: Final = "charset_normalizer"
_SWITCH_INTERVAL: Final = 0.001
"""Seconds after which a thread leaves the interpreter to one that waits for it."""
_YOUNG_OBJECTS: Final = 10_000
"""So many more objects than at its last round start the collector."""
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
"""Of glibc's malloc.h."""
_LARGE_BUFFER: Final = 1024 * 1024
"""Bytes: more than usual answers and scrapes take, so that these cost no calls of the system."""


def main() -> None:
    """Run the command and exit with its code."""
    _occupy_standard_streams()
    hold_back()
    signals = Signals()
    signals.listen()
    with _quick_imports():
        from exporter.cli import run  # noqa: PLC0415  # its imports take long enough for a signal to come

    tune_runtime()
    sys.exit(run(sys.argv[1:], signals))


@contextmanager
def _quick_imports() -> Iterator[None]:
    """Import without the collector, and without what nobody calls.

    Collections among fifty thousand objects that are all there to stay took 10 to 25 of the imports' 280 ms. requests
    imports charset_normalizer for `Response.text` alone, which nobody here reads: 2.7 MB and 7 ms.
    """
    gc.disable()
    # The import system's own mark of a module that cannot be found; requests then does without, and warns of it.
    sys.modules[_CHARSET_GUESS] = None  # type: ignore[assignment]  # typeshed knows modules only
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Unable to find acceptable character detection dependency")
        yield
    del sys.modules[_CHARSET_GUESS]
    gc.enable()


def tune_runtime() -> None:
    """Set the process up for threads that wait for one another, once the modules are there.

    These are taken out of the collector's rounds: a full one over all modules and classes would hold every thread for
    some 30 ms. They are not looked through before: a collection takes 20 ms, for 0.1 MB. And the rows of some polls do
    not start a round, since they go with their poll and none of them is part of a cycle: with Python's own threshold of
    700 objects, 100 polls among 1000 automations started 3 full rounds, of 4 ms each. A thread that renders gives way
    after one millisecond instead of five, since a scrape asks for the interpreter several times.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)
    sys.setswitchinterval(_SWITCH_INTERVAL)
    _tune_allocator()


def _tune_allocator() -> None:
    """Let glibc give every large buffer back to the system when it is freed, and keep one arena for all threads.

    By itself it raises the size from which it does so to that of the largest buffer freed so far, so that each thread
    would keep its largest answer's memory: 184 MB were measured with 16 workers, in place of 57. Setting the size ends
    that (mallopt(3)), and leaves it giving back 128 kB at the heap's end: each compressor, of 300 kB, would then cost
    0.1 ms of page faults, so that as much as one large buffer is kept there. An arena for each thread kept 0.5 MB more,
    and saves no waiting where the interpreter's lock lets one thread allocate at a time. Other C libraries have no such
    function, and a hardened system may refuse to load ctypes.
    """
    with suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes  # noqa: PLC0415  # see above

        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BUFFER)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGE_BUFFER)
        libc.mallopt(_M_ARENA_MAX, 1)


def _occupy_standard_streams() -> None:
    """Open what was closed as nothing, or the next file or socket gets that number and what is meant for stderr."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        continue
    os.close(descriptor)


if __name__ == "__main__":
    main()
